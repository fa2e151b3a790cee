# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts of this folder: sourced with `.`, by bash, from an empty folder of
# the script's own. What is expected is said by the first word of a function's name; a
# failed expectation says what differs and ends the script with 1.
#
#   $CAPIVARA_BUILD   the build folder; by default build/
#   $CAPIVARA_SLOW    not empty: a sanitizer slows things and takes memory, so limits of
#                     both are not looked at
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$E2E/../.." && pwd)
BUILD=$(cd "${CAPIVARA_BUILD:-$ROOT/build}" && pwd)
SLOW=${CAPIVARA_SLOW-}
IMAGES=$ROOT/tests/golden/images
NAME=$(basename "$0" .sh)
HELPER=$BUILD/tests/e2e/e2e-helper

skip() { echo "skipped: $*"; exit 77; }
for tool in "$BUILD/capivara" "$BUILD/capivara-fetch" "$BUILD/capivara-shard" "$HELPER" \
    "$BUILD/tests/server/capivara-test-server"; do
    [ -x "$tool" ] || skip "$tool is not there"
done

# Options from the environment would change what is tested.
for v in $(compgen -e | grep '^CAPIVARA_' || true); do unset "$v"; done
export LC_ALL=C TZ=UTC PATH=$BUILD:$PATH

SCRATCH=$BUILD/e2e-scratch/$NAME
rm -rf "$SCRATCH"
mkdir -p "$SCRATCH"
cd "$SCRATCH"
export HOME=$SCRATCH

pids=()
finish() {
    local status=$?
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    if [ $status -eq 0 ]; then
        cd "$BUILD"
        rm -rf "$SCRATCH"
    elif [ $status -ne 77 ]; then
        echo "left for you to look at: $SCRATCH"
    fi
}
trap finish EXIT

fail() {
    echo "FAILED: $*"
    exit 1
}
say() { echo "--- $*"; }

# ---- running ------------------------------------------------------------------------

# run STATUS COMMAND...: its streams go to said and err.
run() {
    local wanted=$1 got=0
    shift
    "$@" >said 2>err </dev/null || got=$?
    [ "$got" -eq "$wanted" ] ||
        fail "$(printf '%q ' "$@"): status $got, expected $wanted; it said:
$(tail -n 20 err)"
}
# fetch STATUS OPTIONS...
fetch() { run "$1" capivara-fetch --quiet --min-free 1M "${@:2}"; }
# measured STATUS COMMAND...: sets ms and kib, its time and its peak of resident memory.
# Meson's MALLOC_PERTURB_ would touch all that is reserved.
measured() {
    run "$1" env -u MALLOC_PERTURB_ "$HELPER" run spent 60 "${@:2}"
    ms=$(sed -n 's/^ms //p' spent) kib=$(sed -n 's/^kib //p' spent)
}

# has FILE FIXED-STRING, has_not FILE FIXED-STRING
has() { grep -qF -e "$2" "$1" || fail "$1 has no '$2': $(head -c 2000 "$1")"; }
has_not() { ! grep -qF -e "$2" "$1" || fail "$1 has '$2': $(grep -F -e "$2" "$1")"; }
# equal WHAT GOT WANTED
equal() { [ "$2" = "$3" ] || fail "$1: '$2', expected '$3'"; }
# same FILE FILE; the first is the one to be judged
same() { cmp -s "$1" "$2" || fail "$1 is not as $2: $(diff "$2" "$1" | head -20)"; }

# ---- the server ---------------------------------------------------------------------

# serve FOLDER: sets url to http://127.0.0.1:PORT
serve() {
    rm -f port
    "$BUILD/tests/server/capivara-test-server" --root "$1" --port 0 --port-file port \
        --die-with-parent >server.log 2>&1 &
    pids+=($!)
    await port
    url=http://127.0.0.1:$(cat port)
}
await() {
    local i
    for i in $(seq 200); do
        [ ! -s "$1" ] || return 0
        sleep 0.05
    done
    fail "$1 did not come"
}

# ---- records and samples ------------------------------------------------------------

# The records that count: of each part of a column the one of the highest revision.
records() { # CORPUS[/COLUMN]
    local dir=$1
    [ ! -d "$1/fetch" ] || dir=$1/fetch
    find "$dir" -maxdepth 1 -name '[0-9]*.json' ! -name '*.stats.json' | sed 's/\.json$//' |
        awk -F/ '{ n = split($NF, a, ".r"); print a[1], (n > 1 ? a[2] : 0), $0 }' |
        sort -k1,1 -k2,2nr | awk '!seen[$1]++ { print $3 ".json" }'
}

# "ROW STATUS" of every failed row, by row
failures() { # CORPUS
    records "$1" | xargs cat | sed 's/.*"failed":\[//; s/},{/}\n{/g' |
        sed -n 's/.*"row":\([0-9]*\),.*"status":"\([a-z0-9_]*\)".*/\1 \2/p' | sort -n
}
failure_of() { failures "$1" | awk -v r="$2" '$1 == r { print $2 }'; } # CORPUS ROW
details() { records "$1" | xargs cat | grep -o '"detail":"[^"]*"' | cut -d'"' -f4; }
samples() { # how many
    records "$1" | xargs cat | grep -o '"samples":[0-9]*' | cut -d: -f2 |
        awk '{ n += $1 } END { print n + 0 }'
}
# "STATUS COUNT" lines, ok among them
statuses() {
    { failures "$1" | awk '{ n[$2]++ } END { for (s in n) print s, n[s] }'
      echo "ok $(samples "$1")"; } | sort
}
# wants CORPUS STATUS COUNT ...: exactly these
wants() {
    statuses "$1" >got.statuses
    local corpus=$1
    shift
    printf '%s %s\n' "$@" | sort >wanted.statuses
    diff wanted.statuses got.statuses >differ ||
        fail "$corpus: what came of the rows (<: expected, >: found):
$(cat differ)
$(failures "$corpus")"
}
# shards CORPUS[/COLUMN]: those that count
shards() { records "$1" | sed 's/\.json$/.tar.zst/'; }
# The digests of their tars: the same for the same samples, whatever the settings' names.
tar_of() { records "$1" | xargs cat | grep -o '"tar_sha256":"[0-9a-f]*"'; }
# unpack CORPUS[/COLUMN] FOLDER: every member of every part as a file
unpack() {
    local s
    mkdir -p "$2"
    for s in $(shards "$1"); do capivara cat "$s" | tar -xf - -C "$2"; done
    chmod -R u+w "$2"
}
# field FILE KEY: a scalar or list of a sample's JSON, as it stands there
field() {
    { cat "$1"; echo; } | sed -n "s/.*[{,]\"$2\":\(\"[^\"]*\"\|\[[^]]*\]\|[^][,}\"]\{1,\}\).*/\1/p"
}
# A world of N clean scenes in the folder world, URLs beginning with $url.
draw() { # N OPTIONS...
    run 0 "$BUILD/demo/capivara-demo-scenes" --clean --scenes "$1" "${@:2}" \
        --url-base "${url-http://127.0.0.1:1}/" world
}

# Fetch as fast as the local server can answer.
FAST=(--allow-private --per-host 64 --per-host-rate 0 --backoff 0.05 --retries 1)

# ---- columns ----

# What a column holds, to the byte, but for its statistics.
bytes() { # FOLDER of a column
    (cd "$1" && sha256sum $(ls | grep -E '^[0-9]+(\.r[0-9]+)?\.(tar\.zst|json)$' |
        grep -v stats))
}
fresh() { # CORPUS: the fetched column of c, and nothing else
    rm -rf "$1"
    mkdir "$1"
    cp -r c/fetch "$1/"
}
tree() { find "$@" -type f -printf '%p %s %T@ %i\n' | sort; }
stat_of() { sed -n "s/.*\"$2\":\([0-9.]*\).*/\1/p" "$1"; } # FILE KEY
