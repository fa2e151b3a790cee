#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# capivara-translate: the same bytes whatever happens on the way, languages side by side,
# translations made elsewhere, and the filter.
. "$(dirname "$0")/lib.sh"

MODEL=$ROOT/demo/models/en-pt
[ -f "$MODEL/model.safetensors" ] || skip "$MODEL is not there"
[ -x "$BUILD/capivara-translate" ] || skip "$BUILD/capivara-translate is not there"

# Two parts: of 262 samples, so two groups, and of 30 with captions that the first has, too.
# Row 5 says the same twice.
ROWS=292 PER_PART=262
draw $ROWS
awk -F '\t' -v OFS='\t' -v per=$PER_PART '
    NR == 1 { print "file", "caption_1", "caption_2"; next }
    { sub(/^[a-z]*:\/\/[^\/]*\//, "", $1); row = NR - 2; one[row] = $2; two[row] = $3 }
    row >= per { one[row] = one[row - per]; two[row] = two[row - per] }
    row == 5 { two[row] = one[row] }
    { print $1, one[row], two[row] }' world/captions.tsv >list.tsv
cat >run.yaml <<END
corpus: c
min_free: 0
input:
  path: list.tsv
  file: file
  root: world
  captions: [caption_1, caption_2]
fetch:
  rows_per_part: $PER_PART
  image_size: 32
translate:
  pt:
    model: $MODEL
END

translate() { # STATUS CORPUS OPTIONS...
    run "$1" capivara-translate --quiet --min-free 0 --corpus "$2" --lang pt \
        --model "$MODEL" "${@:3}"
}
# texts FOLDER KEY: a line for each string of that key, by key of the sample
texts() {
    local f
    for f in "$1"/*.json; do
        field "$f" "$2" | sed 's/^\["//; s/"\]$//; s/","/\n/g'
    done
}

many() { field "$1" "$2" | awk -F '","' '{ print NF }'; } # FILE KEY: strings in the list

say "capivara run fetches and translates"
run 0 capivara run --quiet run.yaml
equal parts "$(records c/translate-pt | wc -l)" 2
equal samples "$(samples c/translate-pt)" $ROWS
unpack c/fetch en.out
unpack c/translate-pt pt.out
equal "keys" "$(ls pt.out)" "$(ls en.out | grep json)"
for f in pt.out/*.json; do
    n=$(many "en.out/${f#pt.out/}" captions-en)
    equal "$f: captions" "$(many "$f" captions-pt)" "$n"
    equal "$f: flags" "$(many "$f" flags-pt)" "$n"
    has_not "$f" captions-en
    has_not "$f" '""],"flags'
done
texts en.out captions-en >en.txt
texts pt.out captions-pt >pt.txt
TEXTS=$(wc -l <en.txt)
equal "a text twice, a translation twice" \
    "$(paste en.txt pt.txt | sort -u | wc -l)" "$(sort -u en.txt | wc -l)"
s0=c/translate-pt/00000.stats.json s1=c/translate-pt/00001.stats.json
equal sentences $(($(stat_of $s0 sentences) + $(stat_of $s1 sentences))) "$TEXTS"
[ "$(stat_of $s0 distinct)" -lt "$(stat_of $s0 sentences)" ] || fail "not one duplicate: $(cat $s0)"
equal "hits of the first part" "$(stat_of $s0 memory_hits)" 0
equal "hits of the second" "$(stat_of $s1 memory_hits)" "$(stat_of $s1 distinct)"
equal "tokens of the second" "$(stat_of $s1 tokens_out)" 0
[ "$(stat_of $s0 tokens_out)" -gt $PER_PART ] || fail "tokens: $(cat $s0)"
bytes c/translate-pt >wanted.bytes

say "a second run does nothing"
tree c/fetch c/translate-pt >before
run 0 capivara run --quiet run.yaml
tree c/fetch c/translate-pt >after
same after before

say "no byte depends on threads, lanes, memory, or the order of parts"
for options in '--threads 1' '--threads 2' '--threads 7' '--lanes 1' '--lanes 5 --threads 2' \
    '--no-memory'; do
    fresh v
    translate 0 v $options
    bytes v/translate-pt >got.bytes
    cmp -s got.bytes wanted.bytes || fail "$options: other bytes"
done
[ ! -e v/translate-pt/.memory ] || fail "--no-memory keeps one"
fresh v
translate 0 v --parts 1
[ -s v/translate-pt/.memory ] || fail "no memory: $(ls -a v/translate-pt)"
equal "hits of the first to come" "$(stat_of v/translate-pt/00001.stats.json memory_hits)" 0
translate 0 v --parts 0
[ "$(stat_of v/translate-pt/00000.stats.json memory_hits)" -gt 0 ] ||
    fail "a memory of another run is not used"
bytes v/translate-pt >got.bytes
same got.bytes wanted.bytes
fresh v
translate 0 v --parts 1
rm v/translate-pt/.memory
translate 0 v
equal "hits without a file" "$(stat_of v/translate-pt/00000.stats.json memory_hits)" 0
bytes v/translate-pt >got.bytes
same got.bytes wanted.bytes
# The memory is of one model and its settings.
fresh v
translate 0 v --parts 1 --beams 1
cp v/translate-pt/.memory other.memory
fresh v
mkdir v/translate-pt
cp other.memory v/translate-pt/.memory
translate 0 v
equal "hits in another's" "$(stat_of v/translate-pt/00000.stats.json memory_hits)" 0
bytes v/translate-pt >got.bytes
same got.bytes wanted.bytes

kills=${E2E_KILLS:-20} # more: by hand
say "$kills kills"
fresh v
RANDOM=11
killed=0
for i in $(seq 400); do
    [ $killed -lt "$kills" ] || break
    memory=--memory
    [ $((RANDOM % 3)) -gt 0 ] || memory=--no-memory
    capivara-translate --quiet --min-free 0 --corpus v --lang pt --model "$MODEL" \
        --threads $((RANDOM % 3 + 1)) $memory >/dev/null 2>err </dev/null &
    victim=$!
    sleep "$(printf '0.%03d' $((RANDOM % 500)))"
    kill -9 $victim 2>/dev/null && killed=$((killed + 1))
    { wait $victim || true; } 2>/dev/null
    # All of it was there before the kill: from the beginning.
    [ "$(ls v/translate-pt 2>/dev/null | grep -c '^[0-9]*.tar.zst$')" -lt 2 ] || fresh v
done
equal kills $killed "$kills"
translate 0 v
bytes v/translate-pt >got.bytes
same got.bytes wanted.bytes
run 0 capivara verify v

say "another language touches nothing"
tree c/fetch c/translate-pt >before
cat >>run.yaml <<END
  gl:
    model: $MODEL
    beams: 1
END
run 0 capivara run --quiet run.yaml
tree c/fetch c/translate-pt >after
same after before
equal "samples of the other" "$(samples c/translate-gl)" $ROWS

say "other settings, another model, none"
translate 78 c --beams 3
has err "beams: 0 -> 3"
cp -r "$MODEL" other
printf ' ' >>other/config.json
run 78 capivara-translate --quiet --min-free 0 --corpus c --lang pt --model other
has err model_sha256
run 0 capivara-translate --quiet --min-free 0 --corpus v --lang pt --model other --redo
[ -f v/translate-pt/00001.r1.json ] || fail "no revision: $(ls v/translate-pt)"
cp -r "$MODEL" moved
run 0 capivara-translate --quiet --min-free 0 --corpus c --lang pt --model moved
translate 0 v --beams 1 --redo
[ -f v/translate-pt/00000.r2.tar.zst ] || fail "no revision: $(ls v/translate-pt)"
run 0 capivara verify v
run 65 capivara-translate --quiet --min-free 0 --corpus c --lang fr --model org/none
has err "capivara models pull"
run 65 capivara-translate --model org/none
has err "capivara models pull"
run 2 capivara-translate --quiet --min-free 0 --corpus c --lang fr
has err "translate.fr.model"
mkdir empty
run 75 capivara-translate --quiet --min-free 0 --corpus empty --lang pt --model "$MODEL"
has err "column 'fetch' has no finished parts yet"

say "translations made elsewhere"
pairs=$(for f in pt.out/*.json; do
    [ "$(many "$f" captions-pt)" -ne 2 ] || basename "$f" .json
done)
first=$(sed -n 1p <<<"$pairs") second=$(sed -n 2p <<<"$pairs") last=$(tail -n 1 <<<"$pairs")
{ printf 'key\tindex\ttext\n'
  printf '%s\t0\tInja emnyama\n' "$first"
  printf '%s\tone\tnot an index\n' "$first"
  printf '%s\t1\t"amanzi" \\ a\xff\xfeb\r\n' "$first"
  printf '%s\t0\tanother\n' "$first"
  printf 'nobody\t0\tno such key\n'
  printf 'no tabs\n'
  printf '%s\t1\tikati' "$second"; } >xh.tsv
import() { # STATUS OPTIONS...
    run "$1" capivara import --corpus c --lang xh "${@:2}"
}
import 0 xh.tsv
has err "'xh.tsv'"
has err "2 lines are not key, index and text"
has err "the first is line 3"
has err "1 rows are for a caption that had one"
unpack c/translate-xh xh.out
equal samples "$(ls xh.out | wc -l)" $ROWS
got=$(cat "xh.out/$first.json")
wanted=$(printf '{"captions-xh":["Inja emnyama","\\"amanzi\\" \\\\ a\xef\xbf\xbd\xef\xbf\xbdb"],')
case $got in "$wanted"*) ;; *) fail "'$got', expected '$wanted'" ;; esac
equal "of the second" "$(field "xh.out/$second.json" captions-xh)" '["","ikati"]'
case $(field "xh.out/$second.json" flags-xh) in '["empty",'*) ;; *) fail "not flagged" ;; esac
equal "without a row" "$(field "xh.out/$last.json" flags-xh)" '["empty","empty"]'
tree c/translate-xh >before
import 0 xh.tsv
tree c/translate-xh >after
same after before
sed 's/ikati/inja/' xh.tsv >xh2.tsv
import 78 xh2.tsv
has err model_sha256
import 0 --redo xh2.tsv
[ -f c/translate-xh/00001.r1.json ] || fail "no revision: $(ls c/translate-xh)"
rm -r xh.out
unpack c/translate-xh xh.out
equal "of the second" "$(field "xh.out/$second.json" captions-xh)" '["","inja"]'
printf 'no rows\n' >none.tsv
import 65 --redo none.tsv
has err "'none.tsv' line 1: expected key, index and text"
: >none.tsv
import 65 --redo none.tsv
import 74 --redo not-there.tsv
has err not-there.tsv
run 0 capivara verify c

say "packed with its translations"
run 0 capivara-shard --quiet --min-free 0 --corpus c --name m --no-shuffle --no-dedup-content \
    --columns fetch,translate-pt,translate-xh
unpack c/shards/m m.out
equal samples "$(ls m.out/*.json | wc -l)" $ROWS
for key in captions-pt flags-pt; do
    equal "$key" "$(field "m.out/$first.json" $key)" "$(field "pt.out/$first.json" $key)"
done
equal captions-en "$(field "m.out/$first.json" captions-en)" \
    "$(field "en.out/$first.json" captions-en)"
equal captions-xh "$(field "m.out/$second.json" captions-xh)" '["","inja"]'

say "packed without what looks wrong"
run 0 capivara-shard --quiet --min-free 0 --corpus c --name d --no-shuffle --no-dedup-content \
    --columns fetch,translate-pt,translate-xh --drop-flags empty,loop
unpack c/shards/d d.out
equal samples "$(ls d.out/*.json | wc -l)" $ROWS
equal "of the second" "$(field "d.out/$second.json" captions-xh)" '["inja"]'
equal "its flags" "$(many "d.out/$second.json" flags-xh)" 1
equal "of the last" "$(field "d.out/$last.json" captions-xh)$(field "d.out/$last.json" flags-xh)" \
    '[][]'
for key in captions-en captions-pt flags-pt; do
    equal "$key" "$(field "d.out/$last.json" $key)" "$(field "m.out/$last.json" $key)"
done
run 78 capivara-shard --quiet --min-free 0 --corpus c --name d --no-shuffle --no-dedup-content \
    --columns fetch,translate-pt,translate-xh --drop-flags empty
has err drop_flags
run 2 capivara-shard --quiet --min-free 0 --corpus c --name e --drop-flags emtpy
has err "words out of empty, copied, script, loop, ratio and cut"
run 0 capivara verify c

say "the filter says what the stage says"
filter() { capivara-translate --model "$MODEL" "$@"; }
filter <en.txt >got 2>err || fail "status $?: $(cat err)"
same got pt.txt
equal "said on the side" "$(cat err)" ""
{ head -n 20 en.txt; echo; sed -n 21,40p en.txt; } |
    filter --lang pt --threads 7 --lanes 3 >got
{ head -n 20 pt.txt; echo; sed -n 21,40p pt.txt; } >wanted
same got wanted

say "what is drawn depends on the seed and the text"
head -n 100 en.txt >some
filter --sample --temperature 2 --seed 1 --threads 1 <some >one
filter --sample --temperature 2 --seed 1 --threads 7 --lanes 3 <some >got
same got one
sort -r some | filter --sample --temperature 2 --seed 1 >got
paste some one | sort -r | cut -f 2 >wanted
sort got >got.sorted
sort wanted >wanted.sorted
same got.sorted wanted.sorted
filter --sample --temperature 2 --seed 2 <some >got
! cmp -s got one || fail "two seeds, one text"

say "a line in, a line out"
{ head -n 500 en.txt
  printf '\n\r\n \t \n'
  head -n 1 en.txt | sed 's/$/\r/'
  printf 'a \xff\xfe red \xc3 circle\n\xf0\x9f\n'
  printf 'nul \0 nul\n'
  head -c 100000 /dev/zero | tr '\0' x
  echo
  awk 'BEGIN { for (i = 0; i < 7000; i++) printf "a red circle "; print "" }'
  head -n 490 en.txt
  printf 'a red circle'; } >lines
equal "lines in" $(($(tr -cd '\n' <lines | wc -c) + 1)) 1000
filter <lines >got 2>err || fail "status $?: $(cat err)"
equal "lines out" "$(wc -l <got)" 1000
iconv -f UTF-8 -t UTF-8 got >/dev/null || fail "what comes out is not UTF-8"
head -n 500 got >first.500
head -n 500 pt.txt >wanted
same first.500 wanted
equal "empty ones" "$(sed -n '501,503p' got | tr -d '\n')" ""
equal "with a carriage return" "$(sed -n 504p got)" "$(head -n 1 pt.txt)"
sed -n '510,999p' got >after.bad
head -n 490 pt.txt >wanted
same after.bad wanted
equal "a last one without an end" "$(tail -n 1 got)" "$(echo 'a red circle' | filter)"
filter --flags --lang pt <lines >got
equal "lines out" "$(wc -l <got)" 1000
sed -n 509p got | sed 's/.*\t//' >long
has long cut
sed 's/\t.*//' got | sed -n 1,500p >first.500
head -n 500 pt.txt >wanted
same first.500 wanted
# Nothing at all.
filter </dev/null >got 2>err || fail "status $?"
equal "of nothing" "$(cat got err)" ""

say "several translations of a line"
head -n 5 en.txt | filter --n-best 3 >several
equal "lines of three" "$(wc -l <several)" 15
equal "the lines they are of" "$(cut -f 1 several | uniq -c | awk '{ print $1 "x" $2 }' | tr '\n' ' ')" \
    "3x1 3x2 3x3 3x4 3x5 "
awk -F '\t' '$1 != was { was = $1; print $3 }' several >best
head -n 5 pt.txt >wanted
same best wanted
awk -F '\t' '$1 == was && $2 > before { exit 1 } { was = $1; before = $2 }' several ||
    fail "the best do not come first: $(cat several)"
run 2 capivara-translate --model "$MODEL" --beams 2 --n-best 3
has err "need as many beams"
head -n 2 en.txt | filter --beams 100 --n-best 100 >several
equal "lines of a hundred" "$(cut -f 1 several | uniq -c | awk '{ print $1 "x" $2 }' | tr '\n' ' ')" \
    "100x1 100x2 "
equal "translations that come once" "$(cut -f 1,3 several | sort -u | wc -l)" 200
run 2 capivara-translate --model "$MODEL" --beams 127
has err "from 0 to 126"

say "whoever reads has enough"
for i in $(seq 20); do cat en.txt; done >many
{ got=0; filter <many 2>err || got=$?; echo $got >status; } | head -n 3 >got
head -n 3 pt.txt >wanted
same got wanted
equal status "$(cat status)" 0
equal "said on the side" "$(cat err)" ""

say "an answer at once"
mkfifo to from
filter <to >from 2>err & pids+=($!)
exec 7>to 8<from
for i in 1 2 3; do
    sed -n ${i}p en.txt >&7
    IFS= read -r -t 60 answer <&8 || fail "no answer to line $i"
    equal "answer $i" "$answer" "$(sed -n ${i}p pt.txt)"
done
exec 7>&- 8<&-
wait "${pids[-1]}" || fail "status $?: $(cat err)"
pids=()
