#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# capivara-score: the same bytes whatever happens on the way, images that cannot be read,
# a further language without an image, captions that say nothing or the same, settings.
. "$(dirname "$0")/lib.sh"

MODEL=$ROOT/tests/golden/clip/base
CAPTIONER=$ROOT/tests/golden/blip/base
[ -f "$MODEL/open_clip_model.safetensors" ] || skip "$MODEL is not there"
[ -x "$BUILD/capivara-score" ] || skip "$BUILD/capivara-score is not there"

# Two parts, of 70 samples and of 30, less one: row 12 is no image at all, row 15 one that
# is cut off, which fetch takes and the model does not. All captions of the second part
# are the same, and those of row 5 are.
ROWS=100 PER_PART=70
draw 150
pictures=(world/images/*.jpg)
[ ${#pictures[@]} -ge $ROWS ] || fail "too few pictures"
echo 'no image' >world/images/none.jpg
head -c $(($(stat -c %s "${pictures[15]}") * 2 / 3)) "${pictures[15]}" >world/images/cut.jpg
{
    printf 'file\tone\ttwo\n'
    for ((i = 0; i < ROWS; i++)); do
        one="picture $i" two="the other caption of $i"
        case $i in
        12) name=none.jpg ;;
        15) name=cut.jpg ;;
        *) name=$(basename "${pictures[i]}") ;;
        esac
        [ $i != 5 ] || two=$one
        [ $i -lt $PER_PART ] || one='always the same' two='always the same'
        printf 'images/%s\t%s\t%s\n' "$name" "$one" "$two"
    done
} >list.tsv
cat >run.yaml <<END
corpus: c
min_free: 0
input:
  path: list.tsv
  file: file
  root: world
  captions: [one, two]
fetch:
  rows_per_part: $PER_PART
  pass_through: true
  accept_truncated: true
score:
  model: $MODEL
END

score() { # STATUS CORPUS OPTIONS...
    run "$1" capivara-score --quiet --min-free 0 --corpus "$2" --model "$MODEL" "${@:3}"
}
numbers() { field "$1" "$2" | tr -d '[]' | tr , '\n'; } # FILE KEY: a line for each
all() { # CORPUS: what score and its languages hold
    local d
    for d in "$1"/score "$1"/score-*; do bytes "$d" | sed "s|^|${d#"$1"} |"; done
}

say "capivara run fetches and scores"
run 0 capivara run --quiet run.yaml
equal columns "$(cd c && echo score*)" "score score-en"
wants c/score decode 1 ok $((ROWS - 2))
wants c/score-en no_embedding 1 ok $((ROWS - 2))
equal "what failed" "$(failures c/score)" "15 decode"
equal "what failed" "$(failures c/score-en)" "15 no_embedding"
equal "why" "$(details c/score-en)" decode
unpack c/score score.out
unpack c/score-en en.out
N=$(ls en.out | wc -l)
equal samples "$N" $((ROWS - 2))
for f in score.out/*; do
    case $f in *.clip.npy) ;; *) fail "$f" ;; esac
    equal "$f: header" "$(head -c 6 "$f" | tail -c 5)" NUMPY
    equal "$f: bytes" "$(stat -c %s "$f")" $((128 + 2 * 12))
    grep -qaF "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 12), }" "$f" ||
        fail "$f: $(head -c 128 "$f")"
done
for f in en.out/*.json; do
    grep -qE '^\{"similarities-en":\[-?[01]\.[0-9]{6},-?[01]\.[0-9]{6}\]\}$' "$f" || fail "$f: $(cat "$f")"
    numbers "$f" similarities-en
done >numbers
[ "$(sort -u numbers | wc -l)" -gt 100 ] || fail "the numbers are the same"
numbers en.out/0000005.json similarities-en | uniq | wc -l >got
equal "equal captions" "$(cat got)" 1
run 0 capivara verify c
run 0 capivara index rebuild c
run 0 capivara status --corpus c
has said score-en
run 0 capivara report c -o report.html
has report.html 'Similarity of image and caption'
run 0 capivara inspect c/score/00000.tar.zst
has said 'of .clip.npy'
run 0 capivara cat c/score 0000003.clip.npy
same said score.out/0000003.clip.npy

say "what came twice is computed once"
equal texts "$(stat_of c/score-en/00000.stats.json texts)" $((2 * (PER_PART - 2)))
equal distinct "$(stat_of c/score-en/00000.stats.json distinct)" $((2 * (PER_PART - 2) - 1))
equal embedded "$(stat_of c/score-en/00000.stats.json embedded)" $((2 * (PER_PART - 2) - 1))
equal texts "$(stat_of c/score-en/00001.stats.json texts)" $((2 * (ROWS - PER_PART)))
equal embedded "$(stat_of c/score-en/00001.stats.json embedded)" 1
equal images "$(stat_of c/score/00000.stats.json images)" $((PER_PART - 2))

all c >expected
before=$(tree c)
run 0 capivara run --quiet run.yaml
equal "a second run" "$(tree c | grep -v -e index -e config.yaml)" \
    "$(grep -v -e index -e config.yaml <<<"$before")"

say "the same bytes, however it is done"
for options in '--threads 1' '--threads 3' '--threads 7 --images 1' '--images 3 --parts 1'; do
    fresh v
    score 0 v $options
    score 0 v
    score 0 v --lang en $options
    score 0 v --lang en --memory 0
    all v >got
    same got expected
done
fresh v
score 0 v
for options in '--memory 0' '--memory 500'; do # nothing, or a handful, is remembered
    rm -rf v/score-en
    score 0 v --lang en $options
    all v >got
    same got expected
done

say "killed and resumed"
stopped=0
for ((i = 0; i < 12; i++)); do
    fresh v
    for lang in '' '--lang en'; do
        for at in $((i + 1)) $((2 * i + 3)); do
            capivara-score --quiet --min-free 0 --corpus v --model "$MODEL" --threads $((i % 3 + 1)) \
                --images $((i % 4 + 1)) $lang >said 2>err &
            pid=$!
            sleep "0.0$((at / 10))$((at % 10))"
            kill -$((i % 2 ? 15 : 9)) $pid 2>/dev/null && stopped=$((stopped + 1))
            wait $pid 2>/dev/null || true
        done
        score 0 v $lang
    done
    all v >got
    same got expected
done
[ $stopped -ge 12 ] || fail "only $stopped runs were stopped"
# What a journal holds is not done again, whatever the number of images in a batch.
fresh w
capivara-score --quiet --min-free 0 --corpus w --model "$MODEL" --images 1 --threads 1 \
    >said 2>err &
pid=$!
for _ in $(seq 500); do
    [ "$(stat -c %s w/score/.00000.journal 2>/dev/null || echo 0)" -lt 3000 ] || break
    sleep 0.002
done
kill -9 $pid 2>/dev/null || true
wait $pid 2>/dev/null || true
if [ ! -e w/score/00000.json ]; then
    score 0 w
    [ "$(stat_of w/score/00000.stats.json resumed)" -ge 10 ] || fail "nothing was resumed"
    bytes w/score >got
    bytes c/score >wanted
    same got wanted
fi

say "a further language opens no image"
# Imported translations: of row 1 the first caption alone, of row 2 none, of row 3 blanks.
for ((i = 0; i < ROWS; i++)); do
    printf -v key '%05d%02d' $((i / PER_PART)) $((i % PER_PART))
    [ $i != 2 ] || continue
    if [ $i = 3 ]; then printf '%s\t0\t   \n%s\t1\t \n' $key $key; continue; fi
    printf '%s\t0\tumfanekiso %d\n' $key $i
    [ $i = 1 ] || printf '%s\t1\tomnye umbhalo\n' $key
done >xh.tsv
run 0 capivara import --quiet --corpus c --lang xh xh.tsv
mkdir away
mv c/fetch/*.tar.zst away/
for f in away/*.tar.zst; do echo 'no shard' >"c/fetch/$(basename "$f")"; done
score 0 c --lang xh
unpack c/score-xh xh.out
equal samples "$(ls xh.out | wc -l)" $((ROWS - 2))
grep -qE '^\{"similarities-xh":\[-?[01]\.[0-9]{6},null\]\}$' xh.out/0000001.json ||
    fail "row 1: $(cat xh.out/0000001.json)"
equal "row 2" "$(cat xh.out/0000002.json)" '{"similarities-xh":[null,null]}'
equal "row 3" "$(cat xh.out/0000003.json)" '{"similarities-xh":[null,null]}'
numbers xh.out/0000004.json similarities-xh >got
equal "row 4" "$(grep -c . got)" 2
has c/score-xh/00000.json '"inputs":[{"name":"score"'
has_not c/score-xh/00000.json '"name":"fetch"'
equal distinct "$(stat_of c/score-xh/00001.stats.json embedded)" 30 # omnye umbhalo is known
fresh v
cp -r c/score c/translate-xh v/
score 0 v --lang xh --threads 1 --memory 0
bytes v/score-xh >got
bytes c/score-xh >wanted
same got wanted
mv away/*.tar.zst c/fetch/
bytes c/score-en >got
grep score-en expected | sed 's|^/score-en ||' >wanted
same got wanted

if [ -f "$CAPTIONER/model.safetensors" ]; then
    say "originals first, then generated ones"
    run 0 capivara-caption --quiet --min-free 0 --corpus c --model "$CAPTIONER" \
        --max-new-tokens 4 --prompt 'a photo of' --prompt 'the'
    score 0 c --lang en
    equal revisions "$(ls c/score-en/*.r1.json | wc -l)" 2
    unpack c/score-en en4.out
    for f in en4.out/*.json; do
        equal "$f" "$(numbers "$f" similarities-en | wc -l)" 4
        equal "$f" "$(numbers "$f" similarities-en | head -n 2)" \
            "$(numbers "en.out/${f#en4.out/}" similarities-en)"
    done
    has c/score-en/00000.r1.json '"name":"caption"'
fi

say "packed with embeddings and similarities"
cat >>run.yaml <<END
shard:
  train:
    columns: [fetch, score, score-en, translate-xh, score-xh]
    images: false
END
[ ! -d c/caption ] || sed -i 's/columns: \[fetch,/columns: [fetch, caption,/' run.yaml
run 0 capivara run --quiet run.yaml
unpack c/shards/train m.out
equal members "$(ls m.out | sed 's/^[0-9]*\.//' | sort | uniq -c | tr -s ' ')" \
    " $((ROWS - 2)) clip.npy
 $((ROWS - 2)) json"
has m.out/0000002.json '"similarities-xh":[null,null]'
run 0 capivara verify c
run 0 capivara gc c

say "settings"
fresh v
score 0 v --dry-run
has said "score part 00000"
[ ! -e v/score ] || fail "a dry run makes a column"
score 75 v --lang en
has err "column 'score' has no finished parts yet"
score 0 v --max-pixels 20000
bombs=$(failures v/score | grep -c bomb || true)
[ "$bombs" -gt 0 ] || fail "no bombs"
score 78 v
has err max_pixels
score 0 v --redo
score 0 v --lang en
score 0 v --lang en --max-pixels 20000 # is no matter of texts
cp -r "$MODEL" other
chmod -R u+w other
printf ' ' >>other/open_clip_config.json
run 78 capivara-score --quiet --min-free 0 --corpus v --model other
has err model_sha256
run 78 capivara-score --quiet --min-free 0 --corpus v --model other --lang en
has err model_sha256
rm -r v/score-en
run 78 capivara-score --quiet --min-free 0 --corpus v --model other --lang en
has err "another model"
run 0 capivara-score --quiet --min-free 0 --corpus v --model other --redo
run 0 capivara-score --quiet --min-free 0 --corpus v --model other --lang en
rm -r other
cp -r "$MODEL" moved
fresh v
score 0 v
run 0 capivara-score --quiet --min-free 0 --corpus v --model moved
run 0 capivara-score --quiet --min-free 0 --corpus v --model moved --lang en \
    --tokenizer moved
run 78 capivara-score --quiet --min-free 0 --corpus v --model moved --lang en
has err tokenizer_sha256
score 2 v --lang xq
has err "translate.xq"
[ ! -e v/score-xq/settings.yaml ] || fail "a misspelt language pins settings"
score 2 v --lang a/b
run 65 capivara-score --quiet --min-free 0 --corpus v --model org/none
has err "capivara models pull"
run 2 capivara-score --quiet --min-free 0 --corpus v
has err "'score.model'"
mkdir empty
score 75 empty
has err "column 'fetch' has no finished parts yet"
for word in --help --man; do
    run 0 capivara-score $word
    has said lang
    has said similarities
done
run 0 capivara --help
equal "in the list of stages" "$(grep -c '^  score ' said)" 1
