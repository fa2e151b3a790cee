#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Kernels of the cpu backend against oneDNN (Debian: libdnnl-dev; without it, alone).
#
#     bench/compute/run.sh [NAME [ARGUMENTS]]
#
# Builds and runs every bench_NAME.c here, or one, with its arguments. To add one, write
# its file: a main() on bench.h. BUILD: a meson build folder, default build/.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
ninja -C "$build" common/compute/libcpv_compute.a >/dev/null
levels=$(ninja -C "$build" -t targets all | sed -n 's|^\(common/compute/libcpv_kernels_[a-z0-9]*\.a\):.*|\1|p')
# shellcheck disable=SC2086
ninja -C "$build" $levels common/base/libcpv_base.a common/compute/libcpv_cuda.a >/dev/null
# oneDNN is C++ and brings threads of its own; both sides get one here.
peer=
printf '#include <dnnl.h>\nint main(void) { return dnnl_version() == 0; }\n' >"$out/try.c"
if ${CC:-cc} "$out/try.c" -ldnnl -o "$out/try" 2>/dev/null; then
    peer='-DHAVE_DNNL -ldnnl'
else
    echo "oneDNN: not measured, libdnnl-dev is not installed"
fi
libs=$(for l in common/compute/libcpv_compute.a common/compute/libcpv_cuda.a $levels \
    common/base/libcpv_base.a; do
    printf '%s ' "$build/$l"
done)
name=${1:-}
[ $# -eq 0 ] || shift
for source in "$here"/bench_${name:-*}.c; do
    program=$out/$(basename "$source" .c)
    # shellcheck disable=SC2086
    ${CC:-cc} -O2 -std=gnu11 -D_GNU_SOURCE -I"$root" "$source" "$here/peer_dnnl.c" \
        -Wl,--start-group $libs -Wl,--end-group $peer -lm -pthread -o "$program"
    OMP_NUM_THREADS=1 "$program" "$@"
done
