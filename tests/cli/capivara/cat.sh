# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
make_input 25 10
capivara run corpus.yaml 2>/dev/null
s=out/fetch/00001.tar.zst
mv out c
s=c/fetch/00001.tar.zst

capivara cat $s >all.tar
[ "$(tar tf all.tar | wc -l)" -eq 20 ] || fail "$(tar tf all.tar)"
if command -v zstd >/dev/null; then zstd -dcq $s | cmp - all.tar; fi
tar xf all.tar
capivara cat $s:000012.json | cmp - 000012.json
capivara cat $s:000012 >one.tar
tar tf one.tar | grep -qx 000012.jpg
[ "$(tar tf one.tar | wc -l)" -eq 2 ] || fail one

# In a corpus: by the index, without it, and with one that lies.
capivara cat c 000012.json | cmp - 000012.json
capivara cat c/shards/train 000012.json >packed.json
rm c/index.sqlite
capivara cat c 000012.json | cmp - 000012.json
echo garbage >c/index.sqlite
capivara cat c/fetch 000012.json | cmp - 000012.json
rm c/index.sqlite

# Tars of others, where keys may have folders.
mkdir -p d
echo text >d/k.seg.txt
tar cf foreign.tar d/k.seg.txt
[ "$(capivara cat foreign.tar:d/k.seg.txt)" = text ] || fail foreign
[ "$(capivara cat foreign.tar d/k.seg.txt)" = text ] || fail foreign

expect 65 "*has no sample '77'" capivara cat $s:77
expect 65 "*has no sample '77'*" capivara cat c 77
expect 65 "*txt*" capivara cat $s:000012.txt
expect 65 "*has no sample 'd/none'" capivara cat foreign.tar:d/none
expect 65 '*' capivara cat none.tar
expect 2 "*expected KEY or KEY.EXT*" capivara cat $s:

# Whoever stops reading ends it without a word.
capivara cat $s | head -c 1 >/dev/null
