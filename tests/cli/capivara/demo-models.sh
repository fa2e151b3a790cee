# SPDX-License-Identifier: Apache-2.0
# The demo's translators are whole, small, of the published format, and tell nobody where
# they were made.
for lang in pt xh hi; do
    model=$ROOT/demo/models/en-$lang
    capivara models check --format json "$model" >out
    grep -q '"usable": *true' out || { cat out; exit 1; }
    capivara models check "$model" | grep -q '^architecture marian'
    capivara models check "$model" | grep -Eq '^tensors +86 \(86 f16\)'
    [ "$(wc -c <"$model/model.safetensors")" -le 1500000 ]
    for file in config.json generation_config.json source.spm target.spm vocab.json \
        tokenizer_config.json; do
        [ -s "$model/$file" ] || { echo "$model/$file is not there"; exit 1; }
    done
    if grep -l '/tmp\|/home' "$model"/*; then exit 1; fi
done
