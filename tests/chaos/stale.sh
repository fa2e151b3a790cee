#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What has become stale is made anew, as the next revision, and nothing else is touched:
# a caption changed, rows added, settings changed, the index deleted, an earlier column
# redone.
# shellcheck source=tests/chaos/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_world 160 40
make_config config.yaml 40
go() { run "$1" capivara run config.yaml --quiet "${@:2}"; }
index() { capivara index dump corpus; }

# Files of a folder that count, with digest, inode and time: touched means changed.
footprint() { # FOLDER
    (cd "corpus/$1" && find . -type f \( -name '*.tar.zst' -o -name '*[0-9].json' \
        -o -name 'settings*' \) -printf '%P %i %T@ %s\n' | sort)
}
remember() { footprint fetch >was.fetch; footprint shards/train >was.train; }
# expect_new FOLDER FILE...: these are new there, and all else is as it was.
expect_new() {
    local f=${1##*/}
    footprint "$1" >"is.$f"
    diff "was.$f" "is.$f" >changes || true
    sed -n 's/^> \([^ ]*\) .*/\1/p' changes | sort >new
    printf '%s\n' "${@:2}" | sed '/^$/d' | sort | diff - new || # expected, is
        fail "'$1': these are not the files that should be new"
    ! grep '^<' changes || fail "'$1': what was there was touched"
}
# What counts, column by column: parts, samples, failures and their reasons.
totals() {
    capivara status corpus --format json | sed 's/{"column":/\n&/g' | grep '^{"column"' |
        sed 's/"bytes":.*//'
}
# Of every part the highest revision is what a corpus made from nothing holds, and no
# other part counts.
fresh_equal() {
    local f kept r f_r
    totals >totals.is
    mv corpus kept
    run 0 capivara run config.yaml --quiet
    totals | diff - totals.is || fail "a fresh corpus counts otherwise"
    for f in corpus/fetch/0000?.tar.zst corpus/shards/train/0000?.tar.zst; do
        kept=kept/${f#corpus/} f_r=''
        for r in 1 2 3 4 5 6 7 8 9; do
            [ ! -f "${kept%.tar.zst}.r$r.json" ] || f_r=$r
        done
        [ -z "$f_r" ] || kept=${kept%.tar.zst}.r$f_r.tar.zst
        cmp "$f" "$kept" || fail "'$kept' is not what a fresh corpus holds"
    done
    rm -rf corpus
    mv kept corpus
}

go 0
remember

say "nothing changed: nothing is touched"
go 0
expect_new fetch
expect_new shards/train

say "index.sqlite deleted: the same again"
index >index.was
rm -f corpus/index.sqlite*
go 0
index | cmp - index.was || fail "the index differs"
expect_new fetch
expect_new shards/train

say "a caption changed in part 2: that part alone, and the sets made from it"
awk -F '\t' -v OFS='\t' 'NR == 100 { $2 = $2 " , changed" } { print }' list.tsv >list.new
cmp -s list.tsv list.new && fail "nothing was changed"
cp list.tsv list.first
mv list.new list.tsv
run 0 capivara-fetch --corpus corpus --config config.yaml --quiet --dry-run >planned
[ "$(grep -c ': done' planned)" = 3 ] && grep -q 'part 00002 .*its input has changed' planned ||
    { cat planned; fail "--dry-run says otherwise"; }
go 0
expect_new fetch 00002.r1.tar.zst 00002.r1.json
grep -q ' , changed' <(zstd -dcq corpus/fetch/00002.r1.tar.zst) || fail "the caption is not there"
expect_new shards/train 00000.r1.json 00000.r1.tar.zst 00001.r1.json 00001.r1.tar.zst \
    00002.r1.json 00002.r1.tar.zst
fresh_equal

say "and back again: a new revision, with the first one's bytes"
remember
cp list.first list.tsv
go 0
expect_new fetch 00002.r2.tar.zst 00002.r2.json
cmp corpus/fetch/00002.tar.zst corpus/fetch/00002.r2.tar.zst || fail "not the first one's bytes"

say "rows appended: a new part"
remember
sed -n '2,12p' list.first | sed 's|/images/|/chunked/images/|' >>list.tsv
go 0
expect_new fetch 00004.tar.zst 00004.json

say "rows appended again: the last part alone is made anew"
remember
sed -n '22,28p' list.first | sed 's|/images/|/chunked/images/|' >>list.tsv
go 0
expect_new fetch 00004.r1.tar.zst 00004.r1.json

say "the list became shorter: nothing is made but the sets, what is beyond does not count"
remember
cp list.tsv list.long
head -n 81 list.long >list.tsv
go 0
expect_new fetch
totals | grep -q '"column":"fetch","parts_committed":2,"parts":2,' || { totals; fail "not two parts"; }
fresh_equal
capivara gc corpus >gc.said
ls corpus/fetch/{00000,00001,00002.r2,00003,00004.r1}.{json,tar.zst} >/dev/null ||
    fail "gc took what may count again: $(cat gc.said)"
say "long again: they count as they are"
remember
cp list.long list.tsv
go 0
expect_new fetch
fresh_equal

say "settings changed: refused with a difference, field by field, and nothing touched"
remember
sed -i 's/image_size: 64/image_size: 48/' config.yaml
go 78
grep -q 'fetch.image_size: 64 -> 48' said || { cat said; fail "no difference is said"; }
expect_new fetch
expect_new shards/train
say "--redo: every part anew, and the new settings pinned"
go 0 --redo
expect_new fetch settings.r1.yaml 00000.r1.tar.zst 00000.r1.json 00001.r1.tar.zst \
    00001.r1.json 00002.r3.tar.zst 00002.r3.json 00003.r1.tar.zst 00003.r1.json \
    00004.r2.tar.zst 00004.r2.json
grep -q 'image_size: 48' corpus/fetch/settings.r1.yaml || fail "the new settings are not pinned"
fresh_equal
go 0
sed -i 's/image_size: 48/image_size: 64/' config.yaml
go 78
sed -i 's/image_size: 64/image_size: 48/' config.yaml

say "what changes no byte is no change"
remember
sed -i 's/per_host: 32/per_host: 16/; s/retries: 1/retries: 2/' config.yaml
go 0 --threads 7
expect_new fetch
expect_new shards/train

say "the seed changed: the sets alone"
sed -i 's/seed: 5/seed: 6/' config.yaml
go 78
go 0 --redo
expect_new fetch
grep -q 'seed: 6' corpus/shards/train/settings.r1.yaml || fail "the new seed is not pinned"

say "a second set beside the first, which is not touched"
remember
printf '  small:\n    samples_per_shard: 20\n    images: false\n' >>config.yaml
go 0
expect_new shards/train
expect_new fetch
[ -f corpus/shards/small/00000.tar.zst ] || fail "no second set"

say "gc removes what was superseded, and the rest still is what it was"
index >index.was
capivara gc corpus >/dev/null
find corpus -name '00002.tar.zst' -path '*fetch*' | grep . && fail "gc left a superseded part"
go 0
index | cmp - index.was || fail "the index differs after gc"
run 0 capivara verify --quiet corpus
say "all as it should be"
