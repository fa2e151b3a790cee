#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# capivara-train: the same bits however often it is stopped and with any number of threads,
# from embeddings and from pixels; broken samples, changed settings, early stopping, results.
. "$(dirname "$0")/lib.sh"

MODEL=$ROOT/tests/golden/clip/base
[ -d "$MODEL" ] || skip "$MODEL is not there"
for tool in capivara-train capivara-score; do
    [ -x "$BUILD/$tool" ] || skip "$tool is not there"
done

# ---- a training set and one to validate on ---------------------------------------------

draw 110
pictures=(world/images/*.jpg)
list() { # FILE FIRST COUNT
    printf 'file\tcaption_1\tcaption_2\n' >"$1"
    for i in $(seq "$2" $(($2 + $3 - 1))); do
        printf 'images/%s\ta picture of %d things\tthing %d, or %d\n' \
            "$(basename "${pictures[i]}")" "$i" "$((i % 7))" "$((i / 3))" >>"$1"
    done
}
corpus() { # NAME FIRST COUNT
    list "$1.tsv" "$2" "$3"
    printf '%s\n' "corpus: $1" "min_free: 0" \
        "input: {path: $1.tsv, file: file, root: world, captions: [caption_1, caption_2]}" \
        "fetch: {rows_per_part: 40}" "score: {model: $MODEL}" >"$1.yaml"
    run 0 capivara-fetch --config "$1.yaml" --corpus "$1" --quiet
    run 0 capivara-score --config "$1.yaml" --corpus "$1" --quiet
    run 0 capivara-score --config "$1.yaml" --corpus "$1" --lang en --quiet
    run 0 capivara-shard --corpus "$1" --name set --columns fetch,score,score-en \
        --samples-per-shard 30 --quiet
}
corpus c 0 60
corpus v 60 20

cat >train.yaml <<END
out: whole
steps: 24
batch: 16
log_every: 3
model: {path: $MODEL}
data: {train: [c/shards/set], languages: [en]}
lora: {r: 4, alpha: 8, dropout: 0.1}
tower: {hidden_dropout: 0.1, attention_dropout: 0.1}
optimizer: {lr: 1e-2, lr_min: 1e-4, warmup: 4}
validation: {sets: [v/shards/set], every: 10}
checkpoint: {every: 5}
END
train() { run "$1" capivara-train train.yaml --quiet "${@:2}"; }
END=checkpoints/step-00000024.safetensors
alike() { # WHAT GOT WANTED: metrics, and all that the next step would depend on
    cmp -s "$2/metrics.jsonl" "$3/metrics.jsonl" ||
        fail "$1: metrics differ: $(diff "$2/metrics.jsonl" "$3/metrics.jsonl" | head -5)"
    cmp -s "$2/$END" "$3/$END" || fail "$1: the last checkpoints differ"
    cmp -s "$2/adapter/adapter_model.safetensors" "$3/adapter/adapter_model.safetensors" ||
        fail "$1: the adapters differ"
}

say "any number of threads"
train 0 --threads 2
equal "lines of metrics" "$(grep -c '"loss"' whole/metrics.jsonl)" 8
equal "validations" "$(grep -c '"validation"' whole/metrics.jsonl)" 4
for n in 1 7; do
    train 0 --out "t$n" --threads "$n"
    alike "$n threads" "t$n" whole
done

say "stopped behind any step"
for at in 1 4 5 12 23; do
    train 75 --out stop --stop-after "$at" --threads 1
    [ -e "stop/checkpoints/step-$(printf %08d "$at").safetensors" ] ||
        fail "no checkpoint of step $at"
    # what a kill between two checkpoints leaves behind
    printf '{"step":%d}\n{"ste' $((at + 1)) >>stop/metrics.jsonl
done
train 0 --out stop --threads 7
alike "stopped five times" stop whole

say "killed again and again"
LONG=(--steps 1500 --set checkpoint.every=20 --set validation.every=500)
train 0 --out long "${LONG[@]}"
kills=0
for i in $(seq 12); do
    capivara-train train.yaml --quiet --out killed --threads $((i % 3 + 1)) "${LONG[@]}" &
    trainer=$!
    sleep "0.$((10 + i * 7 % 20))"
    ! kill -9 $trainer 2>/dev/null || kills=$((kills + 1))
    wait $trainer 2>/dev/null || true
done
[ $kills -ge 1 ] || fail "nothing was killed"
train 0 --out killed "${LONG[@]}"
LAST=$END END=checkpoints/step-00001500.safetensors
alike "killed $kills times" killed long
END=$LAST

say "pixels"
train 0 --out pixels --image pixels --threads 2
train 75 --out pixels2 --image pixels --stop-after 7 --threads 1
train 0 --out pixels2 --image pixels --threads 7
alike "pixels" pixels2 pixels
! cmp -s pixels/metrics.jsonl whole/metrics.jsonl || fail "pixels are embeddings, to the bit"

say "checkpointing keeps the bits, parts keep the loss"
train 0 --out segments --set tower.checkpointing=true
alike "checkpointing" segments whole
train 0 --out parts --micro-batch 5
first() { grep -m1 -o '"loss":[0-9.]*' "$1/metrics.jsonl" | cut -d: -f2 | cut -c1-6; }
equal "loss in parts" "$(first parts)" "$(first whole)"

say "a broken sample is counted, once for each time it would have been seen"
mkdir tar
(cd tar && for f in ../c/shards/set/*.tar.zst; do zstd -dqc "$f" | tar x; done)
keys=($(cd tar && ls -- *.json | sed 's/\.json$//'))
: >"tar/${keys[3]}.jpg"
rm "tar/${keys[5]}.clip.npy"
printf '{"captions-pt":["nada"]}' >"tar/${keys[8]}.json"
head -c 100 "tar/${keys[9]}.clip.npy" >short && mv short "tar/${keys[9]}.clip.npy"
mkdir plain
(cd tar && tar --sort=name -cf ../plain/a.tar -- *)
run 0 capivara-train train.yaml --out odd --set 'data.train=[plain]'
has err '57 samples'
has err '2 broken, 1 without a caption'
run 0 capivara-train train.yaml --out odd2 --set 'data.train=[plain]' --image pixels
has err "sample '${keys[3]}' is left out"
[ "$(tail -n1 <(grep '"loss"' odd2/metrics.jsonl) | grep -o '"broken":[0-9]*')" != '"broken":0' ] ||
    fail "the picture that is none was not counted"

say "changed settings are refused, --redo begins anew"
train 78 --set optimizer.lr=1e-3
has err 'optimizer.lr: '
train 0 --out redone
train 0 --out redone --set optimizer.lr=1e-3 --redo
! cmp -s redone/$END whole/$END || fail "--redo changed nothing"
run 78 capivara-train train.yaml --out whole --set 'data.train=[v/shards/set]' --quiet
has err 'other data'

say "early stopping"
train 0 --out early --set optimizer.lr=0 --set optimizer.lr_min=0 --set validation.every=4 \
    --set validation.patience=2
equal "validations until it stopped" "$(grep -c '"validation"' early/metrics.jsonl)" 3

say "results"
for f in adapter/adapter_config.json adapter/adapter_model.safetensors; do
    [ -s "whole/$f" ] || fail "whole/$f is not there"
done
equal "checkpoints that stay" "$(ls whole/checkpoints | grep -c '^step-')" \
    "$([ "$(readlink whole/checkpoints/best.safetensors 2>/dev/null)" = step-00000024.safetensors ] ||
       [ ! -e whole/checkpoints/best.safetensors ] && echo 1 || echo 2)"
train 0 --out further --adapter whole/adapter --set checkpoint.merged=true
[ -s further/merged/open_clip_model.safetensors ] || fail "nothing merged"
! cmp -s further/adapter/adapter_model.safetensors whole/adapter/adapter_model.safetensors ||
    fail "an adapter that was trained further is as before"
train 0 --out full --set tower.full=true --set lora.r=0
[ -s full/merged/open_clip_model.safetensors ] || fail "the full training left no model"

say "mistakes"
train 2 --set data.languages=[]
has err "'--lang'"
train 2 --set lora.targets=[querry]
has err querry
train 2 --set validation.metric=recall
has err "'recall'"
train 65 --set 'data.train=[nowhere]'
has err nowhere
run 0 capivara-train train.yaml --dry-run --out none
has said 'steps: 24'
[ ! -e none ] || fail "--dry-run left something"
