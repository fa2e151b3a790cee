# SPDX-License-Identifier: Apache-2.0
"""The reference's evaluation, written anew from its description, for eval.sh.

eval.py random DIR          500 images with 1 to 5 texts each, 512 numbers, made with noise
eval.py against DIR DIM     recall of DIR/{images,texts,owners} in PyTorch beside DIR/ours
eval.py numbers DIR JSON DIM  the same beside what capivara-eval says of language `en`
"""
import json
import sys

import numpy as np
import torch

KS = (1, 5, 10)


def recall(images, texts, owners):
    """Normalised embeddings, scores = T I^T, a hit if any positive is among the first k."""
    images = torch.nn.functional.normalize(torch.from_numpy(images), dim=-1)
    texts = torch.nn.functional.normalize(torch.from_numpy(texts), dim=-1)
    scores = texts @ images.t()
    positive = torch.zeros_like(scores, dtype=torch.bool)
    positive[torch.arange(len(owners)), torch.from_numpy(owners)] = True
    out = {}
    for name, s, p in (("t2i", scores, positive), ("i2t", scores.t(), positive.t())):
        out[name] = []
        for k in KS:
            top = torch.topk(s, min(k, s.shape[1]), dim=1)[1]
            out[name].append(p.gather(1, top).any(dim=1).double().mean().item())
    return out


def load(folder, dim):
    images = np.fromfile(folder + "/images", np.float32).reshape(-1, dim)
    texts = np.fromfile(folder + "/texts", np.float32).reshape(-1, dim)
    return images, texts, np.fromfile(folder + "/owners", np.int64)


def make(folder):
    rng = np.random.default_rng(1)
    images = rng.standard_normal((500, 512)).astype(np.float32)
    owners = np.repeat(np.arange(500), rng.integers(1, 6, 500)).astype(np.int64)
    rng.shuffle(owners)
    texts = images[owners] * 0.12 + rng.standard_normal((len(owners), 512)).astype(np.float32)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    images.tofile(folder + "/images")
    texts.astype(np.float32).tofile(folder + "/texts")
    owners.tofile(folder + "/owners")


def compare(theirs, ours, within):
    bad = 0
    for side in ("t2i", "i2t"):
        print(side, "theirs", *("%.4f" % x for x in theirs[side]),
              "ours", *("%.4f" % x for x in ours[side]))
        bad += any(not abs(a - b) <= within for a, b in zip(theirs[side], ours[side]))
    return bad


def main():
    what, folder = sys.argv[1:3]
    if what == "random":
        make(folder)
        return 0
    if what == "against":
        ours = {}
        for line in open(folder + "/ours"):
            name, *numbers = line.split()
            ours[name] = [float(x) for x in numbers]
        return compare(recall(*load(folder, int(sys.argv[3]))), ours, 1e-12)
    if what == "numbers":
        dim = int(sys.argv[4])
        said = json.load(open(sys.argv[3]))["languages"]["en"]
        ours = {side: [said[side]["R@%d" % k] for k in KS] for side in ("t2i", "i2t")}
        return compare(recall(*load(folder, dim)), ours, 6e-7)
    raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
