#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# capivara-shard: de-duplication across parts, seeded order, sets side by side, columns
# merged, and what a new revision of a column does to a packed set.
. "$(dirname "$0")/lib.sh"

draw 24
serve world
cut -f 1,2 world/captions.tsv | tail -n +2 | sed "s|^http://127.0.0.1:1/|$url/|" >rows
line() { sed -n "$(($1 + 1))p" rows; }
# Parts of 10 rows: 0-9, 10-19, 20-29. Row 24 repeats the URL of row 2, row 25 that of row
# 14; row 26 is the file of row 3 and row 27 that of row 15 under other URLs; row 28 will
# be there later.
cp rows body
{ line 2; line 14; line 3 | sed 's/\t/?again\t/'; line 15 | sed 's/\t/?again\t/'
  printf '%s\n' "$url/flaky/1/images/none.jpg	late"; } >>body
sed -i 's|/flaky/1/images/none.jpg|/flaky/1/late.jpg|' body
cp "$IMAGES/jpeg-444.jpg" world/late.jpg
{ printf 'url\tcaption\n'; cat body; } >list.tsv
fetch=(--corpus c --input list.tsv --caption-col caption --allow-private --per-host-rate 0
    --rows-per-part 10 --retries 0 --accept-transient)
fetch 0 "${fetch[@]}"
wants c ok 28 http_5xx 1

pack() { # STATUS NAME OPTIONS...
    run "$1" capivara-shard --quiet --min-free 1M --corpus c --name "$2" "${@:3}"
}
keys() { # of a set, in its order
    local s
    for s in $(shards "c/shards/$1"); do capivara cat "$s" | tar -t; done |
        sed -n 's/\.json$//p'
}
all=$(seq 0 27)
# Keys: 5 digits of the part, 1 of the row in it.
key_of() { for i in "$@"; do printf '%05d%d\n' $((i / 10)) $((i % 10)); done; }
without() { # NUMBER...: all keys but these
    for i in $all; do
        case " $* " in *" $i "*) ;; *) key_of "$i" ;; esac
    done
}

say "of duplicates the lowest part and row stays; order kept"
pack 0 plain --no-shuffle --samples-per-shard 9
keys plain >got
without 24 25 26 27 >wanted
same got wanted
equal shards "$(shards c/shards/plain | wc -l)" 3
# A packed sample is the fetched one to the byte.
unpack c fetched
unpack c/shards/plain plain.out
for f in plain.out/*; do same "$f" "fetched/${f#plain.out/}"; done

say "one kind of duplicate at a time, and none"
pack 0 urls --no-shuffle --no-dedup-content
keys urls >got
without 24 25 >wanted
same got wanted
# An equal URL is an equal file here.
pack 0 contents --no-shuffle --no-dedup-url
keys contents >got
without 24 25 26 27 >wanted
same got wanted
pack 0 none --no-shuffle --no-dedup-url --no-dedup-content
keys none >got
key_of $all >wanted
same got wanted

say "a seed names an order"
pack 0 one --seed 1 --samples-per-shard 10
pack 0 one_again --seed 1 --samples-per-shard 10 --threads 1
pack 0 two --seed 2 --samples-per-shard 10
equal "tars" "$(tar_of c/shards/one_again)" "$(tar_of c/shards/one)"
keys one >one.keys
keys two >two.keys
! cmp -s one.keys two.keys || fail "two seeds, one order"
sort one.keys >got
without 24 25 26 27 >wanted
same got wanted
! cmp -s one.keys wanted || fail "it was not shuffled"
# The size of shards does not change the order.
pack 0 small --seed 1 --samples-per-shard 5
keys small >got
same got one.keys
# Some parts now, the rest later, by another process: the same.
pack 0 some --seed 1 --samples-per-shard 10 --parts 2,0
pack 0 some --seed 1 --samples-per-shard 10
equal "tars" "$(tar_of c/shards/some)" "$(tar_of c/shards/one)"

say "without images"
pack 0 text --no-shuffle --no-images
capivara cat c/shards/text/00000.tar.zst | tar -t >got
grep -qvE '\.json$' got && fail "$(cat got)"
equal samples "$(wc -l <got)" 24

say "two sets side by side; each has its own settings"
pack 78 one --seed 1 --samples-per-shard 11
has err "samples_per_shard: 10 -> 11"
pack 78 one --seed 3 --samples-per-shard 10
has err "seed: 1 -> 3"
pack 2 'a/b'
pack 2 ''
run 2 capivara-shard --quiet --corpus c
has err "'--name' is needed"
printf 'shard:\n  one: {samples_per_shard: 10}\n  two: {samples_per_shard: 10}\n' >c/config.yaml
run 2 capivara-shard --quiet --corpus c
pack 0 one --seed 1
run 0 capivara verify c

say "columns: a sample must be in all of them, its JSON has the keys of all"
# Another column with the same keys: captions in another language, for all but two rows.
{ printf 'url\ttexto\n'; cut -f 1 body | awk '{ print $0 "\tlegenda " NR - 1 }' |
    sed "5s|.*|$url/none.jpg\tnada|; 13s|.*|$url/none.jpg\tnada|"; } >pt.tsv
fetch 0 "${fetch[@]}" --corpus p --input pt.tsv --caption-col texto --language pt
cp -r p/fetch c/translate-pt
sed -i 's/"column":"fetch"/"column":"translate-pt"/' c/translate-pt/0*.json
pack 0 merged --no-shuffle --columns fetch,translate-pt
keys merged >got
without 4 12 24 25 26 27 >wanted
same got wanted
unpack c/shards/merged merged.out
f=merged.out/$(key_of 7).json
equal "own captions" "$(field "$f" captions-en)" "$(field "fetched/$(key_of 7).json" captions-en)"
equal "captions of the other" "$(field "$f" captions-pt)" '["legenda 7"]'
same "merged.out/$(key_of 7).jpg" "fetched/$(key_of 7).jpg"
pack 75 absent --columns fetch,caption
has err "column 'caption' has no finished parts yet"

say "after a new revision of a column the set is stale, and made anew beside the old one"
before=$(sha256sum <c/shards/plain/00002.tar.zst)
fetch 0 "${fetch[@]}" --refetch transient
[ -f c/fetch/00002.r1.json ] || fail "no revision: $(ls c/fetch)"
pack 0 plain --no-shuffle --samples-per-shard 9 --dry-run
equal "stale parts" "$(grep -c 'its input has changed' said)" 3
pack 0 plain --no-shuffle --samples-per-shard 9
[ -f c/shards/plain/00002.r1.tar.zst ] || fail "not made anew: $(ls c/shards/plain)"
equal "the old one" "$(sha256sum <c/shards/plain/00002.tar.zst)" "$before"
keys plain >got
{ without 24 25 26 27; key_of 28; } >wanted
same got wanted
run 0 capivara verify c/shards/plain

say "two at once do no harm"
for i in 1 2 3; do
    capivara-shard --quiet --min-free 1M --corpus c --name race --seed 1 --samples-per-shard 4 \
        2>race.$i & pids+=($!)
done
for p in "${pids[@]:1}"; do
    got=0
    wait "$p" || got=$?
    [ $got -eq 0 ] || [ $got -eq 75 ] || fail "status $got: $(cat race.*)"
done
pids=("${pids[0]}")
pack 0 race --seed 1 --samples-per-shard 4
pack 0 alone --seed 1 --samples-per-shard 4
equal "tars" "$(tar_of c/shards/race)" "$(tar_of c/shards/alone)"
