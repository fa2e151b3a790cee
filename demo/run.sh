#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The demo, the paper's story in miniature: draw scenes (or take a folder of photographs), serve
# them with a web server that misbehaves here and there, make a corpus of them with ten more
# captions an image, in four languages, scored by a CLIP; kill it half-way on purpose, resume,
# verify, account for every row; then fine-tune that CLIP on it, with and without the generated
# captions, and find held-out scenes by their captions before and after. (Photographs have no
# held-out captions: with them it ends with the corpus.)
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
    "$build/demo/capivara-demo-scenes" --scenes "$scenes" --heldout 600 --parallel captions \
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

if [ -z "$photos" ]; then
    # --- training and what comes of it -------------------------------------------------------
    say "7. capivara train demo/train.yaml: LiT and LoRA on the packed captions"
    "$capivara" train "$root/demo/train.yaml" --out "$home/train"
    say "   The same without the generated captions"
    "$capivara" train "$root/demo/train.yaml" --out "$home/train-originals" \
        --captions none --quiet
    echo "adapters in PEFT's format: build/demo-run/train/adapter, train-originals/adapter"

    say "8. capivara eval: 600 held-out scenes, in pairs of shape and colour never trained on"
    awk 'BEGIN { FS = OFS = "\t" }
         NR == FNR { n = split($1, p, "/"); if (FNR > 1) file[$7] = p[n]; next }
         FNR == 1 { print "file", "en", "pt", "xh", "hi"; next }
         $1 in file { print file[$1], $5, $6, $7, $8 }' \
        "$world/heldout.tsv" "$world/parallel.tsv" >"$world/test.tsv"
    evaluate() { # NAME OPTIONS...
        "$capivara" eval --model "$root/demo/models/clip" --images "$world/images" \
            --list "$world/test.tsv" --lang en,pt,xh,hi --quiet \
            --json "$home/$1.json" "${@:2}" >"$home/$1.txt"
        # the mean recall of each language, in percent
        sed 's/.*"languages"://' "$home/$1.json" | grep -o '},"mean":[0-9.]*}' |
            sed 's/.*"mean":\([0-9.]*\).*/\1/' | awk '{ printf "%10.1f", 100 * $1 } END { print "" }'
    }
    {
        printf 'mean recall, percent%18s%10s%10s%10s\n' English Portuguese Xhosa Hindi
        printf '%-28s%s\n' 'before' "$(evaluate before)"
        printf '%-28s%s\n' 'after' "$(evaluate after --adapter "$home/train/adapter")"
        printf '%-28s%s\n' 'without generated captions' \
            "$(evaluate after-originals --adapter "$home/train-originals/adapter")"
    } | tee "$home/recall.txt"
    say "   capivara eval --query: the three scenes nearest to a Portuguese sentence"
    "$capivara" eval --model "$root/demo/models/clip" --adapter "$home/train/adapter" \
        --images "$world/images" --list "$world/test.tsv" --lang pt --quiet --top 3 \
        --query "um círculo vermelho"
fi

say "9. A page about it"
trainings=()
[ -n "$photos" ] || trainings=(--training "$home/train" --training "$home/train-originals")
"$capivara" report "$corpus" "${trainings[@]}" -o "$home/report.html"
echo "build/demo-run/report.html: open it in a browser"

say "10. Where to look"
cat <<EOF
  build/demo-run/corpus/fetch/              image parts; plain tools read them:
                                          zstd -dc build/demo-run/corpus/fetch/00000.tar.zst | tar t
  build/demo-run/corpus/fetch/00000.json    the record: what came of each row
  build/demo-run/corpus/caption/            generated-captions-en, ten an image
  build/demo-run/corpus/translate-pt/       captions-pt, and flags-pt: what looks wrong about each
  build/demo-run/corpus/score/              an embedding of each image; score-L: similarities
  build/demo-run/corpus/shards/train/       the packed training set
  build/demo-run/train/                     adapter, checkpoints, metrics.jsonl
  build/demo-run/{before,after}.txt         recall of the held-out scenes, in full
  build/demo-run/corpus/index.sqlite        the index; delete it, and 'capivara index rebuild' it
  build/demo-run/world/                     the scenes, their captions and descriptions$(
    [ -n "$photos" ] || printf '\n  build/demo-run/world/grid.png             the first scenes on one sheet')
  build/capivara status --corpus build/demo-run/corpus
EOF
