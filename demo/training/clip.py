#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the demo's CLIP: a miniature of the multilingual one that CAPIVARA starts from. It knows
English, and of Portuguese, Xhosa and Hindi a few captions each.

    demo/training/clip.py build/demo/capivara-demo-scenes

Writes demo/models/clip in the published layout, weights in float16, and says how well it finds
captions and pictures of held-out scenes. README.md beside this file has the recipe and the numbers.
"""
import argparse
import csv
import json
import math
import multiprocessing
import os
import subprocess
import tempfile
import time

import numpy as np
import torch
from torch.nn import functional

import pictures
import towers
from captioner import Teacher
from towers import LANGUAGES, Words

SEED = 20261127  # and --seed more: another model, of other scenes
SCENES, VALID = 20000, 600  # scenes of training, and held-out ones only to look at
PIECES = 512
BATCH, STEPS = 192, 1200
FEW, SHARE = 120, 0.01  # distinct captions of each language, share of a batch
RATE, TURN, WARM, DECAY = 2e-3, 0.02, 100, 0.03
PRECISE = 0.95  # from this share of the steps on in float32, before in bfloat16
TESTED, TEST_SEED = 600, 1


def draw(generator, scenes, heldout, seed, folder):
    """The lines of scenes.jsonl with their captions in every language, and the pictures' paths."""
    subprocess.run([generator, "--clean", "--parallel", "captions", "--scenes", str(scenes),
                    "--heldout", str(heldout), "--seed", str(seed), folder],
                   check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, "scenes.jsonl"), encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    of = {(row["split"], row["id"]): row for row in rows}
    for row in rows:
        row["said"] = {lang: [] for lang in LANGUAGES}
    with open(os.path.join(folder, "parallel.tsv"), encoding="utf-8") as text:
        for line in csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE):
            for lang in LANGUAGES:
                of[line["split"], int(line["id"])]["said"][lang].append(line[lang])
    return rows, [os.path.join(folder, row["file"]["path"]) for row in rows]


def seen(path):
    return towers.squared(pictures.fetched(path))


def world(generator, scenes, heldout, seed, processes=2):
    """Scenes with captions, training ones first, and their pictures as bytes [n, 64, 64, 3]."""
    with tempfile.TemporaryDirectory() as folder:
        rows, paths = draw(generator, scenes, heldout, seed, folder)
        pixels = np.empty((len(rows), towers.SIDE, towers.SIDE, 3), np.uint8)
        with multiprocessing.Pool(processes) as pool:
            for i, picture in enumerate(pool.imap(seen, paths, 256)):
                pixels[i] = picture
    return rows, pixels


class Lesson:
    """Everything that training draws from, in memory."""

    def __init__(self, rows, pixels, words, rng, few):
        self.tiles, self.rng = towers.tiles_of(pixels), rng
        under = [pictures.under(row) for row in rows]
        self.what = torch.from_numpy(np.stack([u[0] for u in under]))
        self.way = torch.from_numpy(np.stack([u[1] for u in under]))
        self.whole = torch.tensor([u[2] for u in under])
        said = [row["said"]["en"] for row in rows]
        self.first = np.cumsum([0] + [len(captions) for captions in said])
        self.ids = words.encode([text for captions in said for text in captions])
        # of the other languages a few captions, each of another scene and all different
        self.few = {}
        for lang in LANGUAGES[1:]:
            some, texts = [], []
            for i in rng.permutation(len(rows)):
                text = rows[i]["said"][lang][int(rng.integers(len(rows[i]["said"][lang])))]
                if text not in texts and len(texts) < few:
                    some.append(int(i))
                    texts.append(text)
            self.few[lang] = (np.array(some), words.encode(texts))
        self.order = []

    def batch(self, size, share):
        if len(self.order) < size:
            self.order = self.rng.permutation(len(self.tiles))
        some, self.order = self.order[:size].copy(), self.order[size:]
        which = self.first[some] + (self.rng.random(size)
                                    * (self.first[some + 1] - self.first[some])).astype(int)
        ids, at = self.ids[which], 0
        for scenes, texts in self.few.values():
            n = self.rng.binomial(size, share)
            pick = self.rng.integers(len(scenes), size=n)
            some[at:at + n], ids[at:at + n] = scenes[pick], texts[pick]
            at += n
        some = torch.from_numpy(some)
        return (self.tiles[some], ids, self.what[some].long(), self.way[some].float(),
                self.whole[some])


def optimizers(p, teacher):
    """Muon turns the matrices inside the layers, AdamW all else."""
    inner, wide, rest = [], [], []
    for name, t in p.items():
        hidden = t.dim() == 2 and (".layer." in name or ".resblocks." in name)
        (inner if hidden else wide if t.dim() > 1 and "embedding" not in name else rest).append(t)
    for t in teacher.parameters():
        (wide if t.dim() == 2 else rest).append(t)
    adam = torch.optim.AdamW([{"params": wide, "weight_decay": DECAY},
                              {"params": rest, "weight_decay": 0.0}],
                             lr=RATE, betas=(0.9, 0.98), fused=True)
    muon = torch.optim.Muon(inner, lr=TURN, weight_decay=DECAY, momentum=0.95)
    return {adam: RATE, muon: TURN}, [*inner, *wide, *rest]


class Trial:
    """Held-out scenes with all their captions in every language."""

    def __init__(self, rows, pixels, words):
        self.tiles = towers.tiles_of(pixels)
        self.owner = torch.tensor([i for i, row in enumerate(rows) for _ in row["said"]["en"]])
        self.ids = {lang: words.encode([text for row in rows for text in row["said"][lang]])
                    for lang in LANGUAGES}

    def ranks(self, p, product=towers.linear, images=None):
        images = towers.images_of(p, self.tiles) if images is None else images
        return {lang: towers.ranks(images, towers.texts_of(p, ids, product), self.owner)
                for lang, ids in self.ids.items()}

    def recall(self, p, product=towers.linear, images=None):
        return {lang: float(np.mean(towers.recalls(*both)))
                for lang, both in self.ranks(p, product, images).items()}


def shown(recall):
    return ", ".join(f"{lang} {value:.1f}" for lang, value in recall.items())


def train(p, lesson, trial, o):
    for tensor in p.values():
        tensor.requires_grad_(True)
    teacher = Teacher()
    rates, every = optimizers(p, teacher)
    begun, last = (time.monotonic(), time.process_time()), time.monotonic()
    right = [0.0] * len(pictures.KINDS)
    for step in range(o.steps):
        done = step / o.steps
        share = min(1, (step + 1) / WARM) * (0.5 + 0.5 * math.cos(math.pi * done))
        for optimizer, rate in rates.items():
            for group in optimizer.param_groups:
                group["lr"] = rate * max(share, 1e-3)
        tiles, ids, *under = lesson.batch(BATCH, SHARE)
        q = {n: t.bfloat16() for n, t in p.items()} if done < PRECISE else p
        image, states = towers.look(q, tiles)
        text = towers.read_some(q, ids)
        loss = towers.contrastive(functional.normalize(image.float(), dim=-1),
                                  functional.normalize(text.float(), dim=-1),
                                  p["logit_scale"].exp().clamp(max=100))
        aux, found = teacher(states, *under)
        for optimizer in rates:
            optimizer.zero_grad(set_to_none=True)
        (loss + o.aux * aux).backward()
        torch.nn.utils.clip_grad_norm_(every, 2.0)
        for optimizer in rates:
            optimizer.step()
        right = [0.98 * a + 0.02 * b for a, b in zip(right, found)]
        if time.monotonic() - last > o.every or step + 1 == o.steps:
            last = time.monotonic()
            print(f"step {step + 1}: {(last - begun[0]) / 60:.1f} minutes, "
                  f"{(time.process_time() - begun[1]) / 60:.1f} of CPU; loss {loss.item():.3f}, "
                  f"scale {p['logit_scale'].exp().item():.1f}; "
                  + shown(trial.recall({n: t.detach() for n, t in p.items()})) + "; patches "
                  + ", ".join(f"{k} {100 * r:.0f}" for k, r in zip(pictures.KINDS, right)),
                  flush=True)
            last = time.monotonic()
    return {name: tensor.detach() for name, tensor in p.items()}


def kept(o, scenes, heldout, seed, name):
    """The world, from o.cache if it lies there already."""
    path = o.cache and os.path.join(o.cache, f"{name}-{seed}.npz")
    if path and os.path.exists(path):
        with np.load(path) as old:
            return json.loads(old["rows"].tobytes()), old["pixels"]
    rows, pixels = world(o.generator, scenes, heldout, seed)
    if path:
        np.savez(path, pixels=pixels,
                 rows=np.frombuffer(json.dumps(rows).encode(), np.uint8))
    return rows, pixels


def make(o):
    seed = SEED + o.seed
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    rows, pixels = kept(o, SCENES, VALID, seed, "world")
    os.makedirs(os.path.join(o.out, "text"), exist_ok=True)
    sentences = [text for row in rows[:2000] for lang in LANGUAGES for text in row["said"][lang]]
    towers.train_pieces(sentences, PIECES,
                        os.path.join(o.out, "text", "sentencepiece.bpe.model"))
    words = Words(o.out)
    lesson = Lesson(rows[:SCENES], pixels[:SCENES], words, rng, o.few)
    trial = Trial(rows[SCENES:], pixels[SCENES:], words)
    p = towers.new_weights(words.size, generator)
    print(f"{sum(t.numel() for t in p.values())} parameters, {words.size} pieces, "
          f"{len(lesson.ids)} captions of {(lesson.ids != towers.PAD).sum(1).float().mean():.1f} "
          "pieces", flush=True)
    p = train(p, lesson, trial, o)
    towers.save(p, o.out)
    print(f"{os.path.getsize(os.path.join(o.out, 'open_clip_model.safetensors'))} bytes")


def evaluate(o):
    rows, pixels = kept(o, 1, TESTED, TEST_SEED, "test")
    trial = Trial(rows[1:], pixels[1:], Words(o.out))
    p = towers.load(o.out)
    for lang, both in trial.ranks(p).items():
        values = towers.recalls(*both)
        print(f"{lang}: mean recall {np.mean(values):.1f}; R@1, 5, 10 of pictures for captions "
              + ", ".join(f"{v:.1f}" for v in values[:3]) + "; of captions for pictures "
              + ", ".join(f"{v:.1f}" for v in values[3:]), flush=True)


def main():
    parse = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parse.add_argument("generator", help="capivara-demo-scenes")
    parse.add_argument("--seed", type=int, default=0, help="another one: other scenes, weights")
    parse.add_argument("--steps", type=int, default=STEPS)
    parse.add_argument("--few", type=int, default=FEW,
                       help="distinct captions of each language but English")
    parse.add_argument("--aux", type=float, default=1.0, help="weight of the loss of patches")
    parse.add_argument("--threads", type=int, default=1)
    parse.add_argument("--every", type=float, default=60, help="seconds between checks")
    parse.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "../models/clip"))
    parse.add_argument("--cache", help="folder for drawn scenes, to begin at once another time")
    parse.add_argument("--evaluate", action="store_true", help="only that; no training")
    o = parse.parse_args()
    torch.set_num_threads(o.threads)
    if not o.evaluate:
        make(o)
    evaluate(o)


if __name__ == "__main__":
    main()
