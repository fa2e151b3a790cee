# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
make_input 25 10
expect 0 '*3 parts committed*' capivara run corpus.yaml
[ -f out/fetch/00002.tar.zst ] && [ -f out/shards/train/00000.json ] && [ -f out/index.sqlite ] || fail 'not all there'
[ ! -e out/index.sqlite-wal ] || fail 'the index was left open'
tree out >first
capivara index dump out >dump1

# The copy means the same from anywhere.
has out/config.yaml '# what the demo of this case is made from'
has out/config.yaml "base: $PWD"
mkdir elsewhere
(cd elsewhere && capivara run --corpus ../out) 2>err
has err '0 parts committed, 3 done before'
tree out >second
same first second

# Another corpus of the same input, in another order, has the same bytes.
capivara fetch --config corpus.yaml --corpus two --parts 2,0 2>/dev/null
expect 0 '*' capivara run corpus.yaml --corpus two --threads 7
tree two | grep -v config.yaml >third
grep -v config.yaml first | diff - third
capivara index dump two >dump2
same dump1 dump2

# --parts leaves out what needs every part.
expect 0 '*shards/train: left out*' capivara run corpus.yaml --corpus three --parts 1
[ -f three/fetch/00001.json ] && [ ! -e three/fetch/00000.json ] && [ ! -e three/shards ] || fail 'parts'

# A changed pinned setting is refused with a difference, and --redo accepts it.
sed -i 's/image_size: 8/image_size: 9/' corpus.yaml
expect 78 '*fetch.image_size: 8 -> 9*' capivara run corpus.yaml
tree out | grep -v config.yaml >fourth
grep -v config.yaml first | diff - fourth
expect 0 '*' capivara run corpus.yaml --redo
[ -f out/fetch/00002.r1.json ] || fail 'no revision'
capivara index dump out >incremental
capivara index rebuild out >/dev/null
capivara index dump out >rebuilt
same incremental rebuilt
expect 0 '' capivara verify out

# --dry-run writes nothing.
expect 0 "*'shards/train' cannot be planned yet" capivara run corpus.yaml --corpus nowhere --dry-run
has said 'fetch part 00002 rows 20-26: new'
[ ! -e nowhere ] || fail 'a dry run made the corpus'
