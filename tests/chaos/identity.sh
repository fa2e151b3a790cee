#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The same bytes whatever happens: numbers of threads, orders of parts, separate and
# simultaneous processes, signals, strays of runs that were cut off.
# shellcheck source=tests/chaos/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_world 160 40
make_config config.yaml 40

fetch() { run "$1" capivara-fetch --corpus corpus --config config.yaml --quiet "${@:2}"; }
shard() { run "$1" capivara-shard --corpus corpus --config config.yaml --quiet "${@:2}"; }
anew() { rm -rf corpus; }

run 0 capivara run config.yaml --quiet --threads 1
tree_of corpus >expected
grep -v -e index -e config.yaml expected >expected.stages
grep fetch/ expected >expected.fetch

say "1, 2 and 7 threads"
for threads in 2 7; do
    anew
    run 0 capivara run config.yaml --quiet --threads $threads
    compare corpus expected
done

say "parts in any order, each by a process of its own"
for order in "3 1 0 2" "2 0 3 1"; do
    anew
    for p in $order; do fetch 0 --parts "$p" --threads 2; done
    shard 0
    compare corpus expected.stages
done
anew
printf '2\n0,3\n1\n' | fetch 0 --parts -
compare corpus expected.fetch
anew
for p in 1 3 0 2; do
    SLURM_ARRAY_TASK_ID=$p fetch 0 --parts env
done
compare corpus expected.fetch

say "several processes at once"
for i in 1 2 3 4 5 6; do
    anew
    pids=()
    for threads in 1 2 7; do
        capivara-fetch --corpus corpus --config config.yaml --quiet --threads $threads \
            2>said.$threads &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        status=0
        wait "$pid" || status=$?
        [ $status = 0 ] || [ $status = 75 ] ||
            { cat said.*; fail "round $i: status $status of one of several processes"; }
    done
    fetch 0
    compare corpus expected.fetch
done
for i in 1 2 3; do
    anew
    fetch 0
    capivara-shard --corpus corpus --config config.yaml --quiet 2>said.1 &
    one=$! first=0 second=0
    capivara-shard --corpus corpus --config config.yaml --quiet 2>said.2 || first=$?
    wait $one || second=$?
    [[ "$first $second" =~ ^(0|75)\ (0|75)$ ]] || { cat said.1 said.2; fail "$first, $second"; }
    shard 0
    compare corpus expected.stages
done
anew
capivara run config.yaml --quiet 2>said.1 &
one=$! first=0 second=0
capivara run config.yaml --quiet 2>said.2 || first=$?
wait $one || second=$?
[[ "$first $second" =~ ^(0|75)\ (0|75)$ ]] || { cat said.1 said.2; fail "$first, $second"; }
run 0 capivara run config.yaml --quiet
compare corpus expected

# slow.tsv: its first answer takes long enough to be in the middle of things
sed "2s|/images/|/delay/3000/images/|" list.tsv >slow.tsv
cmp -s list.tsv slow.tsv && fail "no slow row"
sed 's/list.tsv/slow.tsv/' config.yaml >slow.yaml
soon=700000 # into the run, in microseconds, when something has been fetched
[ -z "$SLOW" ] || soon=2000000
slow() { run "$1" capivara-fetch --corpus corpus --config slow.yaml --quiet "${@:2}"; }

say "SIGTERM and SIGINT stop soon, with 75; the next run goes on"
anew
slow 0
grep fetch/ <(tree_of corpus) >expected.slow
for signal in 15 2; do
    anew
    start=$(now_us)
    run 75 "$CUT" $soon leader $signal capivara-fetch --corpus corpus --config slow.yaml \
        --quiet
    took=$(($(now_us) - start))
    one_line
    [ -n "$SLOW" ] || [ $took -lt 2500000 ] || fail "it took $took us to stop"
    [ -s corpus/fetch/.00000.journal ] || fail "no journal after the stop"
    slow 0
    compare corpus expected.slow
done
say "a second SIGTERM ends it at once"
anew
capivara-fetch --corpus corpus --config slow.yaml --quiet 2>said &
pid=$!
sleep "${soon%00000}e-1"
kill -15 $pid
kill -15 $pid 2>/dev/null || true
status=0
wait $pid || status=$?
[ $status = 75 ] || fail "status $status after two signals"
slow 0
compare corpus expected.slow
say "the driver hands a SIGTERM on"
anew
run 75 "$CUT" $soon leader 15 capivara run slow.yaml --quiet
run 0 capivara run slow.yaml --quiet
grep fetch/ <(tree_of corpus) | diff expected.slow - || fail "differs after a stopped driver"

say "strays of a run that was cut off"
anew
fetch 0 --parts 0,1
rm corpus/fetch/00001.json
echo 'not a shard' >corpus/fetch/00002.tar.zst # of another time, never recorded
cp corpus/fetch/00000.tar.zst corpus/fetch/.00003.tar.zst.tmp
echo rubbish >corpus/fetch/.00003.journal
echo rubbish >corpus/fetch/.00000.journal
echo rubbish >corpus/fetch/.00000.json.tmp
ln corpus/fetch/00000.tar.zst corpus/fetch/.00000.tar.zst.tmp # a rename by link, cut off
fetch "0 75"
fetch 0
compare corpus expected.fetch

say "the disk guard"
anew
fetch 74 --min-free 8000000G
one_line
grep -q 'min-free' said || fail "the guard does not say what it is: $(cat said)"
fetch 0
compare corpus expected.fetch

say "all equal"
