# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
# schemas/pipeline.yaml has every key that the programs have, with its default.
schema=$ROOT/schemas/pipeline.yaml

# Dotted keys of a configuration in block style, sorted.
keys() {
    sed 's/ *#.*//; /^ *$/d' "$1" | # a list on one line
        sed ':more; /\[[^]]*$/ { N; s/\n */ /; b more; }' | awk '
        { match($0, /^ */); depth = RLENGTH / 2; sub(/^ */, ""); split($0, part, ":")
          name[depth] = part[1]; path = name[0]
          for (i = 1; i <= depth; i++) path = path "." name[i]
          if ($0 !~ /: *$/) print path }' | LC_ALL=C sort
}

capivara fetch --print-config >fetch.defaults
printf 'shard:\n  train:\n    shuffle: true\n' >set.yaml
printf 'translate:\n  pt:\n    beams: 0\n' >lang.yaml
capivara shard --config set.yaml --print-config >shard.defaults
capivara translate --config lang.yaml --print-config >translate.defaults
capivara caption --print-config >caption.defaults
capivara score --print-config >score.defaults
keys "$schema" >have
{ keys fetch.defaults; keys caption.defaults; keys translate.defaults
  keys score.defaults; keys shard.defaults; } | LC_ALL=C sort -u >want
same want have

# And with the values of the defaults, but for the two that have none.
for stage in fetch caption translate score shard; do
    sed 's/^corpus: my-corpus/corpus: null/; s/^  path: images.tsv/  path: null/' "$schema" >asked.yaml
    capivara $stage --config asked.yaml --print-config >with
    same $stage.defaults with
done

# As it is, it is a configuration whose paths are found beside it.
sed '/^caption:/,/^# ---- shard/d' "$schema" >mine.yaml
printf 'url\tcaption\nhttp://127.0.0.1:1/x.jpg\tnobody asks for it\n' >images.tsv
expect 0 '*' capivara run mine.yaml --set input.captions=caption --keep-going --dry-run
