#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An include may point only down the list of layers, or stay inside its own folder:
#
#   5  stages/NAME  pipeline  trainer  eval     the trainer does not see common/stage either
#   4  common/stage
#   3  common/corpus
#   2  common/model
#   1  common/compute  common/text  common/image  common/format  common/net
#   0  common/base
#
# Includes are written from the root, so the layer stands in the text. Text generated
# from schemas/ ("schemas/...") may be included anywhere, and a header that the build
# makes for one folder ("index_sql.h") in that folder.
set -eu
. "$(dirname "$0")/files.sh"

ours '*.c' '*.cc' '*.h' '*.cu' | grep -E '^(common|stages|pipeline|trainer|eval)/' |
    xargs -r awk '
    function layer(path,   part, n) {
        n = split(path, part, "/")
        if (n < 2) return "?"
        if (part[1] ~ /^(pipeline|trainer|eval|schemas)$/)
            return part[1]
        return part[1] "/" part[2]
    }
    function rank(l) {
        if (l in fixed) return fixed[l]
        return l ~ /^stages\// ? 5 : -1
    }
    function is_file(path,   line, found) {
        found = (getline line < path) >= 0
        close(path)
        return found
    }
    function wrong(text) {
        printf "%s:%d: %s\n", FILENAME, FNR, text
        bad = 1
    }
    BEGIN {
        fixed["common/base"] = 0
        fixed["common/compute"] = fixed["common/text"] = fixed["common/image"] = 1
        fixed["common/format"] = fixed["common/net"] = 1
        fixed["common/model"] = 2
        fixed["common/corpus"] = 3
        fixed["common/stage"] = 4
        fixed["pipeline"] = fixed["trainer"] = fixed["eval"] = 5
    }
    FNR == 1 && rank(layer(FILENAME)) < 0 { wrong("not in a folder that is a layer") }
    match($0, /^[ \t]*#[ \t]*include[ \t]*"[^"]*"/) {
        target = substr($0, RSTART, RLENGTH)
        sub(/^[^"]*"/, "", target)
        sub(/"$/, "", target)
        from = layer(FILENAME)
        to = layer(target)
        if (target !~ /\// && !is_file(from "/" target))
            next
        if (target !~ /\// || target ~ /(^|\/)\.\.?\//)
            wrong("\"" target "\": write the path from the root")
        else if (to == "schemas" || to == from)
            next
        else if (rank(to) < 0)
            wrong("\"" target "\" is in no layer")
        else if (rank(to) >= rank(from))
            wrong(from " may not include " to ": \"" target "\"")
        else if (from == "trainer" && to == "common/stage")
            wrong("the trainer may not include common/stage: \"" target "\"")
    }
    END { exit bad }'
