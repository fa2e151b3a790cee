#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Kills a pipeline N times (100) at random moments, resumes it until it is done, and
# compares every byte, and the index, with an undisturbed run; then again from nothing,
# until N kills have struck.
#
#   tests/chaos/run.sh [N] [SEED]
#
# SEED picks moments, victims, numbers of threads, and orders of parts. A kill is logged
# in kills.log before it is sent; after a failure the folder stays.
# shellcheck source=tests/chaos/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

want=${1:-100} seed=${2:-$(($(date +%s) % 32768))}
rows=320 part=40
parts=$((rows / part))
RANDOM=$seed
say "$want kills, seed $seed"

make_world $rows $part
make_config config.yaml $part
# Captions by a model of nothing but noise: 60 kB, and as good as any to be killed in.
model=$ROOT/tests/golden/blip/base
cat >>config.yaml <<END
    columns: [fetch, caption]
caption:
  model: $model
  max_new_tokens: 8
  prompts: [a photo of, the]
END

# ---- undisturbed, with a stop-watch ----
start=$(now_us)
capivara run config.yaml --quiet --threads 1
whole=$(($(now_us) - start))
tree_of corpus >expected
mv corpus undisturbed
say "undisturbed: $((whole / 1000)) ms, $(wc -l <expected) files"

shuffled() { # 0..n-1 in a random order, with commas
    local list=() i j t
    for ((i = 0; i < $1; i++)); do list[i]=$i; done
    for ((i = $1 - 1; i > 0; i--)); do
        j=$((RANDOM % (i + 1))) t=${list[i]} list[i]=${list[j]} list[j]=$t
    done
    local IFS=,
    echo "${list[*]}"
}

kills=0 stops=0 rounds=0 resumed=0 attempt=0 deepest=0
while [ $kills -lt "$want" ]; do
    # A victim: mostly everything, now and then only the driver or only its stage.
    whom=all signal=9
    case $((RANDOM % 10)) in
    0 | 1) whom=leader ;;
    2 | 3) whom=child ;;
    4) whom=leader signal=15 ;;
    esac
    threads=1
    case $((RANDOM % 3)) in 1) threads=2 ;; 2) threads=7 ;; esac
    # A moment: anywhere in the time that a whole run takes, or early in it.
    at=$((RANDOM * 32768 + RANDOM))
    at=$((at % (whole * 11 / 10)))
    [ $((RANDOM % 2)) = 0 ] || at=$((at / (1 + RANDOM % 8)))
    # A way: everything, some order of the parts, or the stage alone.
    full=''
    case $((RANDOM % 5)) in
    0) way=(capivara run config.yaml --parts "$(shuffled $parts)") ;;
    1) way=(capivara-caption --corpus corpus --config config.yaml --parts "$(shuffled $parts)") ;;
    2) way=(capivara-fetch --corpus corpus --config config.yaml --parts "$(shuffled $parts)") ;;
    *) way=(capivara run config.yaml) full=yes ;;
    esac
    attempt=$((attempt + 1))
    echo "attempt $attempt: signal $signal to $whom after $at us: ${way[*]} --threads $threads" >>kills.log
    status=0
    "$CUT" $at $whom $signal "${way[@]}" --quiet --threads $threads 2>said || status=$?
    echo "  -> $status" >>kills.log
    case $status in
    137) kills=$((kills + 1)) resumed=$((resumed + 1)) ;;
    75) if [ $signal = 15 ]; then stops=$((stops + 1)); fi ;;
    143) [ $signal = 15 ] || fail "attempt $attempt: died of SIGTERM" ;; # before it could listen
    0) ;;
    *) cat said; fail "attempt $attempt: status $status (see kills.log)" ;;
    esac
    [ $resumed -le $deepest ] || deepest=$resumed
    if [ $status = 0 ] && [ -n "$full" ]; then
        compare corpus expected
        rm -rf corpus
        rounds=$((rounds + 1)) resumed=0
    fi
    [ $attempt -lt $((want * 20 + 100)) ] || fail "$attempt attempts and only $kills kills"
done
if [ -d corpus ]; then
    capivara run config.yaml --quiet
    compare corpus expected
    rounds=$((rounds + 1))
fi
say "$kills kills and $stops polite stops in $attempt attempts; $rounds corpora completed," \
    "the most disturbed after $deepest kills; all equal"
