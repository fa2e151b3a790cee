#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Pictures as BLIP takes them against Pillow 13 and transformers' BlipImageProcessor (slow).
#
#     PEER_PYTHON=... tests/parity/pixels.sh
#
# DATA: the folder with photos/, beside the checkout. COUNT: how many photographs; all.
# BUILD: a meson build folder, default build/. Ten minutes. Exit status 1: a value is
# more than one 8-bit step away, or bytes agree and floats do not; 77: no PEER_PYTHON or
# no photographs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
data=${DATA:-$root/../shared/data}
python=${PEER_PYTHON:-}
[ -n "$python" ] && "$python" -c 'import transformers, PIL; assert int(PIL.__version__.split(".")[0]) > 12' 2> /dev/null ||
    { echo "skipped: PEER_PYTHON names no Python with transformers and Pillow 13"; exit 77; }
[ -d "$data/photos" ] || { echo "skipped: $data/photos is not there"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ninja -C "$build" tests/parity/pixels > /dev/null
"$python" "$here/pixels.py" "$data/photos" "$tmp" "$build/tests/parity/pixels"
