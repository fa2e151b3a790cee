#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A miniature of the paper: three pre-trained miniature CLIPs, each fine-tuned with three seeds on
# the demo's corpus of scenes (original and generated captions, translated), and mean recall
# in four languages before and after on held-out scenes, with bootstrap intervals. Then once each:
# without English, one language alone, without the generated captions. Ends with 1 if a
# goal of issue 7 is missed.
#
#     PEER_PYTHON=... bench/miniature/run.sh [--peer] [--both] [FOLDER]
#
# PEER_PYTHON: a Python with demo/training/requirements.txt: it pre-trains (some 8 minutes of
# one core for each seed but the demo's own, whose weights are in the tree) and draws held-out
# scenes. --peer: fine-tune and evaluate in PyTorch instead of capivara-train and
# capivara-eval; --both: the one and the other. FOLDER: where all of it lies and is found again
# (default build/miniature). BUILD: a meson build folder, default build/. SCENES: 1500 in the
# corpus. HELDOUT: 600, of the seed WORLD: 1. PRETRAINED, SEEDS: "0 1 2". VALID=1: on the scenes that settings were chosen on.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$(cd "${BUILD:-$root/build}" && pwd)
python=${PEER_PYTHON:-}
[ -n "$python" ] && "$python" -c 'import torch, sentencepiece, yaml' 2>/dev/null ||
    { echo "skipped: PEER_PYTHON names no Python with torch"; exit 77; }
kind=ours
case ${1:-} in --peer | --both) kind=${1#--}; shift ;; esac
home=${1:-$root/build/miniature}
mkdir -p "$home"
home=$(cd "$home" && pwd)
capivara=$build/capivara scenes=$build/demo/capivara-demo-scenes
pretrained=${PRETRAINED:-0 1 2}

# --- models: the demo's own, and others like it -------------------------------------------
clip() { # clip SEED: its folder
    if [ "$1" = 0 ]; then echo "$root/demo/models/clip"; else echo "$home/clip-$1"; fi
}
for seed in $pretrained; do
    [ -e "$(clip "$seed")/open_clip_model.safetensors" ] || {
        rm -rf "$home/clip.tmp"
        "$python" -u "$root/demo/training/clip.py" "$scenes" --seed "$seed" --out "$home/clip.tmp"
        mv "$home/clip.tmp" "$(clip "$seed")"
    }
done

# --- the corpus, once; embeddings of its pictures by each model ----------------------------
config() { # config CORPUS: the demo's configuration, for that folder
    echo "base: $root/demo"
    sed -e "s|^corpus: .*|corpus: $1|" -e "s|^  path: .*|  path: $home/world/captions.tsv|" \
        -e '/^score:/,/^[^ ]/{/^score:/d;/^ /d}' -e '/^shard:/,$d' "$root/demo/corpus.yaml"
}
packed() { # packed COLUMNS IMAGES
    cat <<END
shard:
  train:
    columns: [fetch, caption, translate-pt, translate-xh, translate-hi$1]
    samples_per_shard: 500
    images: $2
END
}
if [ ! -e "$home/corpus/done" ]; then
    rm -rf "$home/world" "$home/corpus" "$home/port"
    mkdir -p "$home/world"
    "$build/tests/server/capivara-test-server" --root "$home/world" --port 0 \
        --port-file "$home/port" --die-with-parent >"$home/server.log" 2>&1 &
    server=$!
    trap 'kill $server 2>/dev/null || true' EXIT
    until [ -s "$home/port" ]; do sleep 0.05; done
    "$scenes" --scenes "${SCENES:-1500}" --seed 1 --part 250 \
        --url-base "http://127.0.0.1:$(cat "$home/port")/" "$home/world"
    { config "$home/corpus"; packed '' true; } >"$home/corpus.yaml"
    "$capivara" run "$home/corpus.yaml"
    kill $server
    touch "$home/corpus/done"
fi
for seed in $pretrained; do
    [ "$kind" != peer ] && [ ! -e "$home/corpus-$seed/done" ] || continue
    rm -rf "$home/corpus-$seed"
    cp -a "$home/corpus" "$home/corpus-$seed"
    rm -r "$home/corpus-$seed/done" "$home/corpus-$seed/shards"
    {
        config "$home/corpus-$seed"
        echo "score: {model: $(clip "$seed")}"
        packed ', score' false
    } >"$home/corpus-$seed.yaml"
    "$capivara" run "$home/corpus-$seed.yaml"
    touch "$home/corpus-$seed/done"
done

# --- held-out scenes ----------------------------------------------------------------------
world=${WORLD:-1} # 1: the demo's
[ -z "${VALID:-}" ] || world=1001
[ -e "$home/heldout-$world/list.tsv" ] ||
    "$python" "$here/run.py" heldout "$scenes" "${HELDOUT:-600}" $world "$home/heldout-$world"

# --- fine-tunings ------------------------------------------------------------------------
for seed in $pretrained; do
    for how in ours peer; do
        [ "$kind" = $how ] || [ "$kind" = both ] || continue
        set=$home/corpus/shards/train
        [ $how = peer ] || set=$home/corpus-$seed/shards/train
        "$python" -u "$here/run.py" $how "$(clip "$seed")" "$set" \
            "$home/heldout-$world" "$home/$how-$world/$seed" --seeds ${SEEDS:-0 1 2} \
            --build "$build" --once "$([ "$seed" = 0 ] && echo yes || echo no)"
    done
done
status=0
for how in ours peer; do
    [ ! -e "$home/$how-$world" ] || "$python" "$here/run.py" table "$home/$how-$world" || status=1
done
exit $status
