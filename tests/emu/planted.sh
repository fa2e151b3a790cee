#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Demands that a planted mistake is found, and named for what it is:
#
#     planted.sh SEEDS STATUS PATTERN PROGRAM
#
# runs PROGRAM with each of the seeds 1..SEEDS; every run must end with STATUS and say
# PATTERN (extended regular expression). A program that is missing, crashes or ends in
# another way has not been caught. The pattern `race` stands for a data race that the
# detector reports with a line of a selftest in the stacks of both accesses.
set -eu
[ $# -eq 4 ] || { echo "usage: planted.sh SEEDS STATUS PATTERN PROGRAM" >&2; exit 2; }
seeds=$1 status=$2 pattern=$3 program=$4
failed=0

# The first report's two stacks, each of which must name a line of ours.
names_both_lines() {
    printf '%s\n' "$1" | awk '
        /WARNING: ThreadSanitizer: data race/ { part = 1; next }
        part == 1 && /^  Previous / { part = 2; next }
        part == 2 && /^  (Location|Thread|As if|Mutex)/ { exit }
        part == 2 && /^$/ { exit }
        part && match($0, /selftest_[a-z]*[.]cu:[0-9]+/) && !(part in line) {
            line[part] = substr($0, RSTART, RLENGTH)
        }
        END {
            if (!((1 in line) && (2 in line))) exit 1
            print "    race: " line[1] " and " line[2]
        }'
}

seed=1
while [ "$seed" -le "$seeds" ]; do
    rc=0
    out=$(CPV_EMU_SEED=$seed "$program" 2>&1) || rc=$?
    if [ "$rc" -ne "$status" ]; then
        echo "seed $seed: exit status $rc, expected $status"
        failed=1
    elif [ "$pattern" = race ]; then
        names_both_lines "$out" || { echo "seed $seed: no race with two lines"; failed=1; }
    elif ! printf '%s\n' "$out" | grep -E -- "$pattern"; then
        echo "seed $seed: nothing said '$pattern'"
        failed=1
    fi
    [ "$failed" -eq 0 ] || { printf '%s\n' "$out" | head -n 60; exit 1; }
    seed=$((seed + 1))
done
