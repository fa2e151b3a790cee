# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
make_input 25 10
sed -i 's/^corpus: out/corpus: c/' corpus.yaml
capivara run corpus.yaml 2>/dev/null
expect 0 '' capivara gc c
has said 'freed 0 B in 0 files'
tree c >before

# A revision, what dead processes leave, and what must stay.
sed -i 's/image_size: 8/image_size: 9/' corpus.yaml
capivara run corpus.yaml --redo 2>/dev/null
tree c >redone
cp c/fetch/00000.tar.zst c/fetch/00007.tar.zst
echo half >c/fetch/.00008.tar.zst.tmp
echo journal >c/fetch/.00001.r1.journal
echo journal >c/fetch/.00009.journal
expect 0 '' capivara gc c --dry-run --min-age 0
has said 'would remove c/fetch/00002.tar.zst (superseded, '
has said 'would remove c/fetch/.00008.tar.zst.tmp (left by a dead process'
has said 'would remove c/fetch/.00001.r1.journal (journal of a committed part'
tree c | grep -v 00007 | diff redone - || fail 'a dry run changed something'
expect 0 '' capivara gc c --min-age 0
[ ! -e c/fetch/00007.tar.zst ] || fail orphan
[ ! -e c/fetch/00000.tar.zst ] && [ ! -e c/fetch/00000.json ] || fail superseded
[ -e c/fetch/00000.r1.tar.zst ] && [ -e c/fetch/00000.r1.json ] || fail counting
[ ! -e c/fetch/.00008.tar.zst.tmp ] && [ ! -e c/fetch/.00001.r1.journal ] || fail leftovers
[ -e c/fetch/.00009.journal ] || fail 'the journal of an unfinished part'
expect 0 '' capivara verify c
expect 0 '*0 parts committed*' capivara run corpus.yaml

# An orphan is left alone while it is young: its record may be on its way.
cp c/fetch/00000.r1.tar.zst c/fetch/00007.tar.zst
capivara gc c >/dev/null
[ -e c/fetch/00007.tar.zst ] || fail 'a young shard'

# Archived: kept until asked.
rm c/fetch/00007.tar.zst c/fetch/00001.r1.tar.zst
capivara gc c >/dev/null
[ -e c/fetch/00001.r1.json ] || fail 'an archived part'
capivara gc c --archived >/dev/null
[ ! -e c/fetch/00001.r1.json ] || fail 'still there'
expect 0 '*' capivara run corpus.yaml
expect 0 '' capivara verify c
expect 2 '*expected a corpus, not a file' capivara gc corpus.yaml
