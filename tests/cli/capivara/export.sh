# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
make_input 25 10
capivara run corpus.yaml 2>/dev/null
mv out c
capivara export --plain -o plain c/fetch/00000.tar.zst c/fetch/00001.tar.zst 2>err || capivara export --plain --output plain c/fetch/00000.tar.zst c/fetch/00001.tar.zst
capivara cat c/fetch/00001.tar.zst | cmp - plain/00001.tar
has plain/sizes.json '"00000.tar"'
[ -f plain/00000.idx ] && [ -f plain/wids.json ] || fail lists
capivara export --plain --output all c >/dev/null
[ -f all/fetch/00002.tar ] && [ -f all/shards/train/00000.tar ] || fail all
capivara export --plain --output column c/fetch >/dev/null
cmp all/fetch/sizes.json column/sizes.json
capivara export --plain --output column c/fetch >/dev/null
echo other >column/00001.tar
expect 65 '*00001.tar*' capivara export --plain --output column c/fetch
expect 65 '*' capivara export --plain --output x corpus.yaml
