# SPDX-License-Identifier: Apache-2.0
# The words of `models`, and what the cache holds; nothing here needs a network.
unset HF_HOME HF_HUB_CACHE HUGGINGFACE_HUB_CACHE XDG_CACHE_HOME HF_ENDPOINT HF_TOKEN
export HF_HOME=$PWD/hf HF_HUB_OFFLINE=1
fails() { # STATUS WORDS...
    want=$1 got=0
    shift
    capivara models "$@" >out 2>err || got=$?
    [ "$got" = "$want" ] || { echo "$*: $got: $(cat err)"; exit 1; }
    [ "$(wc -l <err)" = 1 ] || { cat err; exit 1; }
}
fails 2
fails 2 pul a/b
grep -q "did you mean 'pull'" err
fails 2 pull
grep -q 'usage: capivara models pull NAME\[@REVISION\]' err
fails 2 list a
fails 2 pull a/b c
fails 2 pull a/b/c
fails 65 pull a/b
grep -q 'HF_HUB_OFFLINE is set' err
fails 65 check a/b
grep -q 'capivara models pull a/b' err
capivara models list | grep -q "^no models in '$HF_HOME/hub'"
[ "$(capivara models list --format json)" = '[]' ]

commit=1111111111111111111111111111111111111111
snap=hf/hub/models--org--name/snapshots/$commit
mkdir -p $snap hf/hub/models--org--name/refs
printf %s $commit >hf/hub/models--org--name/refs/main
cat >$snap/config.json <<'J'
{"model_type":"marian","d_model":2,"encoder_layers":1,"decoder_layers":1,
 "encoder_attention_heads":1,"decoder_attention_heads":1,"encoder_ffn_dim":2,
 "decoder_ffn_dim":2,"vocab_size":3,"max_position_embeddings":4}
J
# A checkpoint of two tensors: one that is needed, one that nobody knows.
header='{"model.shared.weight":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},"odd":{"dtype":"F16","shape":[2],"data_offsets":[24,28]}}'
{ printf "\\$(printf %o ${#header})\\0\\0\\0\\0\\0\\0\\0"; printf %s "$header"; head -c 28 /dev/zero; } >$snap/model.safetensors
capivara models list
capivara models pull org/name
fails 65 check org/name
cat out err
capivara models check --format json org/name 2>err | grep -q '"usable":false' || true
