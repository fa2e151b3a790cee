#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# capivara-shard over columns with similarities: every filter, order by seed, threads, with
# and without images, a kill on the way; and the layout of the reference. The columns that
# models make are written by a tool of the tests.
. "$(dirname "$0")/lib.sh"
COLUMN=$BUILD/tests/report/report-column
[ -x "$COLUMN" ] || skip "$COLUMN is not there"

# A header of numpy and 8 halves.
{ printf '\223NUMPY\001\000\166\000'
  printf "%-117s\n" "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 8), }"
  printf '\000\074%.0s' 1 2 3 4 5 6 7 8; } >e.npy
equal "bytes of the embedding" "$(wc -c <e.npy)" 144

# 2 parts of 300 samples. Similarities of i, in hundredths: en 10 + i mod 20 | 30 20; pt
# 5 + i mod 30, 40 | 10 25 null.
rows() { # PART FORMAT-OF-AWK
    awk -v p="$1" 'BEGIN { for (i = p * 300; i < p * 300 + 300; i++) {
        k = sprintf("%05d%04d", p, i - p * 300); en = (10 + i % 20) / 100; pt = (5 + i % 30) / 100
        '"$2"' } }'
}
for p in 0 1; do
    rows $p 'printf "%s\t{\"key\":\"%s\",\"url\":\"u%d\",\"captions-en\":[\"dog %d\"]}\n", k, k, i, i' |
        "$COLUMN" --image "$IMAGES/jpeg-444.jpg" c fetch $p
    rows $p 'printf "%s\t{\"generated-captions-en\":[\"a\",\"b\"]}\n", k' | "$COLUMN" c caption $p
    rows $p 'printf "%s\t{\"captions-pt\":[\"cao %d\",\"c\"],\"flags-pt\":[\"\",\"%s\",\"\",\"\",\"empty\"],\"generated-captions-pt\":[\"d\",\"e\",\"\"]}\n", k, i, i % 3 ? "" : "loop"' |
        "$COLUMN" c translate-pt $p
    rows $p 'printf "%s\t{}\n", k' | "$COLUMN" --npy e.npy c score $p
    rows $p 'printf "%s\t{\"similarities-en\":[%g,0.3,0.2]}\n", k, en' | "$COLUMN" c score-en $p
    rows $p 'printf "%s\t{\"similarities-pt\":[%g,0.4,0.1,0.25,null]}\n", k, pt' |
        "$COLUMN" c score-pt $p
done
cat >c/config.yaml <<END
corpus: .
caption: {model: x}
translate: {pt: {model: x}}
score: {model: x}
END
sed -i '/^score:/d' c/config.yaml
columns=fetch,caption,translate-pt,score,score-en,score-pt

pack() { # STATUS NAME OPTIONS...
    run "$1" capivara-shard --quiet --min-free 0 --no-dedup-content --corpus c --columns $columns \
        --name "$2" "${@:3}"
}
keys() { local s; for s in $(shards "c/shards/$1"); do capivara cat "$s" | tar -t; done |
    sed -n 's/\.json$//p'; }
count() { keys "$1" | wc -l; }
open() { rm -rf "$1.out"; unpack "c/shards/$1" "$1.out"; }
dropped() { # NAME KEY
    equal "$1: $2" "$(stat_of "c/shards/$1/00000.stats.json" "$2")" "$3"
}
first=000000000 # similarities-en 0.10, similarities-pt 0.05

say "all columns that the configuration makes"
printf 'score: {model: x}\n' >>c/config.yaml
run 0 capivara-shard --quiet --min-free 0 --no-dedup-content --corpus c --name auto
has c/shards/auto/settings.yaml "[$(echo $columns | sed 's/,/, /g')]"
pack 0 all
equal tars "$(tar_of c/shards/auto)" "$(tar_of c/shards/all)"
open all
equal members "$(cd all.out && echo $first.*)" "$first.clip.npy $first.jpg $first.json"
same all.out/$first.clip.npy e.npy
same all.out/$first.jpg "$IMAGES/jpeg-444.jpg"
equal "of pt" "$(field all.out/$first.json similarities-pt)" '[0.05,0.4,0.1,0.25,null]'

say "without images; the embedding stays"
pack 0 light --no-images
open light
equal members "$(cd light.out && echo $first.*)" "$first.clip.npy $first.json"
same light.out/$first.clip.npy e.npy
equal samples "$(count light)" 600
capivara inspect c/shards/light/00000.tar.zst >said
has said clip.npy
capivara cat c/shards/light/00000.tar.zst $first.clip.npy >got.npy 2>/dev/null ||
    capivara cat c/shards/light/00000.tar.zst | tar -xOf - $first.clip.npy >got.npy
same got.npy e.npy
run 0 capivara export --plain -o plain c/shards/light
tar -xOf plain/00000.tar $first.clip.npy >got.npy
same got.npy e.npy
run 0 capivara verify c/shards/light

say "min_original, in one language and in several"
pack 0 pt --min-original pt=0.2
# 15 of each 30 have at least 0.20.
equal samples "$(count pt)" 300
dropped pt below_original 300
pack 0 any --min-original 0.2 --no-shuffle
# en: i mod 20 >= 10, and pt: i mod 30 >= 15.
equal samples "$(count any)" "$(seq 0 599 | awk '$1 % 20 >= 10 && $1 % 30 >= 15' | wc -l)"
pack 0 own --min-original pt=0.2,en=0.15
equal samples "$(count own)" "$(seq 0 599 | awk '$1 % 20 >= 5 && $1 % 30 >= 15' | wc -l)"

say "min_similarity: all lists in step"
pack 0 least --min-similarity 0.2
open least
f=least.out/$first.json
equal en "$(field $f captions-en)$(field $f generated-captions-en)$(field $f similarities-en)" \
    '[]["a","b"][0.3,0.2]'
equal pt "$(field $f captions-pt)$(field $f generated-captions-pt)$(field $f similarities-pt)$(field $f flags-pt)" \
    '["c"]["e"][0.4,0.25]["loop",""]'
# en: half of the originals; pt: half of the originals, and two of each sample.
dropped least below $((300 + 300 + 1200))
pack 0 kept --min-similarity 0.2 --no-filter-originals
open kept
f=kept.out/$first.json
equal "originals" "$(field $f captions-en)$(field $f captions-pt)$(field $f similarities-pt)" \
    '["dog 0"]["cao 0","c"][0.05,0.4,0.25]'
pack 0 only --min-similarity pt=0.3
open only
equal "en" "$(field only.out/$first.json similarities-en)" '[0.1,0.3,0.2]'
equal "pt" "$(field only.out/$first.json similarities-pt)" '[0.4]'

say "keep_top, flags and a required language"
pack 0 top --keep-top 2,en=1 --drop-flags loop
open top
f=top.out/$first.json
equal en "$(field $f captions-en)$(field $f generated-captions-en)$(field $f similarities-en)" \
    '[]["a"][0.3]'
# The best one is flagged.
equal pt "$(field $f captions-pt)$(field $f generated-captions-pt)$(field $f similarities-pt)" \
    '[]["d","e"][0.1,0.25]'
equal "not flagged" "$(field top.out/000000001.json similarities-pt)" '[0.4,0.25]'
dropped top flagged 200
pack 0 needs --min-similarity pt=0.3 --drop-flags loop --require pt --no-shuffle
# Without c, which is flagged in every third, only those with an original of 0.3 stay.
equal samples "$(count needs)" "$(seq 0 599 | awk '$1 % 3 || $1 % 30 >= 25' | wc -l)"
dropped needs no_caption "$(seq 0 599 | awk '!($1 % 3 || $1 % 30 >= 25)' | wc -l)"

say "a filter with nothing to judge by, and settings that are none"
run 65 capivara-shard --quiet --min-free 0 --corpus c --columns fetch,caption --name bad --keep-top 2
has err "no 'similarities-en' to filter by"
pack 2 bad --min-similarity pt:0.2
has err "numbers, or LANG=NUMBER"
pack 2 bad --keep-top 0
pack 2 bad --keep-top 2.5
pack 2 bad --min-similarity 0.2,0.3
has err "one number for each language"
pack 78 pt --min-original pt=0.3
has err min_original

say "a seed names an order; threads do not"
some=(--min-similarity 0.2 --min-original pt=0.1 --samples-per-shard 100)
pack 0 one --seed 1 "${some[@]}" --threads 1
pack 0 three --seed 1 "${some[@]}" --threads 3
pack 0 two --seed 2 "${some[@]}"
bytes c/shards/one | sed 's/ .*//' >one.sums
bytes c/shards/three | sed 's/ .*//' >three.sums
equal tars "$(tar_of c/shards/three)" "$(tar_of c/shards/one)"
for s in c/shards/one/*.tar.zst; do same "c/shards/three/${s##*/}" "$s"; done
keys one >one.keys
keys two >two.keys
! cmp -s one.keys two.keys || fail "two seeds, one order"
sort one.keys >got
sort two.keys >wanted
same got wanted

say "killed, and gone on with: the same bytes"
hits=0
for wait in 0.02 0.05 0.1 0.2; do
    capivara-shard --quiet --min-free 0 --no-dedup-content --corpus c --columns $columns \
        --name killed --seed 1 "${some[@]}" --threads 1 2>/dev/null &
    victim=$!
    sleep $wait
    kill -9 $victim 2>/dev/null || true
    got=0
    wait $victim 2>/dev/null || got=$?
    [ $got -ne 137 ] || hits=$((hits + 1))
done
[ $hits -gt 0 ] || fail "no kill came in time"
pack 0 killed --seed 1 "${some[@]}"
for s in c/shards/one/*.tar.zst; do same "c/shards/killed/${s##*/}" "$s"; done
# The survey was kept, and is believed: the counts are those of a fresh one.
dropped killed below_original "$(stat_of c/shards/one/00000.stats.json below_original)"
[ "$(stat_of c/shards/one/00000.stats.json below_original)" = 100 ] || fail "of 600, 5 of each 30"

say "the layout of the reference"
run 0 capivara export --reference-layout --lang pt -o ref c/shards/needs
equal tars "$(cd ref && echo *.tar)" 00000.tar
mkdir ref.out
tar -xf ref/00000.tar -C ref.out
k=$(keys needs | sed -n 1p)
equal members "$(cd ref.out && echo $k.*)" "$k.jpg $k.json"
equal pt "$(field ref.out/$k.json captions-pt)$(field ref.out/$k.json similarities-pt)" '["c"][0.4]'
run 0 capivara export --reference-layout -o ref c/shards/needs
run 0 capivara export --reference-layout -o ref2 c/shards/all
mkdir ref2.out
tar -xf ref2/00000.tar -C ref2.out
f=ref2.out/$first.json
equal pt "$(field $f captions-pt)$(field $f generated-captions-pt)$(field $f similarities-pt)" \
    '["cao 0","c","d","e"]["d","e"][0.05,0.4,0.1,0.25]'
has_not $f flags-
run 0 capivara export --reference-layout --lang pt,xh -o ref3 c/shards/all
has err "600 samples have no caption"
run 65 capivara export --reference-layout -o ref4 c/shards/light
has err "has no jpg or png member"
run 2 capivara export --reference-layout --plain -o ref5 c/shards/all
run 2 capivara export --reference-layout -o ref5 c
