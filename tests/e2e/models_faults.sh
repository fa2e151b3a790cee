#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# capivara models pull, with every system call and allocation of ours failing once, or
# being the last thing that the process did: one clear line, and the next pull ends with
# the same cache.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
HUB=$BUILD/tests/hub/capivara-test-hub FAULTY=$BUILD/tests/e2e/capivara-faulty
[ -x "$HUB" ] && [ -x "$FAULTY" ] || skip "$HUB or $FAULTY is not there"
for v in $(compgen -e | grep -E '^(HF_|HUGGING|XDG_|TRANSFORMERS_|CURL_|REQUESTS_|.*_proxy$)' || true); do
    unset "$v"
done
ONES=1111111111111111111111111111111111111111

mkdir -p hub/org/m hub/org/text
echo '{"model_cfg":{"text_cfg":{"hf_model_name":"org/text"}}}' >hub/org/m/open_clip_config.json
head -c 70000 /dev/urandom >hub/org/m/open_clip_model.safetensors
echo '{"model_type":"xlm-roberta"}' >hub/org/text/config.json
head -c 3000 /dev/urandom >hub/org/text/sentencepiece.bpe.model
"$HUB" --root hub --port-file port --log hub.log &
pids+=($!)
await port
export HF_ENDPOINT=http://127.0.0.1:$(cat port) HF_HUB_CACHE=$SCRATCH/cache

# What a pull leaves, but for locks.
picture() { (cd cache && find . -path ./.locks -prune -o \( -type f -o -type l \) -print | sort |
    while read -r f; do echo "$f $(readlink "$f") $(sha256sum <"$f")"; done); }

run 0 capivara models pull org/m
picture >undisturbed
[ "$(wc -l <undisturbed)" -eq 9 ] || fail "an undisturbed pull leaves $(cat undisturbed)"

# every KIND STATUS STEP: each STEP-th call, until a run has none left
every() {
    local k=1 got
    while :; do
        rm -rf cache
        got=0
        # In a shell of its own, whose "Killed" nobody needs.
        (CPV_FAULT_AT=$k CPV_FAULT_KIND=$1 CPV_FAULT_COUNT=$SCRATCH/count \
            "$FAULTY" models pull --quiet org/m >said 2>err; exit $?) 2>/dev/null || got=$?
        if [ "$1" != kill ]; then
            grep -q 'hit -' count && break
            [ "$got" -eq 0 ] || [ "$got" -eq "$2" ] || fail "$1 at $k: status $got: $(cat err)"
            [ "$got" -eq 0 ] || [ "$(wc -l <err)" -eq 1 ] || fail "$1 at $k: $(cat err)"
        elif [ "$got" -eq 0 ]; then
            break
        fi
        run 0 capivara models pull --quiet org/m
        picture >after
        cmp -s undisturbed after || fail "$1 at $k: $(diff undisturbed after)"
        k=$((k + $3))
    done
    [ $k -gt 30 ] || fail "$1: only $k calls"
    say "$1: $k calls"
}
# All of them (steps of 1) take five minutes; these fall on other calls as the program
# changes.
every kill 0 4
every EIO 74 13
every ENOSPC 74 17
every alloc 74 7
