#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clean.sh SEEDS PROGRAM: a program without mistakes passes with each of the seeds, and in
# the two plain orders; and the emulator really ran it as an older device too.
set -eu
seeds=$1 program=$2

seed=1
while [ "$seed" -le "$seeds" ]; do
    CPV_EMU_SEED=$seed "$program"
    seed=$((seed + 1))
done
CPV_EMU_ORDER=fifo "$program"
CPV_EMU_ORDER=lifo "$program"
CPV_EMU_SM=75 "$program"
