#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peer's side of clip.sh: open_clip.

    clip.py make FOLDER TOKENIZER        ViT-B/32 with XLM-R base of random weights, as a
                                         folder; and FOLDER/lightning.ckpt beside it
    clip.py embed FOLDER PHOTOS COUNT CAPTIONS COUNT OUT
                                         OUT-paths, OUT-lines, OUT-images, OUT-texts
    clip.py compare WHAT A B DIM         largest difference of unit vectors, in f32
    clip.py pixels PHOTOS SCRATCH PROGRAM
"""
import gzip
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import open_clip
import torch
from open_clip.model import CustomTextCLIP
from open_clip.tokenizer import get_clean_fn
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import XLMRobertaTokenizer

SPM = "sentencepiece.bpe.model"


def config_of(folder):
    with open(os.path.join(folder, "open_clip_config.json")) as f:
        return json.load(f)


def build(folder):
    cfg = config_of(folder)["model_cfg"]
    text = dict(cfg["text_cfg"], hf_model_name=os.path.join(folder, "text"),
                hf_model_pretrained=False)
    for old, new in (("proj", "hf_proj_type"), ("pooler_type", "hf_pooler_type")):
        if old in text:
            text[new] = text.pop(old)
    return CustomTextCLIP(cfg["embed_dim"], cfg["vision_cfg"], text,
                          quick_gelu=cfg.get("quick_gelu", False)).eval()


def make(folder, tokenizer, preset):
    with open(preset) as f:
        preset = json.load(f)
    os.makedirs(os.path.join(folder, "text"), exist_ok=True)
    shutil.copyfile(tokenizer, os.path.join(folder, "text", SPM))
    for name, what in (("open_clip_config.json",
                        {k: preset[k] for k in ("model_cfg", "preprocess_cfg")}),
                       ("text/config.json", preset["text_config"])):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(what, f, indent=2)
    torch.manual_seed(7)
    model = build(folder)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim > 1 and "embeddings" not in name:
                p.mul_(1.5)  # deviate further than what PyTorch begins with
            elif "ln_" in name or "LayerNorm" in name or name.endswith("bias"):
                p.add_(0.1 * torch.randn_like(p))
            elif "embeddings" in name:
                p.add_(0.3 * torch.randn_like(p))
    state = {k: v.contiguous() for k, v in model.state_dict().items()
             if not k.endswith(("position_ids", "token_type_ids"))}
    torch.save({"state_dict": {"model.model." + k: v for k, v in state.items()}},
               os.path.join(folder, "lightning.ckpt.part"))
    save_file(state, os.path.join(folder, "open_clip_model.safetensors"))
    os.rename(os.path.join(folder, "lightning.ckpt.part"),
              os.path.join(folder, "..", "lightning.ckpt"))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")


def lines_of(path, count):
    with gzip.open(path, "rt", encoding="utf-8") as f:
        lines = [x.rstrip("\n") for x in f]
    step = max(1, len(lines) // count)
    lines = lines[::step][:count]
    lines[3] = " ".join(lines[:20])  # more than 77 tokens
    lines[5] = "uma <pad> foto <pad> de &eacute; \u201caspas\u201d"
    return lines


def embed(folder, photos, n_photos, captions, n_captions, out):
    model = build(folder)
    model.load_state_dict(load_file(os.path.join(folder, "open_clip_model.safetensors")))
    cfg = config_of(folder)
    pre = cfg["preprocess_cfg"]
    transform = image_transform(cfg["model_cfg"]["vision_cfg"]["image_size"], False,
                                mean=pre["mean"], std=pre["std"])
    tokenizer = XLMRobertaTokenizer(os.path.join(folder, "text", SPM))
    clean = get_clean_fn("whitespace")
    paths = [os.path.join(photos, n) for n in sorted(os.listdir(photos))][:int(n_photos)]
    lines = lines_of(captions, int(n_captions))
    with open(out + "-paths", "w") as f:
        f.write("".join(p + "\n" for p in paths))
    with open(out + "-lines", "w", encoding="utf-8") as f:
        f.write("".join(x + "\n" for x in lines))
    with torch.no_grad():
        images = [model.encode_image(transform(Image.open(p).convert("RGB"))[None],
                                     normalize=True) for p in paths]
        texts = []
        for i in range(0, len(lines), 20):
            ids = tokenizer([clean(x) for x in lines[i:i + 20]], max_length=77,
                            padding="max_length", truncation=True, return_tensors="pt")
            texts.append(model.encode_text(ids.input_ids, normalize=True))
    torch.cat(images).numpy().astype("<f4").tofile(out + "-images")
    torch.cat(texts).numpy().astype("<f4").tofile(out + "-texts")


def compare(what, a, b, dim):
    a = np.fromfile(a, "<f4").reshape(-1, int(dim))
    b = np.fromfile(b, "<f4").reshape(-1, int(dim))
    if a.shape != b.shape:
        sys.exit(f"{what}: {a.shape} and {b.shape}")
    off = np.abs(a - b).max(1) / np.abs(a).max(1)
    far = np.linalg.norm(a - b, axis=1)
    alike = (a @ a.T)[~np.eye(len(a), dtype=bool)]
    print(f"{what}: {len(a)} embeddings, largest difference {off.max():.2g} of the largest "
          f"element (median {np.median(off):.2g}), {far.max():.2g} as vectors; cosines "
          f"between them {alike.min():.3f} to {alike.max():.3f}")
    sys.exit(not off.max() <= 1e-5)


def pixels(photos, scratch, program):
    """Photographs and pieces of them in many sizes, in colour and gray."""
    random = np.random.default_rng(5)
    names = [os.path.join(photos, n) for n in sorted(os.listdir(photos))]
    files = []
    for i, name in enumerate(names):
        image = Image.open(name).convert("L" if i % 9 == 4 else "RGB")
        files.append(name)
        for k in range(6):
            w, h = (int(x) for x in random.integers(4, 700, 2))
            if k == 5:
                w = max(w, 40) if h % 2 else 4 + w % 40
            path = os.path.join(scratch, f"{i}-{k}.png")
            image.resize((w, h), Image.BICUBIC).save(path, compress_level=1)
            files.append(path)
    same = total = values = 0
    for size in 224, 64, 31, 336:
        with open(os.path.join(scratch, "open_clip_config.json"), "w") as f:
            json.dump(dict(model_cfg=dict(vision_cfg=dict(image_size=size))), f)
        transform = image_transform(size, False)
        run = subprocess.run([program, scratch], input="\n".join(files).encode() + b"\n",
                             stdout=subprocess.PIPE, check=True)
        at = 0
        for path in files:
            assert run.stdout[at:at + 4] == b"\0\0\0\0", path
            at += 4
            ours = np.frombuffer(run.stdout, "<f4", 3 * size * size, at)
            at += ours.nbytes
            theirs = transform(Image.open(path)).numpy().reshape(-1)
            total += 1
            same += np.array_equal(ours, theirs)
            values += int((ours != theirs).sum())
    print(f"pixels: {same} of {total} pictures identical, {values} values differ")
    sys.exit(same != total)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("THREADS", 2)))
    {"make": make, "embed": embed, "compare": compare,
     "pixels": pixels}[sys.argv[1]](*sys.argv[2:])
