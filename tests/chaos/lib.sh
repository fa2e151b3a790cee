# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2015
# Shared by the scripts of this folder, sourced by bash: a folder in memory, a world of
# drawn scenes behind the test server, the whole tree of a corpus as one text.
#
#   $CAPIVARA_BUILD     the build folder; by default build/
#   $CAPIVARA_SCRATCH   where to work; by default in memory, where fsync costs nothing
#   $CAPIVARA_SLOW      not empty: a sanitizer slows things, so times are not looked at
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$(cd "${CAPIVARA_BUILD:-$ROOT/build}" && pwd)
SLOW=${CAPIVARA_SLOW-}
CUT=$BUILD/tests/chaos/chaos-cut
base=${CAPIVARA_SCRATCH-}
[ -n "$base" ] || if [ -w /dev/shm ]; then base=/dev/shm; else base=${TMPDIR:-/tmp}; fi
for v in $(compgen -e | grep '^CAPIVARA_' || true); do unset "$v"; done
export LC_ALL=C TZ=UTC PATH=$BUILD:$PATH

for tool in "$BUILD/capivara" "$BUILD/capivara-fetch" "$BUILD/capivara-shard" "$CUT" \
    "$BUILD/demo/capivara-demo-scenes" "$BUILD/tests/server/capivara-test-server"; do
    [ -x "$tool" ] || { echo "skipped: $tool is not there"; exit 77; }
done

HOME=$(mktemp -d "$base/capivara-$(basename "$0" .sh)-XXXXXX")
export HOME
cd "$HOME"
server=''
finish() {
    local status=$?
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    if [ $status -eq 0 ]; then cd /; rm -rf "$HOME"; else echo "left to look at: $HOME"; fi
}
trap finish EXIT

fail() { echo "FAILED: $*"; exit 1; }
say() { echo "--- $*"; }
now_us() { local t=${EPOCHREALTIME/[.,]/}; echo "$t"; }

# serve FOLDER, at $base_url
serve() {
    "$BUILD/tests/server/capivara-test-server" --root "$1" --port-file port \
        --die-with-parent >/dev/null 2>server.log &
    server=$!
    for _ in $(seq 200); do [ -s port ] && break; sleep 0.01; done
    base_url=http://127.0.0.1:$(cat port)/
}

# make_world ROWS PART: drawn scenes, served; list.tsv asks for some of them in ways in
# which the server misbehaves, always alike for one URL.
make_world() {
    mkdir world
    serve world
    "$BUILD/demo/capivara-demo-scenes" --scenes "$1" --part "$2" --misbehave --seed 3 \
        --url-base "$base_url" world >/dev/null
    # /flaky/ counts requests, so what it answers depends on how often we were killed.
    sed 's|/flaky/1/|/|' world/captions.tsv | awk -F '\t' -v OFS='\t' -v base="$base_url" '
        BEGIN { n = split("status/404 html.jpg empty garbage reset status/503 redirect-loop" \
                          " short/@ close-early/@ noai/@ delay/30/@ chunked/@ long/@", way, " ") }
        NR > 1 && NR % 9 == 0 && index($1, base "images/") == 1 {
            k = way[int(NR / 9) % n + 1]
            path = substr($1, length(base) + 1)
            if (!sub("@", path, k)) k = k "?" NR
            $1 = base k
        }
        { print }' >list.tsv
}

# The settings of the corpora here: small, quick, and without patience.
make_config() { # FILE ROWS-PER-PART
    cat >"$1" <<END
corpus: corpus
seed: 5
min_free: 0
max_transient: 1
input:
  path: list.tsv
  url: url
  captions: [caption_1, caption_2, caption_3, caption_4, caption_5]
fetch:
  rows_per_part: $2
  image_size: 64
  allow_private: true
  per_host: 32
  per_host_rate: 0
  retries: 1
  backoff: 0.01
  resolver_threads: 2
shard:
  train:
    samples_per_shard: 50
END
}

# Every file of a corpus that counts, with its digest; then the index, which must be
# that of the shards and records.
tree_of() { # CORPUS
    (cd "$1" && find . -type f ! -name '*.stats.json' ! -name .plan ! -name .memory ! -name .survey ! -name .tars \
        ! -name 'index.sqlite*' ! -name .lock | sort | xargs -d '\n' sha256sum)
    if [ -f "$1/index.sqlite" ]; then
        capivara index update "$1" >/dev/null
        echo "$(capivara index dump "$1" | sha256sum) index"
    fi
}
compare() { # CORPUS EXPECTED
    tree_of "$1" >tree.is
    diff "$2" tree.is >tree.diff || { cat tree.diff; fail "'$1' differs from an undisturbed run"; }
}

# run STATUSES COMMAND...: its standard error goes to said.
run() {
    local status=0
    "${@:2}" 2>said || status=$?
    case " $1 " in
    *" $status "*) last=$status ;;
    *) tail -n 5 said; fail "${*:2}: status $status, expected $1" ;;
    esac
}
one_line() { # the error: exactly one, and nothing else but warnings
    [ "$(grep -c ': error: ' said)" -eq 1 ] && ! grep -qv ': \(error\|warning\): ' said ||
        { cat said; fail "not one clear line"; }
}
