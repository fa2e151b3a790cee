#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The demo: draw scenes (or take a folder of photographs), serve them with a web server
# that misbehaves here and there, make a corpus of them with ten more captions an image, in four
# languages, kill it half-way on purpose, resume, verify, account for every row, report.
#
#   demo/run.sh [--photos DIR] [--scenes N]         (BUILD: the build folder, build/)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$(cd "${BUILD:-$root/build}" && pwd)
photos='' scenes=1500
while [ $# -gt 0 ]; do
    case $1 in
    --photos) photos=$(cd "$2" && pwd); shift 2 ;;
    --scenes) scenes=$2; shift 2 ;;
    *) echo "demo: unexpected '$1'" >&2; exit 2 ;;
    esac
done

home=$root/build/demo-run
world=$home/world corpus=$home/corpus
capivara=$build/capivara
bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

rm -rf "$home"
mkdir -p "$world"

# --- a web server on a free port of this machine ---------------------------------------
serve() { # serve FOLDER
    "$build/tests/server/capivara-test-server" --root "$1" --port 0 \
        --port-file "$home/port" --die-with-parent >"$home/server.log" 2>&1 &
    server=$!
    trap 'kill $server 2>/dev/null || true' EXIT
    for _ in $(seq 100); do
        [ -s "$home/port" ] && break
        sleep 0.05
    done
    port=$(cat "$home/port")
}

# kill -9 for every process of a session: the driver and the stage it has started
kill_session() { # kill_session LEADER
    local stat
    for p in /proc/[0-9]*; do
        { read -r stat <"$p/stat"; } 2>/dev/null || continue
        # shellcheck disable=SC2086  # behind the name: state, parent, group, session
        set -- "$1" ${stat##*) }
        [ "$5" != "$1" ] || kill -9 "${p#/proc/}" 2>/dev/null || true
    done
}

# --- something to fetch ------------------------------------------------------------------
make_list() { # photographs: their names are their captions
    printf 'url\tcaption_1\tcaption_2\tcaption_3\tcaption_4\tcaption_5\tid\n'
    local n=0 f name
    for f in "$photos"/*; do
        [ -f "$f" ] || continue
        name=${f##*/}
        printf 'http://127.0.0.1:%s/%s\ta photo of %s\t\t\t\t\t%s\n' \
            "$port" "${name// /%20}" "$(tr '_-' '  ' <<<"${name%.*}")" $((n++))
    done
}

config=$root/demo/corpus.yaml
if [ -n "$photos" ]; then
    say "1. A list of the photographs in $photos, served on this machine"
    serve "$photos"
    make_list >"$world/captions.tsv"
    # The same configuration with smaller parts, because there are fewer images.
    config=$home/corpus.yaml
    { echo "base: $root/demo"
      sed -e 's/rows_per_part: .*/rows_per_part: 25/' -e 's/image_size: .*/image_size: 256/' \
          "$root/demo/corpus.yaml"; } >"$config"
else
    say "1. Drawing $scenes scenes with captions, and a server that misbehaves now and then"
    serve "$world"
    "$build/demo/capivara-demo-scenes" --scenes "$scenes" --heldout $((scenes / 10)) \
        --seed 1 --part 250 --misbehave --grid "$world/grid.png" \
        --url-base "http://127.0.0.1:$port/" "$world"
fi
rows=$(($(wc -l <"$world/captions.tsv") - 1))
echo "the list: $world/captions.tsv ($rows rows)"

# --- run, kill, run again ------------------------------------------------------------------
say "2. capivara run ${config#"$root/"}, killed half-way with kill -9"
setsid "$capivara" run "$config" --threads 1 &
run=$!
disown $run # the shell need not report its death
want=$(((rows + 249) / 250 / 2))
[ -z "$photos" ] || want=2
for _ in $(seq 2000); do
    set -- "$corpus"/fetch/[0-9]*.tar.zst
    [ -e "$1" ] && [ $# -ge "$want" ] && break
    kill -0 $run 2>/dev/null || break
    sleep 0.01
done
kill_session $run
while kill -0 $run 2>/dev/null; do sleep 0.01; done
echo "killed; finished so far: $(ls "$corpus"/fetch/[0-9]*.tar.zst 2>/dev/null | wc -l) parts"

say "3. The same command again: it goes on where it was"
"$capivara" run "$config"

# --- what came of it -------------------------------------------------------------------------
say "4. Every byte verified"
"$capivara" verify "$corpus"
"$capivara" status --corpus "$corpus"

say "5. Every row accounted for"
got=$(mktemp)
sed 's/"failed":\[.*//' "$corpus"/fetch/[0-9]*[0-9].json |
    sed -n 's/.*"samples":\([0-9]*\).*"statuses":{\([^}]*\)}.*/"ok":\1,\2/p' |
    tr ',' '\n' | sed -n 's/"\([a-z0-9_]*\)":\([0-9]*\)/\1 \2/p' |
    awk '{ n[$1] += $2 } END { for (s in n) print s, n[s] }' | sort >"$got"
cat "$got"
total=$(awk '{ n += $2 } END { print n }' "$got")
[ "$total" -eq "$rows" ] || { echo "demo: $total of $rows rows accounted for" >&2; exit 1; }
if [ -z "$photos" ]; then
    wanted=$(mktemp)
    sed -n '/"captions"/,/"not_ok"/s/.*"tsv": {\(.*\)},*/\1/p' "$world/expect.json" | head -n 1 |
        tr ',' '\n' | tr -d '" ' | tr ':' ' ' | awk '$2 > 0' | sort >"$wanted"
    if ! diff "$wanted" "$got" >/dev/null; then
        echo "demo: expected other outcomes:" >&2
        diff "$wanted" "$got" >&2 || true
        exit 1
    fi
    rm -f "$wanted"
fi
rm -f "$got"
echo "all $rows rows: samples or failures with a reason, as expected"

say "6. The same captions in four languages: one that came with the image, two of the ten"
first=$(ls "$corpus"/shards/train/[0-9]*.tar.zst | head -n 1)
captions() { # captions KEY LANG N of the sample in $sample: its first N
    sed -n "s/.*\"$1-$2\":\[\([^]]*\)\].*/\1/p" <<<"$sample" | sed 's/","/"\n"/g' |
        head -n "$3" | sed "s/^\"\(.*\)\"\$/  $2  \1/"
}
zstd -dcq "$first" 2>/dev/null | tar xO --wildcards '*.json' 2>/dev/null | tr '\n' ' ' |
    sed 's/}{/}\n{/g' | head -n 2 | while read -r sample; do
        for lang in en pt xh hi; do
            captions captions "$lang" 1
            captions generated-captions "$lang" 2
        done
        echo
    done || true

say "7. A page about it"
"$capivara" report "$corpus" -o "$home/report.html"
echo "build/demo-run/report.html: open it in a browser"

say "8. Where to look"
cat <<EOF
  build/demo-run/corpus/fetch/              image parts; plain tools read them:
                                          zstd -dc build/demo-run/corpus/fetch/00000.tar.zst | tar t
  build/demo-run/corpus/fetch/00000.json    the record: what came of each row
  build/demo-run/corpus/caption/            generated-captions-en, ten an image
  build/demo-run/corpus/translate-pt/       captions-pt, and flags-pt: what looks wrong about each
  build/demo-run/corpus/shards/train/       the packed training set
  build/demo-run/corpus/index.sqlite        the index; delete it, and 'capivara index rebuild' it
  build/demo-run/world/                     the scenes, their captions and descriptions$(
    [ -n "$photos" ] || printf '\n  build/demo-run/world/grid.png             the first scenes on one sheet')
  build/capivara status --corpus build/demo-run/corpus
EOF
