# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
make_input 25 10
capivara run corpus.yaml 2>/dev/null
mv out c
capivara inspect c c/fetch 'c/fetch/{00000..00001}.tar.zst' c/fetch/00000.json >text
has text 'c: corpus'
has text 'c/fetch/00001.tar.zst: capivara shard'
has text "c/fetch/00000.json: commit record of column 'fetch' part 0 revision 0"
has text '10 of .json'
capivara inspect --format json c/fetch/00000.tar.zst c/fetch/00000.json c >json
[ "$(wc -l <json)" -eq 3 ] || fail lines
has json '"kind":"shard","samples":9,"members":18,'
has json '"kind":"record","column":"fetch","part":0,"revision":0,"row_begin":0,"row_end":10,"samples":9'
has json '"kind":"corpus","columns":[{"column":"fetch","parts":3,'
capivara cat c/fetch/00000.tar.zst >plain.tar
capivara inspect plain.tar >text
has text 'plain.tar: tar written by another program'
head -c 2000 plain.tar >cut.tar
capivara inspect cut.tar >text
has text 'cut off at byte'
expect 65 '*' capivara inspect corpus.yaml
expect 65 "*'none' is not there" capivara inspect none
printf 'X' | dd of=c/fetch/00000.tar.zst bs=1 seek=$(($(stat -c %s c/fetch/00000.tar.zst) - 30)) conv=notrunc 2>/dev/null
expect 65 "*00000.tar.zst*" capivara inspect c/fetch/00000.tar.zst
