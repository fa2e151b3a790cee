# SPDX-License-Identifier: Apache-2.0
"""The fine-tuning of capivara-train in PyTorch, for bench/miniature: the image tower locked, its
embeddings stored as float16, LoRA pairs on products of the text tower as PEFT has them."""
import csv
import io
import json
import math
import os
import subprocess
import sys
import tarfile

import numpy as np
import torch
import yaml
from PIL import Image
from torch.nn import functional

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../demo/training"))
import towers  # noqa: E402


def settings_of(path, changes):
    """What capivara-train's configuration says, flat."""
    with open(path, encoding="utf-8") as text:
        c = yaml.safe_load(text)
    for key, value in changes.items():
        section, key = key.split(".")
        c[section][key] = value
    data, how = c["data"], c["optimizer"]
    return {"steps": c["steps"], "batch": c["batch"], "optimizer": how["name"],
            "lr": float(how["lr"]), "lr_min": float(how["lr_min"]), "warmup": how["warmup"],
            "betas": (how["beta1"], how["beta2"]), "eps": float(how["eps"]),
            "decay": how["weight_decay"], "rank": c["lora"]["r"], "alpha": c["lora"]["alpha"],
            "dropout": c["lora"]["dropout"], "targets": c["lora"]["targets"],
            "projection": c["tower"]["projection"], "logit_scale": c["tower"]["logit_scale"],
            "generated": {"all": "all", "none": 0}[data["captions"]],
            "languages": dict(zip(data["languages"], data["shares"]))}


def samples_of(folder):
    """Every sample of the packed shards: its JSON and its picture."""
    found = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".tar.zst"):
            continue
        data = subprocess.run(["zstd", "-dcq", os.path.join(folder, name)], check=True,
                              stdout=subprocess.PIPE).stdout
        with tarfile.open(fileobj=io.BytesIO(data)) as shard:
            for member in shard:
                key, kind = member.name.split(".", 1)
                found.setdefault(key, {})[kind] = shard.extractfile(member).read()
    return [(json.loads(s["json"]), s["jpg"]) for _, s in sorted(found.items())]


class Corpus:
    """The packed training set: embeddings of its pictures, and token ids of its captions."""

    def __init__(self, samples, words):
        self.rows = [row for row, _ in samples]
        pixels = np.stack([towers.squared(Image.open(io.BytesIO(jpg))) for _, jpg in samples])
        self.tiles = towers.tiles_of(pixels)
        self.ids = {}
        for lang in towers.LANGUAGES:
            for kind in ("captions", "generated-captions"):
                texts = [row[f"{kind}-{lang}"] for row in self.rows]
                first = np.cumsum([0] + [len(t) for t in texts])
                self.ids[kind, lang] = (first, words.encode([t for ts in texts for t in ts]))

    def pick(self, some, langs, generated, rng):
        """A caption of each of these samples, uniformly of its originals and of so many of
        the generated ones."""
        out = torch.empty((len(some), towers.CONTEXT), dtype=torch.int16)
        for row, (i, lang) in enumerate(zip(some, langs)):
            first, ids = self.ids["captions", lang]
            own = first[i + 1] - first[i]
            more_first, more = self.ids["generated-captions", lang]
            n = more_first[i + 1] - more_first[i]
            n = n if generated == "all" else min(n, generated)
            k = int(rng.integers(own + n))
            out[row] = ids[first[i] + k] if k < own else more[more_first[i] + k - own]
        return out


def heldout(folder, words):
    """The queries' names by direction, and what run.py drew: tiles, ids and owners."""
    with open(os.path.join(folder, "list.tsv"), encoding="utf-8") as text:
        lines = list(csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE))
    files = list(dict.fromkeys(line["file"] for line in lines))
    owner, texts = [files.index(line["file"]) for line in lines], []
    for i, at in enumerate(owner):
        texts.append(f"{files[at]}#{i - owner.index(at)}")
    pixels = np.stack([towers.squared(Image.open(os.path.join(folder, f))) for f in files])
    return (texts, files), {
        "tiles": towers.tiles_of(pixels), "owner": torch.tensor(owner),
        "ids": {lang: words.encode([line[lang] for line in lines])
                for lang in towers.LANGUAGES}}


def rate_at(s, step):
    """The reference's CosineWarmupLR."""
    if step <= s["warmup"]:
        return s["lr_min"] + (s["lr"] - s["lr_min"]) * step / s["warmup"]
    done = (step - s["warmup"]) / (s["steps"] - s["warmup"])
    return s["lr_min"] + (s["lr"] - s["lr_min"]) * 0.5 * (math.cos(math.pi * done) + 1)


class Pairs:
    """LoRA pairs on the targets of every layer: A uniform in +-1/sqrt(in), B zero."""

    def __init__(self, p, s, generator):
        self.scale, self.dropout, self.of = s["alpha"] / s["rank"], s["dropout"], {}
        for name in sorted(p):
            module = name.removesuffix(".weight")
            if ".encoder.layer." in name and name.endswith(".weight") and \
                    module.endswith(tuple(s["targets"])):
                out, into = p[name].shape
                a = (torch.rand(s["rank"], into, generator=generator) * 2 - 1) / into ** 0.5
                self.of[module] = (a.requires_grad_(True),
                                   torch.zeros(out, s["rank"], requires_grad=True))
        self.training = True

    def product(self, p, name, x):
        y = towers.linear(p, name, x)
        if name not in self.of:
            return y
        a, b = (t.to(x.dtype) for t in self.of[name])
        x = functional.dropout(x, self.dropout, self.training)
        return y + self.scale * functional.linear(functional.linear(x, a), b)


def finetune(p, corpus, images, s, seed, dtype=torch.float32):
    """The parameters with those that were trained beside the pairs replaced, and the pairs.
    `dtype`: of the text tower's arithmetic; bfloat16 takes half the time."""
    rng = np.random.default_rng(seed)
    pairs = Pairs(p, s, torch.Generator().manual_seed(seed))
    p = dict(p)
    names = ["text.proj.0.weight", "text.proj.2.weight"] if s["projection"] else []
    names += ["logit_scale"] if s["logit_scale"] else []
    for name in names:
        p[name] = p[name].clone().requires_grad_(True)
    every = [p[name] for name in names] + [t for pair in pairs.of.values() for t in pair]
    kind = {"adamw": torch.optim.AdamW, "adam-l2": torch.optim.Adam}[s["optimizer"]]
    adam = kind(every, lr=s["lr"], betas=s["betas"], eps=s["eps"], weight_decay=s["decay"])
    shares = np.array(list(s["languages"].values()), float)
    langs, shares = list(s["languages"]), shares / shares.sum()
    order, losses = np.empty(0, int), []
    for step in range(s["steps"]):
        if len(order) < s["batch"]:
            order = np.concatenate([order, rng.permutation(len(images))])
        some, order = order[:s["batch"]], order[s["batch"]:]
        ids = corpus.pick(some, rng.choice(langs, len(some), p=shares), s["generated"], rng)
        q = p if dtype == torch.float32 else {name: t.to(dtype) for name, t in p.items()}
        text = towers.read_some(q, ids, pairs.product).float()
        text = functional.normalize(text, dim=-1)
        loss = towers.contrastive(images[torch.from_numpy(some)], text, p["logit_scale"].exp())
        for group in adam.param_groups:
            group["lr"] = rate_at(s, step)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        with torch.no_grad():
            p["logit_scale"].clamp_(0, math.log(100))
        losses.append(loss.item())
    pairs.training = False
    return {name: t.detach() for name, t in p.items()}, pairs, losses
