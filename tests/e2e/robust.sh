#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What people do to their inputs between two runs, and inputs that are not what they
# should be: lists that shrink, tars that are damaged or share keys, pipes among the
# images, the same command given again.
. "$(dirname "$0")/lib.sh"

draw 12 >/dev/null
for f in world/images/*; do echo "$f"; done | head -n 10 | sed 's|^world/||' >names
table() { echo file; cat "$@"; }
table names >list.tsv
listed=(--file-col file --root world --image-size 32)

# limited STATUS COMMAND...: killed, and so a failure, if it takes longer than 20 s
limited() { run "$1" "$HELPER" run spent 20 "${@:2}"; }
program() { limited "$1" capivara-fetch --quiet --min-free 1M "${@:2}"; }
pack() { # STATUS CORPUS NAME OPTIONS...
    run "$1" capivara-shard --quiet --min-free 1M --corpus "$2" --name "$3" "${@:4}"
}
# What counts of a column: parts, samples, failures.
counts() { # CORPUS COLUMN
    capivara status "$1" --format json | sed 's/{"column":/\n&/g' |
        sed -n "s|^{\"column\":\"$2\",\"parts_committed\":\([0-9]*\),.*\"samples\":\([0-9]*\),\"failed\":\([0-9]*\),.*|\1 \2 \3|p"
}
# Every file and folder with digest, time and inode; the index and caches are not kept.
tree() { # CORPUS
    (cd "$1" && find . -printf '%P %y %i %T@ %s\n' | sort)
}
committed() { # CORPUS: the files that a run may never touch again
    (cd "$1" && find . -type f \( -name '[0-9]*.json' -o -name '*.tar.zst' \) \
        ! -name '*.stats.json' -printf '%P %i %T@ %s\n' | sort)
}
one_line() { # PATTERN: the standard error is this line alone
    equal "lines: $(cat err)" "$(wc -l <err)" 1
    has err "$1"
}

say "a list that became shorter: what is beyond does not count, and stays"
b=(--corpus c --input list.tsv "${listed[@]}" --rows-per-part)
c=("${b[@]}" 3)
fetch 0 "${c[@]}"
pack 0 c set --samples-per-shard 4 --no-shuffle
equal "all of it" "$(counts c fetch), $(counts c shards/set)" "4 10 0, 3 10 0"
capivara index dump c >dump.long
committed c >long
table <(head -n 6 names) >list.tsv
fetch 0 "${c[@]}"
pack 0 c set --samples-per-shard 4 --no-shuffle
equal "the shorter one" "$(counts c fetch), $(counts c shards/set)" "2 6 0, 2 6 0"
has c/fetch/column.json '"parts":2'
has c/shards/set/column.json '"parts":2'
run 0 capivara verify c
has said "4 shards, 12 samples"
capivara index dump c >dump.short
indexed() { sed -n "s/^INSERT INTO parts VALUES('fetch',\([0-9]*\),.*/\1/p" "$1" | tr '\n' ' '; }
equal "parts in the index" "$(indexed dump.long), $(indexed dump.short)" "0 1 2 3 , 0 1 "
committed c >short
comm -23 long short >lost
[ ! -s lost ] || fail "deleted or touched: $(cat lost)"
# A new set does not hold them.
pack 0 c fresh --samples-per-shard 100 --no-shuffle
equal "a new set" "$(counts c shards/fresh)" "1 6 0"
run 0 capivara gc --min-age 0 c
for part in 00002 00003; do
    [ -f "c/fetch/$part.tar.zst" ] && [ -f "c/fetch/$part.json" ] || fail "gc took part $part"
done

say "long again: they count again, nothing is fetched anew"
committed c/fetch >was
table names >list.tsv
# Whoever looked at an image now would find none.
mv world elsewhere
fetch 0 "${c[@]}"
mv elsewhere world
committed c/fetch >is
same is was
equal "all of it again" "$(counts c fetch)" "4 10 0"
pack 0 c set --samples-per-shard 4 --no-shuffle
equal "and packed" "$(counts c shards/set)" "3 10 0"
same "$(shards c/shards/set | head -n 1)" c/shards/set/00000.r2.tar.zst
run 0 capivara verify c

say "other sizes of parts and shards with --redo: the counts are those of a fresh corpus"
pack 78 c set --samples-per-shard 6 --no-shuffle
pack 0 c set --samples-per-shard 6 --no-shuffle --redo
equal "larger shards" "$(counts c shards/set)" "2 10 0"
pack 0 c set --samples-per-shard 3 --no-shuffle --redo
equal "smaller shards" "$(counts c shards/set)" "4 10 0"
fetch 78 "${b[@]}" 5
has err "rows_per_part: 3 -> 5"
fetch 0 "${b[@]}" 5 --redo
equal "larger parts" "$(counts c fetch)" "2 10 0"
fetch 0 --corpus five --input list.tsv "${listed[@]}" --rows-per-part 5
same c/fetch/00000.r1.tar.zst five/fetch/00000.tar.zst
same c/fetch/00001.r1.tar.zst five/fetch/00001.tar.zst
pack 0 c set --samples-per-shard 3 --no-shuffle
pack 0 five set --samples-per-shard 3 --no-shuffle
equal "the set" "$(counts c shards/set)" "4 10 0"
equal "its tars" "$(tar_of c/shards/set)" "$(tar_of five/shards/set)"
fetch 0 "${b[@]}" 2 --redo
equal "smaller parts" "$(counts c fetch)" "5 10 0"
run 0 capivara verify c

say "of three tars one is damaged in the middle: the others are committed"
mkdir tars one
for t in 0 1 2; do
    rm -f one/*
    for i in 0 1 2 3; do
        cp "world/$(sed -n "$(((t * 4 + i) % 10 + 1))p" names)" "one/$(printf %06d $i).jpg"
        echo "tar $t, row $i" >"one/$(printf %06d $i).txt"
    done
    tar --format=ustar --sort=name --mtime=@1700000000 -cf tars/$t.tar -C one -- $(ls one)
done
cp tars/1.tar whole.tar
cp -r tars good
at=$(grep -abo '000002\.jpg' tars/1.tar | head -n 1 | cut -d: -f1)
printf 'no header' | dd of=tars/1.tar bs=1 seek=$((at + 100)) conv=notrunc status=none
damaged=(--corpus damaged --input 'tars/{0..2}.tar' --image-size 32)
for again in 1 2; do
    fetch 65 "${damaged[@]}"
    equal "parts in run $again" "$(cd damaged/fetch && echo 0000?.json)" "00000.json 00002.json"
    equal "lines about the tar in run $again: $(cat err)" "$(grep -c "'tars/1.tar'" err)" 1
    has err "1 tars cannot be read; the others are done"
done
committed damaged >was
cp whole.tar tars/1.tar
fetch 0 "${damaged[@]}"
committed damaged >is
equal "new files" "$(comm -13 was is | cut -d' ' -f1 | tr '\n' ' ')" \
    "fetch/00001.json fetch/00001.tar.zst "
equal "touched files" "$(comm -23 was is)" ""
fetch 0 "${damaged[@]/damaged/undamaged}"
for p in 0 1 2; do same damaged/fetch/0000$p.tar.zst undamaged/fetch/0000$p.tar.zst; done
# Damaged at its first byte, or no tar at all: known before a sample is.
yes "this is no tar" 2>/dev/null | head -c 2000 >tars/1.tar || true
fetch 65 "${damaged[@]/damaged/none}"
equal "parts" "$(records none | wc -l)" 2
has err "'tars/1.tar'"
rm -rf tars
mv good tars

say "two tars with the same keys: all are packed, each under a key of its own"
fetch 0 --corpus k --input 'tars/{0..1}.tar' --image-size 32
wants k ok 8
for name in first second; do pack 0 k $name --no-shuffle --threads 1; done
capivara cat k/shards/first/00000.tar.zst | tar -t | sed -n 's/\.json$//p' >got
printf '%s\n' 000000 000001 000002 000003 00001-000000 00001-000001 00001-000002 \
    00001-000003 >wanted
same got wanted
same k/shards/second/00000.tar.zst k/shards/first/00000.tar.zst
unpack k/shards/first keys
has keys/000001.json '"tar 0, row 1"'
has keys/00001-000001.json '"tar 1, row 1"'
run 0 capivara verify k
# The cached survey gives the same as a new one; another order changes no key.
rm -f k/shards/second/00000.* k/shards/second/.survey
pack 0 k second --no-shuffle
same k/shards/second/00000.tar.zst k/shards/first/00000.tar.zst
pack 0 k mixed --samples-per-shard 3 --seed 2
for s in $(shards k/shards/mixed); do capivara cat "$s" | tar -t; done |
    sed -n 's/\.json$//p' | sort >got
sort wanted | cmp -s - got || fail "shuffled, the keys are $(cat got)"

say "a tar that is cut off, with a key twice: every sample is accounted for"
rm -f one/*
cp "world/$(sed -n 9p names)" one/000001.jpg # another image under a key that came before
cp tars/0.tar cut.tar
tar --format=ustar -rf cut.tar -C one 000001.jpg
cp "world/$(sed -n 10p names)" one/000009.jpg
tar --format=ustar -rf cut.tar -C one 000009.jpg
at=$(grep -abo '000009\.jpg' cut.tar | head -n 1 | cut -d: -f1)
head -c $((at + 1024)) cut.tar >short.tar
fetch 0 --corpus t --input short.tar --image-size 32
wants t ok 4 truncated 1 duplicate_key 1
has "$(records t)" '"row_begin":0,"row_end":6,'
equal "counted" "$(counts t fetch)" "1 4 2"
has t/fetch/00000.stats.json '"truncated":1'
run 0 capivara verify t

say "pipes, folders, loops and overlong names among the images: said at once"
mkfifo world/pipe.jpg
mkdir world/folder.jpg
ln -s loop.jpg world/loop.jpg
ln -s /dev/zero world/zero.jpg
long=$(printf 'x%.0s' $(seq 300)).jpg
{ head -n 2 names; printf '%s\n' pipe.jpg folder.jpg loop.jpg zero.jpg "$long"
  sed -n 3p names; } >mixed
want=(ok 3 not_a_file 3 read_error 2)
if [ "$(id -u)" != 0 ]; then
    cp "$IMAGES/jpeg-444.jpg" world/secret.jpg
    chmod 0 world/secret.jpg
    echo secret.jpg >>mixed
    want=(ok 3 not_a_file 3 read_error 3)
fi
table mixed >mixed.tsv
# None of them will pass by waiting: not even --max-transient 0 holds the part back.
program 0 --corpus m --input mixed.tsv "${listed[@]}" --max-transient 0
wants m "${want[@]}"
has_not "$(records m)" transient
for r in 2 3 5; do equal "row $r" "$(failure_of m $r)" not_a_file; done
for r in 4 6; do equal "row $r" "$(failure_of m $r)" read_error; done

say "--refetch takes a status that there is"
c=("${b[@]}" 2)
fetch 2 "${c[@]}" --refetch timeouts
one_line "'--refetch'"
for word in '' ok Timeout; do fetch 2 "${c[@]}" --refetch="$word"; done

say "what is fetched later and is what another row has: duplicate_content"
mkdir later
for i in 1 2 3; do cp "$IMAGES/jpeg-orientation-$i.jpg" later/$i.jpg; done
: >later/4.jpg
printf '%s\n' file 1.jpg 4.jpg 2.jpg 5.jpg 3.jpg >later.tsv
later=(--corpus later.c --input later.tsv --file-col file --root later --image-size 32)
fetch 0 "${later[@]}"
wants later.c ok 3 empty 1 missing_file 1
cp later/3.jpg later/4.jpg
cp later/1.jpg later/5.jpg
cp -r later.c other.c
fetch 0 "${later[@]}" --refetch all
equal "row 3" "$(failure_of later.c 3)" duplicate_content
wants later.c ok 3 duplicate_content 2
# As if it had been so from the beginning: the earlier row keeps the sample.
fetch 0 "${later[@]/later.c/begin.c}"
same "$(shards later.c)" "$(shards begin.c)"
failures begin.c | cmp -s - <(failures later.c) || fail "$(failures later.c)"
# Only one of the two is asked for: the other failure stays as it was.
fetch 0 "${later[@]/later.c/other.c}" --refetch missing_file
equal "rows" "$(failures other.c | tr '\n' ' ')" "1 empty 3 duplicate_content "
run 0 capivara verify later.c

say "a refetch of one part, killed and given again, ends as if undisturbed"
mkdir served
cp "$IMAGES"/jpeg-orientation-[3-6].jpg served/
head -c 300 "$IMAGES/jpeg-444.jpg" >served/broken.jpg
serve served
{ echo url
  printf "$url/%s\n" jpeg-orientation-3.jpg none.jpg late.jpg jpeg-orientation-4.jpg broken.jpg \
      delay/500/later.jpg flaky/2/jpeg-orientation-5.jpg; } >killed.tsv
killed=(--corpus killed --input killed.tsv "${FAST[@]}" --image-size 64 --accept-transient)
fetch 0 "${killed[@]}"
wants killed ok 2 http_4xx 3 decode 1 http_5xx 1
cp "$IMAGES/jpeg-444.jpg" served/late.jpg
cp "$IMAGES/jpeg-422.jpg" served/later.jpg
cp -r killed calm
capivara-fetch --quiet --min-free 1M "${killed[@]}" --corpus calm --refetch http_4xx \
    2>calm.err &
calm=$!
capivara-fetch --quiet --min-free 1M "${killed[@]}" --refetch http_4xx 2>killed.err &
victim=$!
journal=killed/fetch/.00000.r1.journal
for i in $(seq 60); do
    [ "$(stat -c %s $journal 2>/dev/null || echo 0)" -lt 2000 ] || break
    sleep 0.01
done
[ "$i" -lt 60 ] || fail "no row came: $(ls -lA killed/fetch; cat killed.err)"
{ kill -9 $victim; wait $victim || true; } 2>/dev/null
[ ! -e killed/fetch/00000.r1.json ] || fail "it was killed too late"
wait $calm || fail "undisturbed: $(cat calm.err)"
# What came before does not come again: it could not. The passing failure that nobody
# asked for stays one, though it has passed.
rm served/late.jpg
fetch 0 "${killed[@]}" --refetch http_4xx
wants killed ok 4 http_4xx 1 decode 1 http_5xx 1
same killed/fetch/00000.r1.tar.zst calm/fetch/00000.r1.tar.zst
same killed/fetch/00000.r1.json calm/fetch/00000.r1.json
[ ! -e $journal ] || fail "the journal is still there"
# Another word is other work: nothing of the first one's journal is used.
fetch 0 "${killed[@]}" --refetch http_5xx
wants killed ok 5 http_4xx 1 decode 1

say "too many failures: 65, however often it is asked"
few=(--corpus few --input few.tsv --file-col file --root later --max-failed 0.1)
printf 'file\n1.jpg\n2.jpg\nnone.jpg\n' >few.tsv
for again in 1 2 3; do
    fetch 65 "${few[@]}"
    one_line "1 of 3 rows failed, more than max_failed allows (0.1)"
done
fetch 0 "${few[@]/0.1/0.5}"

say "a part named twice is made once"
fetch 0 --corpus twice --input list.tsv "${listed[@]}" --rows-per-part 3 --parts 0,0,1
equal parts "$(cd twice/fetch && echo 0*.tar.zst)" "00000.tar.zst 00001.tar.zst"
run 0 capivara-fetch --quiet --min-free 1M --corpus twice --input list.tsv "${listed[@]}" \
    --rows-per-part 3 --parts 1,0-2,2
equal parts "$(cd twice/fetch && echo 0*.tar.zst)" "00000.tar.zst 00001.tar.zst 00002.tar.zst"

say "devices"
for d in foo cuda: cuda:x cuda:1x cpu:0 CPU ''; do
    fetch 2 "${c[@]}" --device "$d"
    one_line "'--device': expected auto, cpu or cuda[:N], got '$d'"
    run 2 capivara-shard --quiet --corpus five --name x --device "$d"
done
[ ! -e five/shards/x ] || fail "a wrong device made a set"

say "--dry-run writes nothing at all, in whatever state the corpus is"
rm -f twice/fetch/.plan
for corpus in twice five; do
    tree $corpus >was
    fetch 0 --corpus $corpus --input list.tsv "${listed[@]}" --dry-run \
        --rows-per-part "$([ $corpus = five ] && echo 5 || echo 3)"
    pack 0 $corpus dry --dry-run
    pack 0 $corpus set --dry-run --samples-per-shard 3 --no-shuffle
    tree $corpus >is
    same is was
done
# A corpus that is behind: fewer rows, other settings, rows that could be had again.
rm -f five/shards/set/.survey
tree five >was
table <(head -n 4 names) >fewer.tsv
fetch 0 --corpus five --input fewer.tsv "${listed[@]}" --dry-run --rows-per-part 5
fetch 78 --corpus five --input list.tsv "${listed[@]}" --dry-run --rows-per-part 4
fetch 0 --corpus five --input list.tsv "${listed[@]}" --dry-run --rows-per-part 4 --redo
pack 0 five set --dry-run --samples-per-shard 2 --no-shuffle --redo
tree five >is
same is was
tree damaged >was
fetch 0 "${damaged[@]}" --dry-run --refetch all
tree damaged >is
same is was

say "the format that auto finds, named: no other settings"
for f in list.tsv tars; do
    case $f in
    *.tsv) how=tsv more=("${listed[@]}") ;;
    tars) f='tars/{0..1}.tar' how=webdataset more=(--image-size 32) ;;
    esac
    fetch 0 --corpus "auto.$how" --input "$f" "${more[@]}"
    committed "auto.$how" >was
    has "auto.$how/fetch/settings.yaml" "$how"
    fetch 0 --corpus "auto.$how" --input "$f" "${more[@]}" --input-format $how
    fetch 0 --corpus "auto.$how" --input "$f" "${more[@]}" --input-format auto
    committed "auto.$how" >is
    same is was
done
fetch 78 --corpus auto.tsv --input list.tsv "${listed[@]}" --input-format csv
has err "tsv -> csv"

say "equal sets under two names are equal, records and settings too"
for name in alpha beta; do pack 0 twice $name --samples-per-shard 4 --seed 3; done
for f in settings.yaml 00000.tar.zst 00000.json 00002.tar.zst; do
    same twice/shards/beta/$f <(sed 's|shards/alpha|shards/beta|' twice/shards/alpha/$f)
done

say "a column that is named twice"
pack 2 twice double --columns fetch,fetch
one_line "'--columns': expected 1 to 64 names of columns, each once, got 'fetch, fetch'"
printf 'shard:\n  double: {columns: [fetch, fetch]}\n' >double.yaml
pack 2 twice double --config double.yaml
one_line "'double.yaml' line 2 column 12: 'shard.double.columns': expected"
[ ! -e twice/shards/double ] || fail "it made $(find twice/shards/double)"
