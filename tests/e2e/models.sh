#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# capivara models pull and list, against a hub of ours (tests/hub/server.c): the layout of
# the cache, resuming after kill -9 to the byte, every misbehaviour that was thought of.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ -x "$BUILD/tests/hub/capivara-test-hub" ] || skip "capivara-test-hub is not there"

for v in $(compgen -e | grep -E '^(HF_|HUGGING|XDG_|TRANSFORMERS_|CURL_|REQUESTS_|.*_proxy$)' || true); do
    unset "$v"
done
ONES=1111111111111111111111111111111111111111
WEIGHTS=3000000

# ---- models -------------------------------------------------------------------------

noise() { head -c "$1" /dev/urandom; }
mkdir -p hub/org/tiny hub/org/sharded hub/org/clip hub/FacebookAI/roberta hub/org/bare hub/org/bad
echo '{"model_type":"marian"}' >hub/org/tiny/config.json
printf 'vocab' >hub/org/tiny/vocab.json
: >hub/org/tiny/merges.txt
noise 5000 >hub/org/tiny/source.spm
noise $WEIGHTS >hub/org/tiny/model.safetensors
noise 4000 >hub/org/tiny/pytorch_model.bin
echo hello >hub/org/tiny/README.md
echo '{}' >hub/org/sharded/config.json
echo '{"weight_map":{"a":"m-1.bin","b":"m-2.bin","c":"m-1.bin"}}' >hub/org/sharded/pytorch_model.bin.index.json
noise 3000 >hub/org/sharded/m-1.bin
noise 3001 >hub/org/sharded/m-2.bin
echo '{"model_cfg":{"text_cfg":{"hf_model_name":"xlm-r"}}}' >hub/org/clip/open_clip_config.json
noise 4000 >hub/org/clip/open_clip_pytorch_model.bin
noise 4000 >hub/org/clip/pytorch_model.bin
echo '{"model_type":"xlm-roberta"}' >hub/FacebookAI/roberta/config.json
noise 6000 >hub/FacebookAI/roberta/sentencepiece.bpe.model
noise 6000 >hub/FacebookAI/roberta/model.safetensors
echo '{}' >hub/org/bare/config.json
echo '{}' >hub/org/bad/config.json
echo '{"weight_map":{"a":"../../x"}}' >hub/org/bad/model.safetensors.index.json

# hub OPTIONS...: a hub, its log anew
hub() {
    stop_hub
    rm -f port hub.log
    "$BUILD/tests/hub/capivara-test-hub" --root hub --port-file port --log hub.log "$@" &
    hub_pid=$!
    pids+=($hub_pid)
    await port
    export HF_ENDPOINT=http://127.0.0.1:$(cat port)
}
stop_hub() {
    [ -z "${hub_pid-}" ] || { kill "$hub_pid"; wait "$hub_pid" 2>/dev/null || true; }
    hub_pid=
}
# pull STATUS NAME OPTIONS...
pull() { run "$1" capivara models pull --backoff 0.01 "${@:2}"; }
fresh() { rm -rf cache; export HF_HOME=$SCRATCH/cache; }
# bytes that the store sent of a file
sent() { awk -v f="/$1" '$1 == "store" && $2 == "GET" && index($3, f) { split($6, a, "="); n += a[2] } END { print n + 0 }' hub.log; }
asked() { grep -c -e "$1" hub.log || true; }
repo=cache/hub/models--org--tiny
snap=$repo/snapshots/$ONES

# ---- the layout ---------------------------------------------------------------------

say "layout"
fresh
hub
pull 0 org/tiny
equal path "$(cat said)" "$SCRATCH/$snap"
equal files "$(cd "$snap" && echo *)" "config.json merges.txt model.safetensors source.spm vocab.json"
for f in config.json merges.txt model.safetensors source.spm vocab.json; do same "$snap/$f" "hub/org/tiny/$f"; done
sha=$(sha256sum <hub/org/tiny/model.safetensors | cut -c1-64)
equal link "$(readlink "$snap/model.safetensors")" "../../blobs/$sha"
git_sha=$( { printf 'blob 5\0'; printf vocab; } | sha1sum | cut -c1-40)
equal link "$(readlink "$snap/vocab.json")" "../../blobs/$git_sha"
equal ref "$(cat $repo/refs/main)" $ONES
equal "end of the ref" "$(wc -c <$repo/refs/main)" 40
equal "left over" "$(find cache -name '*.incomplete' -o -name '*.tmp')" ""
[ -e "cache/hub/.locks/models--org--tiny/$sha.lock" ] || fail "no lock where Python's client has its own"
equal "weights sent" "$(sent tiny/model.safetensors)" $WEIGHTS

say "again: nothing is sent"
: >hub.log
pull 0 org/tiny
equal "bytes again" "$(sent tiny)" 0
equal "files asked for" "$(asked ' GET /org/')" 0

say "revisions"
pull 0 org/tiny@v1
pull 0 org/tiny@refs/pr/1
pull 0 org/tiny@$ONES
equal refs "$(cd $repo/refs && find . -type f | sort | tr '\n' ' ')" "./main ./refs/pr/1 ./v1 "
run 0 capivara models list
has said "org/tiny"
has said "main, refs/pr/1, v1"
has said "complete"

say "shards, each once"
pull 0 org/sharded
same cache/hub/models--org--sharded/snapshots/$ONES/m-2.bin hub/org/sharded/m-2.bin
equal "first shard" "$(sent sharded/m-1.bin)" 3000

say "OpenCLIP with the text tower's model, which has moved"
hub --moved xlm-r --to FacebookAI/roberta
pull 0 org/clip
clip=cache/hub/models--org--clip/snapshots/$ONES
equal files "$(cd $clip && find . -type l | sort | tr '\n' ' ')" \
    "./open_clip_config.json ./open_clip_pytorch_model.bin ./text/config.json ./text/sentencepiece.bpe.model "
same $clip/text/config.json hub/FacebookAI/roberta/config.json
same $clip/text/sentencepiece.bpe.model hub/FacebookAI/roberta/sentencepiece.bpe.model
case $(readlink $clip/text/config.json) in ../../../blobs/*) ;; *) fail "the text model's blobs are not with ours" ;; esac
run 0 capivara models list --format json
has said '"model":"org/clip","revisions":"main","commit":"'$ONES'"'
has said '"complete":true,"missing":null'
rm $clip/text/config.json
run 0 capivara models list
has said "lacks text/config.json"

# ---- interrupted --------------------------------------------------------------------

say "kill -9 in the middle, again and again"
fresh
hub --rule 'GET store/org/tiny/model slow=1500000'
killed=0
for i in 1 2 3; do
    capivara models pull org/tiny >said 2>err &
    pid=$!
    sleep 0.5
    kill -9 $pid 2>/dev/null && killed=$((killed + 1))
    wait $pid 2>/dev/null || true
    [ ! -e $repo/refs/main ] || break
done
[ $killed -ge 2 ] || fail "only $killed pulls were killed"
half=$(stat -c %s $repo/blobs/$sha.incomplete)
[ "$half" -gt 0 ] && [ "$half" -lt $WEIGHTS ] || fail "$half bytes of a half blob"
run 0 capivara models list
has said "lacks the weights"
has said "half-way"
cp -r cache before
hub
pull 0 org/tiny
equal "bytes after the kill" "$(sent tiny/model.safetensors)" $((WEIGHTS - half))
has hub.log "from=$half "
same $snap/model.safetensors hub/org/tiny/model.safetensors

say "a server that cannot resume"
rm -rf cache && cp -r before cache
hub --rule 'GET store/org/tiny/model norange'
pull 0 org/tiny
same $snap/model.safetensors hub/org/tiny/model.safetensors
equal "bytes from the start" "$(sent tiny/model.safetensors)" $WEIGHTS

say "a server that resumes elsewhere"
rm -rf cache && cp -r before cache
hub --rule 'GET store/org/tiny/model badrange 1'
pull 0 org/tiny
has err "starting anew"
same $snap/model.safetensors hub/org/tiny/model.safetensors

say "a half blob that is wrong is fetched anew, once"
rm -rf cache && cp -r before cache
printf 'X' | dd of=$repo/blobs/$sha.incomplete bs=1 seek=100 conv=notrunc status=none
hub
pull 0 org/tiny
has err "starting anew"
same $snap/model.safetensors hub/org/tiny/model.safetensors
rm -rf cache && cp -r before cache
noise $((WEIGHTS + 5)) >$repo/blobs/$sha.incomplete
pull 0 org/tiny
same $snap/model.safetensors hub/org/tiny/model.safetensors

say "SIGTERM stops: 75"
fresh
hub --rule 'GET store/org/tiny/model slow=1500000'
capivara models pull org/tiny >said 2>err &
pid=$!
sleep 0.5
kill $pid
status=0
wait $pid || status=$?
equal status $status 75
has err "run the same command again"

say "two at once: each byte once"
fresh
hub --rule 'GET store/org/tiny/model slow=3000000'
capivara models pull org/tiny >said.1 2>err.1 &
one=$!
capivara models pull org/tiny >said.2 2>err.2 &
two=$!
wait $one || fail "the first: $(cat err.1)"
wait $two || fail "the second: $(cat err.2)"
same said.1 said.2
equal "bytes of both" "$(sent tiny/model.safetensors)" $WEIGHTS
same $snap/model.safetensors hub/org/tiny/model.safetensors

# ---- what passes --------------------------------------------------------------------

say "dropped, overloaded, and then well"
fresh
hub --rule 'GET store/org/tiny/model cut=700000 3' --rule 'GET api status=503 2' \
    --rule 'HEAD config.json status=429 2' --rule 'HEAD source.spm drop 1'
pull 0 org/tiny
same $snap/model.safetensors hub/org/tiny/model.safetensors
equal "bytes in four pieces" "$(sent tiny/model.safetensors)" $WEIGHTS
has err "trying again"

say "a length that is a lie: less is gone on with, more is refused"
fresh
hub --rule 'GET store/org/tiny/model short 2'
pull 0 org/tiny
same $snap/model.safetensors hub/org/tiny/model.safetensors
fresh
hub --rule 'GET store/org/tiny/model long'
pull 65 org/tiny
has err "more than the 3000000 bytes that were announced"

say "a server that falls silent"
fresh
hub --rule 'GET api hang 1'
HF_HUB_DOWNLOAD_TIMEOUT=1 pull 0 org/tiny

say "overloaded for good: 75, and what came stays"
fresh
hub --rule 'GET store/org/tiny/model status=503'
pull 75 org/tiny --retries 2
has err "it answered 503"
has err "run the same command again"
equal "tries of the weights" "$(asked 'store GET .*model.safetensors')" 3
[ -e $snap/config.json ] || fail "the small files did not stay"
[ ! -e $repo/refs/main ] || fail "a ref to what is not complete"
stop_hub
pull 75 org/tiny --retries 0
has err "gave up for now"

# ---- what does not ------------------------------------------------------------------

say "wrong bytes"
fresh
hub --rule 'GET store/org/tiny/model flip'
pull 65 org/tiny
has err "'model.safetensors' of 'org/tiny': the bytes have sha256"
has err "expected $sha"
[ ! -e $repo/blobs/$sha ] && [ ! -e $repo/blobs/$sha.incomplete ] || fail "wrong bytes stayed"
fresh
hub --rule 'GET vocab.json flip'
pull 65 org/tiny
has err "the bytes have git blob"
hub --rule 'HEAD model.safetensors badetag'
pull 65 org/tiny
has err "expected aaaaaaaaaaaaaaaa"
hub --rule 'HEAD model.safetensors noetag'
pull 65 org/tiny
has err "names no digest (ETag '\"../../x\"')"
hub --rule 'HEAD model.safetensors badcommit'
pull 65 org/tiny
has err "asked for commit $ONES, the hub answered 2222"

say "--verify finds a damaged blob"
fresh
hub
pull 0 org/tiny
chmod u+w $repo/blobs/$sha
printf 'X' | dd of=$repo/blobs/$sha bs=1 seek=5 conv=notrunc status=none
pull 0 org/tiny
cmp -s $snap/model.safetensors hub/org/tiny/model.safetensors && fail "looked at without --verify"
pull 0 org/tiny --verify
has err "is damaged"
same $snap/model.safetensors hub/org/tiny/model.safetensors

say "no such model, revision, file; none that can be read"
pull 65 org/none
has err "'org/none'"
has err "set HF_TOKEN"
HF_TOKEN=abc pull 65 org/none
has err "(404)"
pull 65 org/tiny@v9
has err "model 'org/tiny@v9': 127.0.0.1:"
has err "no such model, revision or file (404)"
pull 65 org/bare
has err "has no weights that can be read"
pull 65 org/bad
has err "names '../../x', expected a file beside the index"
for evil in ../../evil /etc/evil a/../../evil 'a\\evil' 'a\u0001'; do
    hub --list "$evil"
    pull 65 org/tiny
    has err "which is no path inside it"
done
equal "escaped" "$(find "$SCRATCH" -name 'evil*')" ""
pull 2 org/tiny/more
has err "is no model's name"
for name in org/.. ../tiny 'org/a b' org/--a '' org/tiny@ org/tiny@../x; do pull 2 "$name"; done

# ---- tokens -------------------------------------------------------------------------

say "gated: a token, and it stays with the hub"
fresh
hub --gate secret
pull 65 org/tiny
has err "is gated (401)"
has err "set HF_TOKEN"
HF_TOKEN=wrong pull 65 org/tiny
has err "(403)"
HF_TOKEN='a b' pull 65 org/tiny
has err "characters that no token has"
HF_TOKEN=secret pull 0 org/tiny
same $snap/model.safetensors hub/org/tiny/model.safetensors
has hub.log 'store GET /store/org/tiny/model.safetensors status=200'
has_not <(grep ^store hub.log) token=1
has_not <(grep ^hub hub.log | tail -3) token=0
fresh
mkdir -p cache
printf ' secret\n' >cache/token
pull 0 org/tiny

# ---- the environment ----------------------------------------------------------------

say "offline"
: >hub.log
HF_HUB_OFFLINE=1 pull 0 org/tiny
equal path "$(cat said)" "$SCRATCH/$snap"
HF_HUB_OFFLINE=1 pull 65 org/sharded
has err "HF_HUB_OFFLINE is set"
equal "asked while offline" "$(wc -l <hub.log)" 0

say "where the cache is"
hub
HF_HUB_CACHE=$SCRATCH/elsewhere pull 0 org/sharded
[ -e elsewhere/models--org--sharded/refs/main ] || fail "HF_HUB_CACHE is not obeyed"
env -u HF_HOME XDG_CACHE_HOME="$SCRATCH/xdg" capivara models pull org/sharded >said 2>err
[ -e xdg/huggingface/hub/models--org--sharded/refs/main ] || fail "XDG_CACHE_HOME is not obeyed"
HF_ENDPOINT=ftp://x pull 65 org/tiny
has err "is no endpoint"
