# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
# schemas/train.yaml has every key of capivara-train with its default, and is a configuration.
schema=$ROOT/schemas/train.yaml
plain() { sed 's/ *#.*//; /^ *$/d' "$1"; }

capivara train --print-config >defaults
plain "$schema" >have
same have defaults
capivara train "$schema" --print-config >asked
same asked defaults

# The recipes are configurations, too, and say the paper's numbers.
for r in "$ROOT"/docs/recipes/*.yaml; do
    capivara train "$r" --print-config >recipe
    grep -q '^  name: adam-l2' recipe
done
expect 2 '*' capivara train "$schema"
