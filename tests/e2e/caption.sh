#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# capivara-caption: the same bytes whatever happens on the way, images that cannot be
# read, what the statistics say, captions translated and packed, and the tool on files.
. "$(dirname "$0")/lib.sh"

MODEL=$ROOT/tests/golden/blip/base
TRANSLATOR=$ROOT/demo/models/en-pt
[ -f "$MODEL/model.safetensors" ] || skip "$MODEL is not there"
[ -x "$BUILD/capivara-caption" ] || skip "$BUILD/capivara-caption is not there"

# Two parts, of 70 samples and of 30, less two: row 12 is no image at all, row 15 one that
# is cut off, which fetch takes and the model does not.
ROWS=100 PER_PART=70
draw 150
pictures=(world/images/*.jpg)
[ ${#pictures[@]} -ge $ROWS ] || fail "too few pictures"
echo 'no image' >world/images/none.jpg
head -c $(($(stat -c %s "${pictures[15]}") * 2 / 3)) "${pictures[15]}" >world/images/cut.jpg
for i in "${!pictures[@]}"; do
    case $i in
    12) name=none.jpg ;;
    15) name=cut.jpg ;;
    *) name=$(basename "${pictures[i]}") ;;
    esac
    printf 'images/%s\tpicture %s\n' "$name" "$i"
done >all.tsv
{ printf 'file\tcaption\n'; head -n $ROWS all.tsv; } >list.tsv
cat >run.yaml <<END
corpus: c
seed: 3
min_free: 0
input:
  path: list.tsv
  file: file
  root: world
  captions: [caption]
fetch:
  rows_per_part: $PER_PART
  pass_through: true
  accept_truncated: true
caption:
  model: $MODEL
  max_new_tokens: 12
translate:
  pt:
    model: $TRANSLATOR
    generated: true
END
N=$((ROWS - 2))

caption() { # STATUS CORPUS OPTIONS...
    run "$1" capivara-caption --quiet --min-free 0 --seed 3 --corpus "$2" --model "$MODEL" \
        --max-new-tokens 12 "${@:3}"
}
sum_of() { # KEY FILES...
    local key=$1 total=0 f
    shift
    for f in "$@"; do total=$((total + $(stat_of "$f" "$key"))); done
    echo $total
}
many() { field "$1" "$2" | awk -F '","' '{ print NF }'; } # FILE KEY: strings in the list
# texts FILES...: a line for each generated caption
texts() {
    local f
    for f in "$@"; do
        field "$f" generated-captions-en | sed 's/^\["//; s/"\]$//; s/","/\n/g'
    done
}

say "capivara run fetches, captions and translates"
if [ -f "$TRANSLATOR/model.safetensors" ]; then
    run 0 capivara run --quiet run.yaml
else
    sed -i '/^translate:/,$d' run.yaml
    run 0 capivara run --quiet run.yaml
fi
equal parts "$(records c/caption | wc -l)" 2
equal samples "$(samples c/caption)" $N
equal "fetched" "$(samples c/fetch)" $((ROWS - 1))
unpack c/fetch en.out
unpack c/caption caption.out
equal "samples without captions" "$(ls caption.out | wc -l)" $N
for f in caption.out/*.json; do
    equal "$f: captions" "$(many "$f" generated-captions-en)" 10
    has_not "$f" captions-en\":[\"picture
done
texts caption.out/*.json >captions
[ "$(sort -u captions | wc -l)" -gt 30 ] || fail "the images make no difference: $(sort -u captions)"
# What the vocabulary has of the second and the last of the reference's prompts.
equal "begins with its prompt" \
    "$(awk 'NR % 10 == 2 && /^a photo of/ || NR % 10 == 0 && /^the picture shows/' captions | wc -l)" \
    $((2 * N))

say "an image that cannot be read"
equal "its row" "$(failures c/caption)" "15 decode"
equal "of fetch" "$(failures c)" "12 not_image"
[ -f en.out/0000015.jpg ] || fail "fetch did not take it"
[ ! -f caption.out/0000015.json ] || fail "captions of half an image"
capivara status --corpus c >said
has said caption

say "the statistics"
stats=(c/caption/*.stats.json)
equal images "$(sum_of images "${stats[@]}")" $N
equal unreadable "$(sum_of unreadable "${stats[@]}")" 1
equal captions "$(sum_of captions "${stats[@]}")" $((10 * N))
equal resumed "$(sum_of resumed "${stats[@]}")" 0
first=(caption.out/00000*.json)
texts "${first[@]}" >first.captions
equal duplicates "$(stat_of ${stats[0]} duplicates)" \
    $(($(wc -l <first.captions) - $(sort -u first.captions | wc -l)))
equal "their share" "$(stat_of ${stats[0]} duplicate_share)" \
    "$(awk -v n=$(wc -l <first.captions) -v d="$(stat_of ${stats[0]} duplicates)" 'BEGIN { printf "%.4f", d / n }')"
new=$(sum_of new_tokens "${stats[@]}") cut=$(sum_of cut "${stats[@]}")
[ "$cut" -gt 0 ] && [ "$cut" -lt $((10 * N)) ] || fail "cut: $cut"
[ "$new" -ge $((12 * cut)) ] && [ "$new" -lt $((120 * N)) ] || fail "new tokens: $new, $cut cut"
# Ten prompts of 4 + 4 + ... tokens: the same for every image.
equal "prompt tokens" $(($(sum_of prompt_tokens "${stats[@]}") % N)) 0
awk -v p="$(stat_of ${stats[0]} seconds_prepare)" -v m="$(stat_of ${stats[0]} seconds_decoding)" \
    -v r="$(stat_of ${stats[0]} images_per_second)" 'BEGIN { exit !(p >= 0 && m > 0 && r > 0) }' ||
    fail "seconds: $(cat ${stats[0]})"

say "a second run does nothing"
tree c/fetch c/caption >before
run 0 capivara run --quiet run.yaml
tree c/fetch c/caption >after
same after before
bytes c/caption >wanted.bytes

say "no byte depends on threads, images in work, or the order of parts"
for options in '--threads 1' '--threads 2' '--threads 7' '--images 1' '--images 3 --threads 2' \
    '--images 200 --threads 1'; do
    fresh v
    caption 0 v $options
    bytes v/caption >got.bytes
    cmp -s got.bytes wanted.bytes || fail "$options: other bytes"
done
fresh v
caption 0 v --parts 1
[ ! -e v/caption/00000.json ] || fail "--parts 1 made part 0"
printf '0\n' | capivara-caption --quiet --min-free 0 --seed 3 --corpus v --model "$MODEL" \
    --max-new-tokens 12 --parts - || fail "status $?"
bytes v/caption >got.bytes
same got.bytes wanted.bytes
run 0 capivara verify v

say "--dry-run says what would be done, and does nothing"
fresh v
tree v >before
caption 0 v --dry-run
has said 'caption part 00000 rows 0-70: new'
has said 'caption part 00001 rows 70-100: new'
tree v >after
same after before

kills=${E2E_KILLS:-12} # more: by hand
say "$kills kills"
fresh v
RANDOM=${E2E_SEED:-11}
killed=0 resumed=0
for i in $(seq $((kills * 20))); do
    [ $killed -lt "$kills" ] || break
    capivara-caption --quiet --min-free 0 --seed 3 --corpus v --model "$MODEL" \
        --max-new-tokens 12 --threads $((RANDOM % 3 + 1)) >/dev/null 2>err </dev/null &
    victim=$!
    sleep "$(printf '0.%03d' $((RANDOM % 150 + 5)))"
    if [ $((RANDOM % 4)) -eq 0 ]; then signal=-15; else signal=-9; fi
    kill $signal $victim 2>/dev/null && killed=$((killed + 1))
    { wait $victim || true; } 2>/dev/null
    [ -z "$(find v/caption -name '*.journal' -size +2k 2>/dev/null)" ] || resumed=$((resumed + 1))
    # All of it was there before the kill: from the beginning.
    [ "$(ls v/caption 2>/dev/null | grep -c '^[0-9]*.tar.zst$')" -lt 2 ] || fresh v
done
equal kills $killed "$kills"
caption 0 v
bytes v/caption >got.bytes
same got.bytes wanted.bytes
[ -n "$SLOW" ] || [ $resumed -gt 0 ] || fail "not one kill left a journal"
run 0 capivara verify v

say "what a journal has is not done again"
for i in $(seq 60); do
    fresh v
    capivara-caption --quiet --min-free 0 --seed 3 --corpus v --model "$MODEL" --images 1 \
        --max-new-tokens 12 --threads 1 >/dev/null 2>err </dev/null &
    victim=$!
    for _ in $(seq 400); do
        [ -z "$(find v/caption -name '*.journal' -size +4k 2>/dev/null)" ] || break
        sleep 0.005
    done
    kill -15 $victim 2>/dev/null || true
    status=0
    wait $victim || status=$?
    [ $status -ne 0 ] || continue # too fast for us
    break
done
equal "status of a stopped run" $status 75
has err 'stopped; run again to go on'
caption 0 v
[ "$(sum_of resumed v/caption/*.stats.json)" -gt 0 ] || fail "nothing was resumed"
equal images "$(sum_of images v/caption/*.stats.json)" $N
equal "new tokens, all the same" "$(sum_of new_tokens v/caption/*.stats.json)" "$new"
bytes v/caption >got.bytes
same got.bytes wanted.bytes
[ -z "$(find v/caption -name '*.journal')" ] || fail "a journal is left"

say "other settings, another model, none"
fresh v
caption 0 v
caption 78 v --max-new-tokens 11
has err 'max_new_tokens: 12 -> 11'
caption 78 v --prompt 'a photo of'
has err prompts
caption 78 v --max-pixels 5000
caption 0 v --beams 0
caption 0 v --prompt 'the foreground features' --prompt 'a photo of' --prompt 'a picture of' \
    --prompt 'this is a scene depicting' --prompt 'an image of' --prompt 'portrait of a' \
    --prompt 'this image captures a moment of' --prompt 'a painting of' --prompt 'an art of' \
    --prompt 'the picture shows'
cp -r "$MODEL" other
chmod -R u+w other
printf ' ' >>other/config.json
run 78 capivara-caption --quiet --min-free 0 --seed 3 --corpus v --model other --max-new-tokens 12
has err model_sha256
rm -r other
cp -r "$MODEL" moved
run 0 capivara-caption --quiet --min-free 0 --seed 3 --corpus v --model moved --max-new-tokens 12
caption 0 v --beams 3 --redo
[ -f v/caption/00001.r1.json ] || fail "no revision: $(ls v/caption)"
unpack v/caption beams.out
texts beams.out/*.json >beams
! cmp -s beams captions || fail "three beams find what one finds"
bytes v/caption >beams.bytes
fresh v
caption 0 v
caption 0 v --beams 3 --redo --threads 1 --images 2
bytes v/caption >got.bytes
same got.bytes beams.bytes
run 0 capivara verify v
run 0 capivara gc v
caption 0 v --weights int8 --redo
run 65 capivara-caption --quiet --min-free 0 --corpus v --model org/none
has err "capivara models pull"
run 2 capivara-caption --quiet --min-free 0 --corpus v
has err "'caption.model'"
fresh v
run 2 capivara-caption --quiet --min-free 0 --corpus v --model "$MODEL" --max-new-tokens 4000
has err positions
mkdir empty
caption 75 empty
has err "column 'fetch' has no finished parts yet"
if [ -d "$TRANSLATOR" ]; then
    run 65 capivara-caption --quiet --min-free 0 --corpus v --model "$TRANSLATOR"
fi

say "prompts of a configuration, the empty one too; an image beyond the limit"
fresh v
cat >two.yaml <<END
corpus: v
seed: 3
min_free: 0
caption:
  model: $MODEL
  max_new_tokens: 12
  max_pixels: 20000
  prompts:
    - ""
    - a photo of
END
run 0 capivara-caption --quiet --config two.yaml --corpus v
unpack v/caption two.out
for f in two.out/*.json; do equal "$f: captions" "$(many "$f" generated-captions-en)" 2; done
texts two.out/*.json | awk 'NR % 2 == 0' >got
for f in two.out/*.json; do texts "caption.out/${f#two.out/}" | sed -n 2p; done >wanted
same got wanted
bombs=$(failures v/caption | grep -c bomb || true)
[ "$bombs" -gt 0 ] && [ "$bombs" -lt $N ] || fail "bombs: $bombs of $N"
equal "all accounted for" "$(($(samples v/caption) + $(failures v/caption | wc -l)))" $((ROWS - 1))
run 2 capivara-caption --quiet --config two.yaml --corpus v --set 'caption.prompts=[]'
has err prompts

say "what is drawn depends on seed, key and prompt"
fresh v
caption 0 v --sample --temperature 2
bytes v/caption >drawn.bytes
for options in '--threads 1' '--threads 7 --images 2' '--parts 1'; do
    fresh v
    caption 0 v --sample --temperature 2 $options
    caption 0 v --sample --temperature 2
    bytes v/caption >got.bytes
    cmp -s got.bytes drawn.bytes || fail "$options: other bytes"
done
unpack v/caption drawn.out
fresh v
caption 0 v --sample --temperature 2 --seed 4
unpack v/caption drawn2.out
texts drawn.out/*.json >drawn
texts drawn2.out/*.json >drawn2
! cmp -s drawn drawn2 || fail "two seeds, the same captions"

say "an input that has changed makes a new revision"
fresh v
caption 0 v
run 0 capivara-fetch --quiet --config run.yaml --corpus v --redo --image-size 32 --no-pass-through
caption 0 v
equal revisions "$(ls v/caption/*.r1.json | wc -l)" 2
equal samples "$(samples v/caption)" $((ROWS - 1)) # encoded anew, the half image is one

if [ -d c/translate-pt ]; then
    say "generated captions are translated"
    unpack c/translate-pt pt.out
    equal samples "$(ls pt.out | wc -l)" $((ROWS - 1))
    for f in caption.out/*.json; do
        f=pt.out/${f#caption.out/}
        equal "$f: captions" "$(many "$f" captions-pt)" 1
        equal "$f: generated captions" "$(many "$f" generated-captions-pt)" 10
        equal "$f: flags" "$(many "$f" flags-pt)" 11
    done
    equal "without captions" "$(field pt.out/0000015.json generated-captions-pt)" '[]'
    # A caption made a second time is one translation.
    for f in caption.out/*.json; do
        paste <(texts "$f") <(field "pt.out/${f#caption.out/}" generated-captions-pt |
            sed 's/^\["//; s/"\]$//; s/","/\n/g')
    done | sort -u >pairs
    equal translations "$(wc -l <pairs)" "$(sort -u captions | wc -l)"
    equal "a second time, from memory" \
        "$(stat_of c/translate-pt/00000.stats.json sentences)" $((69 + 10 * 68))
fi

say "packed with captions"
cat >>run.yaml <<END
shard:
  train:
    columns: [fetch, caption]
END
run 0 capivara run --quiet run.yaml
unpack c/shards/train m.out
equal samples "$(ls m.out/*.json | wc -l)" $N
for f in caption.out/*.json; do
    m=m.out/${f#caption.out/}
    equal "$m" "$(field "$m" generated-captions-en)" "$(field "$f" generated-captions-en)"
    has "$m" '"captions-en":["picture '
done
run 0 capivara verify c
run 0 capivara index rebuild c
run 0 capivara cat c/caption/00000.tar.zst
run 0 capivara inspect c/caption/00000.tar.zst
has said '68 of .json'
run 0 capivara export --plain --output plain c/shards/train
tar -xOf plain/00000.tar 0000003.json >one
has one generated-captions-en

say "the tool says what the stage says"
tool() { capivara-caption --model "$MODEL" --max-new-tokens 12 "$@"; }
files=()
for f in caption.out/*.json; do
    for e in jpg png webp; do
        g=en.out/$(basename "$f" .json).$e
        [ ! -f "$g" ] || files+=("$g")
    done
done
equal files ${#files[@]} $N
tool "${files[@]}" >got 2>err || fail "status $?: $(cat err)"
for i in "${!files[@]}"; do
    echo "${files[i]}"
    sed -n "$((10 * i + 1)),$((10 * i + 10))p" captions
done >wanted
same got wanted
equal "said on the side" "$(cat err)" ""
for options in '--threads 1' '--threads 7 --images 1'; do
    tool $options "${files[@]}" >got
    same got wanted
done
tool --prompt 'a photo of' --prompt '' "${files[3]}" >got
equal lines "$(wc -l <got)" 3
equal "the first" "$(sed -n 2p got)" "$(sed -n 32p captions)"
tool --json "${files[0]}" >got
equal JSON "$(cat got)" "{\"file\":\"${files[0]}\",$(sed 's/^{//' "caption.out/$(basename "${files[0]}" | sed 's/\..*//').json")"
tool - <"${files[0]}" >got
{ echo -; head -n 10 captions; } >wanted
same got wanted
tool --int8 "${files[0]}" >got
equal lines "$(wc -l <got)" 11
tool --sample --temperature 2 --threads 1 "${files[@]}" >one
tool --sample --temperature 2 --threads 3 "${files[@]}" >got
same got one
tool "${files[0]}" "${files[0]}" "${files[0]}" >got
{ for i in 1 2 3; do echo "${files[0]}"; head -n 10 captions; done; } >wanted
same got wanted

say "files that are no images"
: >empty.jpg
mkdir folder.jpg
status=0
tool --prompt '' "${files[0]}" list.tsv not-there.jpg empty.jpg world/images/cut.jpg folder.jpg \
    "${files[1]}" >got 2>err || status=$?
equal status $status 65
equal "lines of errors" "$(wc -l <err)" 5
for f in list.tsv not-there.jpg empty.jpg world/images/cut.jpg folder.jpg; do
    equal "$f" "$(grep -c "^capivara-caption: error: .*'$f'" err)" 1
done
equal "lines of captions" "$(wc -l <got)" 4
status=0
tool --json --prompt '' list.tsv "${files[0]}" >got 2>err || status=$?
equal status $status 65
equal "lines of JSON" "$(wc -l <got)" 2
has got '{"file":"list.tsv","error":"'
run 2 capivara-caption --model "$MODEL"
has err 'which images?'
run 2 capivara-caption --model "$MODEL" --nonsense x.jpg
run 65 capivara-caption --model org/none x.jpg
has err "capivara models pull"

say "whoever reads has enough"
{ got=0; tool "${files[@]}" "${files[@]}" "${files[@]}" 2>err || got=$?; echo $got >status; } |
    head -n 1 >got
equal status "$(cat status)" 0
equal "said on the side" "$(cat err)" ""
