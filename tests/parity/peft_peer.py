#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peers' side of peft.sh: open_clip's towers, PEFT's adapters, torch's optimizer.

    peft_peer.py data GOLDEN OUT                       texts.safetensors as ids and image.f32
    peft_peer.py adapter MODEL lora|proj OUT           an adapter that PEFT writes; lora_B not 0
    peft_peer.py texts MODEL ADAPTER|- FOLDER COUNT OUT      unit vectors, f32
    peft_peer.py images MODEL PIXELS COUNT OUT
    peft_peer.py pixels MODEL COUNT OUT                random ones
    peft_peer.py strict MODEL BASE                     open_clip loads it, every tensor; its image
                                                  tower and logit_scale are BASE's
    peft_peer.py step MODEL ADAPTER|- lora|proj|full FOLDER BATCH OUT      f64
    peft_peer.py steps MODEL ADAPTER|- lora|proj|full FOLDER BATCH LR ...  f32
    peft_peer.py near A B TOLERANCE                    files of f32, or two columns of numbers
    peft_peer.py gradients OURS THEIRS

MODEL: a folder with open_clip_config.json, open_clip_model.safetensors, text/config.json.
Texts are padded to 77; dropout is off. THREADS: 2.
"""
import json
import os
import sys

import numpy as np
import open_clip
import peft
import torch
import transformers
from open_clip.model import CustomTextCLIP
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy, normalize

transformers.logging.set_verbosity_error()
torch.set_num_threads(int(os.environ.get("THREADS", 2)))
CONTEXT, PAD = 77, 1


def load(folder):
    with open(f"{folder}/open_clip_config.json") as f:
        config = json.load(f)["model_cfg"]
    text = dict(config["text_cfg"], hf_model_name=f"{folder}/text", hf_model_pretrained=False)
    model = CustomTextCLIP(embed_dim=config["embed_dim"], vision_cfg=config["vision_cfg"],
                           text_cfg=text)
    model.load_state_dict(load_file(f"{folder}/open_clip_model.safetensors"), strict=True)
    return model.eval()


def with_adapter(model, adapter, trained=False):
    """The text tower, wrapped."""
    if adapter == "-":
        return model.text
    return peft.PeftModel.from_pretrained(model.text, adapter, is_trainable=trained).eval()


def read_texts(folder, count):
    with open(f"{folder}/ids") as f:
        rows = [list(map(int, line.split())) for line in f][:count]
    ids = torch.full((len(rows), CONTEXT), PAD)
    for row, one in zip(ids, rows):
        row[:len(one)] = torch.tensor(one)
    image = np.fromfile(f"{folder}/image.f32", "<f4")
    with open(f"{folder}/ids") as f:
        image = image.reshape(sum(1 for _ in f), -1)[:count]
    return ids, torch.from_numpy(image)


def data(golden, out):
    texts = load_file(f"{golden}/texts.safetensors")
    os.makedirs(out, exist_ok=True)
    with open(f"{out}/ids", "w") as f:
        for row in torch.split(texts["ids"], texts["length"].tolist()):
            f.write(" ".join(map(str, row.tolist())) + "\n")
    texts["image"].numpy().astype("<f4").tofile(f"{out}/image.f32")


def adapter(folder, kind, out):
    torch.manual_seed(2)
    text = peft.get_peft_model(load(folder).text, peft.LoraConfig(
        r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["query", "value"],
        modules_to_save=["proj"] if kind == "proj" else None))
    with torch.no_grad():
        for name, p in text.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.05)
            elif "modules_to_save" in name:
                p.add_(torch.randn_like(p) * p.std() * 0.1)
    text.save_pretrained(out)


def texts(folder, of, data_folder, count, out):
    ids, _ = read_texts(data_folder, int(count))
    text = with_adapter(load(folder), of)
    with torch.no_grad():
        got = torch.cat([normalize(text(part), dim=-1) for part in ids.split(16)])
    got.numpy().astype("<f4").tofile(out)


def pixels(folder, count, out):
    with open(f"{folder}/open_clip_config.json") as f:
        size = json.load(f)["model_cfg"]["vision_cfg"]["image_size"]
    made = torch.randn(int(count), 3, size, size, generator=torch.manual_seed(4))
    made.numpy().astype("<f4").tofile(out)


def images(folder, path, count, out):
    model = load(folder)
    size = model.visual.image_size
    size = size[0] if isinstance(size, tuple) else size
    x = torch.from_numpy(np.fromfile(path, "<f4").reshape(int(count), 3, size, size))
    with torch.no_grad():
        model.encode_image(x, normalize=True).numpy().astype("<f4").tofile(out)


def strict(folder, base):
    """By open_clip's own way from a folder, too: its configuration names text/ beside it."""
    state, theirs = load(folder).state_dict(), load(base).state_dict()
    for name, value in theirs.items():
        if not name.startswith("text."):
            assert torch.equal(value, state[name]), name
    with safe_open(f"{folder}/open_clip_model.safetensors", "pt") as f:
        assert f.metadata()["format"] == "pt"
    os.chdir(folder)
    with open("open_clip_config.json") as f:
        name = json.load(f)["model_cfg"]["text_cfg"]["hf_model_name"]
    if not os.path.exists(os.path.join(name, "config.json")):
        print(f"    (create_model is not tried: {name} is not in the folder)")
        return
    whole = open_clip.create_model("local-dir:.").state_dict()
    assert all(torch.equal(whole[k], v) for k, v in state.items())


def open_trained(folder, of, kind, dtype):
    """The text tower, logit_scale, and what is trained by our names."""
    model = load(folder).requires_grad_(False).to(dtype)
    text = with_adapter(model, of, True).to(dtype)
    if kind == "full":
        text.requires_grad_(True)
        trained = {f"base_model.model.{k}": p for k, p in text.named_parameters()}
    else:
        trained = {k.replace(".default", "").replace(".modules_to_save", ""): p
                   for k, p in text.named_parameters() if p.requires_grad}
    if kind != "lora":
        trained["logit_scale"] = model.logit_scale.requires_grad_(True)
    return text, model.logit_scale, trained


def loss_of(text, scale, ids, image):
    logits = scale.exp() * image @ normalize(text(ids), dim=-1).T
    labels = torch.arange(len(ids))
    return (cross_entropy(logits, labels) + cross_entropy(logits.T, labels)) / 2


def step(folder, of, kind, data_folder, batch, out):
    ids, image = read_texts(data_folder, int(batch))
    text, scale, trained = open_trained(folder, of, kind, torch.float64)
    loss = loss_of(text, scale, ids, image.double())
    loss.backward()
    print(f"{loss.item():.9g}")
    save_file({k: p.grad.reshape(-1, p.shape[-1] if p.ndim else 1).float().contiguous()
               for k, p in trained.items()}, out)


def steps(folder, of, kind, data_folder, batch, *rates):
    batch = int(batch)
    ids, image = read_texts(data_folder, 1 << 16)
    text, scale, trained = open_trained(folder, of, kind, torch.float32)
    adam = torch.optim.Adam(trained.values(), betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2)
    for s, rate in enumerate(map(float, rates)):
        rows = [(s * batch + i) % len(ids) for i in range(batch)]
        adam.param_groups[0]["lr"] = rate
        adam.zero_grad()
        loss = loss_of(text, scale, ids[rows], image[rows])
        loss.backward()
        adam.step()
        print(f"{loss.item():.9g}")


def numbers(path):
    with open(path, "rb") as f:
        raw = f.read()
    try:
        return np.array([float(x) for x in raw.decode("ascii").split()])
    except ValueError:
        return np.frombuffer(raw, "<f4").astype(np.float64)


def judge(what, off, tolerance):
    good = off <= tolerance  # not so if it is no number
    print(f"    {what}: {off:.2g} apart, at most {tolerance:g}{'' if good else '   <- BAD'}")
    return good


def near(a, b, tolerance):
    x, y = numbers(a), numbers(b)
    assert x.shape == y.shape and x.size > 0, (x.shape, y.shape)
    sys.exit(not judge(os.path.basename(a), np.abs(x - y).max() / np.abs(y).max(),
                       float(tolerance)))


def gradients(ours, theirs):
    """Of each tensor relative to its own largest, or to a thousandth of the largest of all
    where it is 0 but for rounding (biases of keys)."""
    with safe_open(ours, "pt") as a, safe_open(theirs, "pt") as b:
        assert set(a.keys()) == set(b.keys()), set(a.keys()) ^ set(b.keys())
        most = max(b.get_tensor(k).abs().max().item() for k in b.keys())
        worst = (0.0, "")
        for k in b.keys():
            x, y = a.get_tensor(k).double().flatten(), b.get_tensor(k).double().flatten()
            off = (x - y).abs().max().item() / max(y.abs().max().item(), 1e-3 * most)
            worst = max(worst, (off if off == off else float("inf"), k))
        good = judge(f"{len(b.keys())} gradients, {worst[1]}", worst[0], 1e-4)
    sys.exit(not good)


COMMANDS = [data, adapter, texts, images, pixels, strict, step, steps, near, gradients]
{f.__name__: f for f in COMMANDS}[sys.argv[1]](*sys.argv[2:])
