# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
expect 2 "capivara: error: unknown command 'verfy'; did you mean 'verify'? See --help" capivara verfy
expect 2 "capivara: error: unknown command 'fecth'; did you mean 'fetch'? See --help" capivara fecth x
expect 2 "capivara: error: unknown command 'zzzzzzzz'; see --help" capivara zzzzzzzz
expect 2 'capivara: error: a command is needed; see --help' capivara
expect 2 "capivara: error: * '--frobnicate'*" capivara --frobnicate
expect 2 "capivara verify: error: usage: capivara verify *" capivara verify
expect 2 "capivara gc: error: unexpected 'b'; see --help" capivara gc a b
expect 2 "capivara run: error: a configuration or --corpus is needed; see --help" capivara run
expect 2 "capivara run: error: 'none.yaml' is not there" capivara run none.yaml
expect 2 "capivara run: error: 'none/config.yaml' is not there" capivara run --corpus none
expect 65 "capivara status: error: 'none' is not there" capivara status none
expect 65 "capivara verify: error: 'none' is not there" capivara verify none
mkdir empty
expect 65 "capivara status: error: 'empty' is neither a corpus nor a column of one" capivara status empty
expect 65 "capivara gc: error: 'empty' is neither *" capivara gc empty
expect 2 "capivara index: error: *" capivara index
expect 2 "capivara export: error: expected one of '--plain' and '--reference-layout'*" capivara export x
expect 2 "capivara export: error: '--output' is needed*" capivara export --plain x

# A configuration is named by line and column, before anything is written.
cat >bad.yaml <<END
corpus: out
fetsh:
  image_size: 8
END
expect 2 "capivara run: error: 'bad.yaml' line 2 column 1: *fetsh*" capivara run bad.yaml
cat >bad.yaml <<END
corpus: out
input:
  path: photos
fetch:
  image_size: small
END
expect 2 "capivara-fetch: error: 'bad.yaml' line 5 column 3: *" capivara run bad.yaml
cat >bad.yaml <<END
corpus: out
input: {path: photos}
shard:
  train:
    shufle: true
END
expect 2 "capivara-shard: error: 'bad.yaml' line 5 column 5: *shuffle*" capivara run bad.yaml
echo 'shard: [train]' >>bad.yaml
expect 2 "capivara run: error: 'bad.yaml' line 6 column 1: *" capivara run bad.yaml
cat >bad.yaml <<END
corpus: out
input: {path: photos}
shard:
  one: {}
  tr/ain: {}
END
expect 2 "capivara run: error: 'bad.yaml' line 5 column 3: *up to 64 letters*'tr/ain'" capivara run bad.yaml
for columns in '[]' '[fetch, fetch]' 'null'; do
    printf 'corpus: out\ninput: {path: photos}\nshard:\n  one:\n    columns: %s\n' "$columns" >bad.yaml
    expect 2 "capivara-shard: error: 'bad.yaml' line 5 column 5: 'shard.one.columns': expected 1 to 64 *" \
        capivara run bad.yaml
done
# Nobody would ever make it, so "run again" would be no help.
printf 'corpus: out\ninput: {path: photos}\nshard:\n  one:\n    columns: [fetch, caption]\n' >bad.yaml
expect 2 "capivara run: error: 'bad.yaml' line 5 column 22: no stage *'caption'*" capivara run bad.yaml
printf 'corpus: out\ninput: {path: photos}\ntranslate:\n  pt: {model: x, generated: true}\n' >bad.yaml
expect 2 "capivara run: error: 'bad.yaml' line 4 column 29: no stage *'caption'*" capivara run bad.yaml
for wrong in 'hash: [sum, crc]' 'language: "a b"' 'language: e' 'language: en-'; do
    printf 'corpus: out\ninput:\n  path: photos\n  %s\n' "$wrong" >bad.yaml
    expect 2 "capivara-fetch: error: 'bad.yaml' line 4 column 3: 'input.${wrong%%:*}': expected a *" \
        capivara run bad.yaml
done
printf 'corpus: out\ninput: {path: photos}\nfetch:\n  user_agent: "a\\r\\nb: c"\n' >bad.yaml
expect 2 "capivara-fetch: error: 'bad.yaml' line 4 column 3: *control*" capivara run bad.yaml
printf 'input: {path: photos}\n' >bad.yaml
expect 2 "capivara run: error: 'bad.yaml' has no key 'corpus'*" capivara run bad.yaml
printf 'corpus: out\ninput: {path: photos}\n' >good.yaml
expect 2 "capivara run: error: '--set': no stage has a key 'fotch.x'" capivara run good.yaml --set fotch.x=1
expect 2 "capivara-fetch: error: *image_siz*" capivara run good.yaml --set fetch.image_siz=1
expect 2 "capivara run: error: '--parts -' is for single stages*" capivara run good.yaml --parts -
[ ! -e out ] || [ -f out ] || fail 'a mistake made the corpus'
