# SPDX-License-Identifier: Apache-2.0
"""See reference.sh. `make` writes columns of random captions and similarities, `check` reads the
export with the recipe of the reference's trainer (shards shuffled, samples shuffled in a buffer,
images as uint8 tensors, a caption drawn, partial batches) for each of its strategies."""

import glob
import io
import json
import random
import subprocess
import sys
import tarfile

SAMPLES, PARTS, BATCH = 45, 2, 16
KEEP, LEAST, FIRST = 5, 0.22, 3


def make(tmp, build, image):
    rng = random.Random(7)

    def column(name, part, rows, *options):
        text = "".join(f"{key}\t{json.dumps(value, ensure_ascii=False)}\n" for key, value in rows)
        subprocess.run([f"{build}/tests/report/report-column", *options, f"{tmp}/c", name, str(part)],
                       input=text.encode(), check=True)

    def captions(kind, lang, n):
        return [f"{kind} {lang} {i} {rng.randrange(10**9)} \u00e9" for i in range(n)]

    def numbers(n):
        return [round(v / 1e6, 6) for v in rng.sample(range(100000, 350000), n)]

    with open(f"{tmp}/e.npy", "wb") as f:  # one view of 8 halves
        head = "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 8), }"
        f.write(b"\x93NUMPY\x01\x00\x76\x00" + head.ljust(117).encode() + b"\n" + bytes(16))
    for part in range(PARTS):
        keys = [f"{part:05d}{i:04d}" for i in range(SAMPLES)]
        column("fetch", part, [(k, {"key": k, "url": "http://x/" + k, "width": 1, "height": 1,
                                    "captions-en": captions("o", "en", 1)}) for k in keys],
               "--image", image)
        column("caption", part,
               [(k, {"generated-captions-en": captions("g", "en", 10)}) for k in keys])
        for lang, originals in ("pt", 2), ("xh", 1):
            # Some generated ones say nothing: empty, and without a number.
            rows, scores = [], []
            for i, k in enumerate(keys):
                texts, sims = captions("g", lang, 10), numbers(originals + 10)
                if i % 7 == 3:
                    texts[4], sims[originals + 4] = "", None
                rows.append((k, {f"captions-{lang}": captions("o", lang, originals),
                                 f"flags-{lang}": [""] * (originals + 10),
                                 f"generated-captions-{lang}": texts}))
                # Nothing of some reaches the threshold.
                if i % 9 == 5:
                    sims = [None if s is None else round(s / 2, 6) for s in sims]
                scores.append((k, {f"similarities-{lang}": sims}))
            column(f"translate-{lang}", part, rows)
            column(f"score-{lang}", part, scores)
        column("score", part, [(k, {}) for k in keys], "--npy", f"{tmp}/e.npy")
        column("score-en", part, [(k, {"similarities-en": numbers(11)}) for k in keys])


# What the reference may draw from, after its description: None skips the sample.
def candidates(sample, lang, strategy):
    captions, own = sample[f"captions-{lang}"], sample.get(f"similarities-{lang}")
    if strategy == "rank":
        order = sorted(range(len(own)), key=own.__getitem__)
        return [captions[i] for i in order[-KEEP:]]
    if strategy == "threshold":
        return [c for c, s in zip(captions, own, strict=True) if s >= LEAST] or None
    base = captions[:2] if lang == "pt" else captions[:1]
    more = sample[f"generated-captions-{lang}"]
    return base + {"none": [], "first": more[:FIRST], "all": more}[strategy]


def read(shards, lang, strategy):
    import webdataset as wds

    def take(pair):
        image, sample = pair
        texts = candidates(sample, lang, strategy)
        if not texts:
            return None
        return image, (sample["key"], random.choice(texts), texts)

    data = (wds.WebDataset(shards, shardshuffle=100).shuffle(10000).decode("torchrgb8")
            .to_tuple("jpg;png", "json").map(take).batched(BATCH, partial=True))
    return list(data)


def ours(tmp, build, lang, strategy):
    number = {"first": FIRST, "rank": KEEP, "threshold": LEAST}.get(strategy, 0)
    originals = {"pt": 2}.get(lang, 1) if strategy in ("none", "first", "all") else 0
    out = subprocess.run(
        [f"{build}/tests/parity/choices", lang, strategy, str(originals), str(number),
         *sorted(glob.glob(f"{tmp}/c/shards/train/*.tar.zst"))], stdout=subprocess.PIPE, check=True)
    rows = (line.split("\t") for line in out.stdout.decode().splitlines())
    return {key: json.loads(texts) for key, texts in rows}


def pictures(shards):
    import numpy as np
    from PIL import Image

    found = {}
    for shard in shards:
        for m in (tar := tarfile.open(shard)):
            assert m.name.endswith((".jpg", ".json")), m.name
            if m.name.endswith(".jpg"):
                picture = Image.open(io.BytesIO(tar.extractfile(m).read())).convert("RGB")
                found[m.name[:-4]] = np.asarray(picture).transpose(2, 0, 1)
    return found


def check(tmp, build):
    import torch

    shards = sorted(glob.glob(f"{tmp}/out/*.tar"))
    assert [s[-9:] for s in shards] == [f"{i:05d}.tar" for i in range(len(shards))], shards
    stored = pictures(shards)
    assert len(stored) == SAMPLES * PARTS, len(stored)
    for lang in "en", "pt", "xh":
        for strategy in "none", "first", "all", "rank", "threshold":
            batches, wanted, seen = read(shards, lang, strategy), ours(tmp, build, lang, strategy), {}
            assert all(len(texts) == BATCH for _, texts in batches[:-1])
            for images, texts in batches:
                assert images.dtype == torch.uint8
                for image, (key, drawn, may) in zip(images, texts, strict=True):
                    assert (image.numpy() == stored[key]).all(), key
                    assert key not in seen and drawn in may, key
                    seen[key] = may
            assert seen.keys() == wanted.keys(), (lang, strategy, len(seen), len(wanted))
            for key, may in seen.items():
                assert sorted(may) == sorted(wanted[key]), (lang, strategy, key, may, wanted[key])
            print(f"{lang} {strategy}: {len(seen)} samples, "
                  f"{sum(map(len, seen.values()))} captions: the same")


{"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])
