#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peers of bench/train, and what all of them train and embed.

    peers.py make FOLDER TOKENIZER         ViT-B/32 with XLM-R base, random weights (1.5 GB)
    peers.py data FOLDER TOKENIZER CAPTIONS N    N captions' ids (FOLDER/ids, a line each) and
                                           random unit vectors (FOLDER/image.f32); both
                                           as samples of a packed set, too (FOLDER/set.tar)
    peers.py train HOW FOLDER STEPS        prints "steps seconds cpu-seconds"
    peers.py score HOW FOLDER IMAGES       prints "images seconds cpu-seconds"
    peers.py timings FILE                  of capivara-train's timings.jsonl, all steps but
                                           the first: as train prints
    peers.py watch COMMAND ...             what it prints, and at the end of its last line
                                           the most anonymous memory it had, MiB

A step of training is one LoRA step (r 8 on query and value, projection and logit_scale too)
of batch BATCH (32): loss, gradients, Adam; after one that warms up. HOW:
    reference   open_clip and PEFT as CAPIVARA runs them: texts padded to 77, pixels through
                the image tower, gradient checkpointing of the text tower, dropout
    pixels      the same, but texts padded to the longest, no checkpointing, no gradient in
                the image tower's pass
    stored      the best that PyTorch does: embeddings of images stored, texts padded to the
                longest, no checkpointing
HOW of scoring an image with 12 captions:
    reference   one image at a time, its captions padded to 77 (generated_caps_sim_score.py)
    image       the same without captions
    batch       8 images at a time, no captions
THREADS: 2.
"""
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time

import numpy as np

DIM, CONTEXT, PAD, CAPTIONS = 512, 77, 1, 12
CONFIG = {"embed_dim": DIM,
          "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
          "text_cfg": {"hf_model_name": "text", "hf_tokenizer_name": "text",
                       "hf_proj_type": "mlp", "hf_pooler_type": "mean_pooler"}}
TEXT = {"model_type": "xlm-roberta", "architectures": ["XLMRobertaModel"],
        "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1, "layer_norm_eps": 1e-5, "vocab_size": 250002,
        "max_position_embeddings": 514, "type_vocab_size": 1, "bos_token_id": 0,
        "pad_token_id": 1, "eos_token_id": 2}


def bare(folder):
    """open_clip's classes without weights that mean anything."""
    import torch
    import transformers
    from open_clip.model import CustomTextCLIP
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(int(os.environ.get("THREADS", 2)))
    text = dict(CONFIG["text_cfg"], hf_model_name=f"{folder}/text", hf_model_pretrained=False)
    return CustomTextCLIP(embed_dim=DIM, vision_cfg=CONFIG["vision_cfg"], text_cfg=text)


def load(folder):
    from safetensors.torch import load_file
    model = bare(folder)
    model.load_state_dict(load_file(f"{folder}/open_clip_model.safetensors"))
    return model


def make(folder, tokenizer):
    import torch
    from safetensors.torch import save_file
    os.makedirs(f"{folder}/text", exist_ok=True)
    with open(f"{folder}/text/config.json", "w") as f:
        json.dump(TEXT, f, indent=1)
    with open(f"{tokenizer}/sentencepiece.bpe.model", "rb") as f:
        pieces = f.read()
    with open(f"{folder}/text/sentencepiece.bpe.model", "wb") as f:
        f.write(pieces)
    with open(f"{folder}/open_clip_config.json", "w") as f:
        json.dump({"model_cfg": CONFIG,
                   "preprocess_cfg": {"mean": [0.48145466, 0.4578275, 0.40821073],
                                      "std": [0.26862954, 0.26130258, 0.27577711]}}, f)
    torch.manual_seed(20261125)
    model = bare(folder)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "LayerNorm.weight" in name or "ln_" in name and name.endswith("weight"):
                p.normal_(1, 0.1)
            elif p.ndim < 2:
                p.normal_(0, 0.05)
            elif "embedding" in name:
                p.normal_(0, 0.1)
            else:
                p.normal_(0, 1.1 / p[0].numel() ** 0.5)
        model.logit_scale.fill_(3.5)
    state = {k: v.contiguous() for k, v in model.state_dict().items()
             if not k.endswith("position_ids")}
    save_file(state, f"{folder}/open_clip_model.safetensors.part", metadata={"format": "pt"})
    os.rename(f"{folder}/open_clip_model.safetensors.part",
              f"{folder}/open_clip_model.safetensors")


def data(folder, tokenizer, captions, n):
    from transformers import XLMRobertaTokenizer
    words = XLMRobertaTokenizer(f"{tokenizer}/sentencepiece.bpe.model")
    with gzip.open(captions, "rt") as f:
        lines = f.read().splitlines()
    rng = np.random.default_rng(3)
    lines = [lines[i] for i in rng.permutation(len(lines))[:n]]
    ids = words([" ".join(x.split()) for x in lines], max_length=CONTEXT, truncation=True)
    with open(f"{folder}/ids", "w") as f:
        for row in ids["input_ids"]:
            f.write(" ".join(map(str, row)) + "\n")
    image = rng.standard_normal((n, DIM)).astype("<f4")
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    image.tofile(f"{folder}/image.f32")
    pack(f"{folder}/set.tar", lines, image)
    mean = np.mean([len(row) for row in ids["input_ids"]])
    print(f"{n} captions, {mean:.2f} tokens each")


def pack(path, lines, image):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for i, (line, vector) in enumerate(zip(lines, image)):
            stored = io.BytesIO()
            np.save(stored, vector.astype("<f2"))
            words = json.dumps({"captions-en": [line]}).encode()
            for suffix, content in ("clip.npy", stored.getvalue()), ("json", words):
                member = tarfile.TarInfo(f"{i:08d}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def timings(path):
    """What it took of CPU is not told there."""
    with open(path) as f:
        rows = [json.loads(line) for line in f][1:]
    wall = sum(row["seconds"] for row in rows)
    print(len(rows), f"{wall:.3f} -")


def read_ids(folder):
    with open(f"{folder}/ids") as f:
        return [list(map(int, line.split())) for line in f]


def padded(rows, to):
    import torch
    out = torch.full((len(rows), to), PAD)
    for row, one in zip(out, rows):
        row[:len(one)] = torch.tensor(one)
    return out


def adapted(model, checkpointing):
    """Towers, pairs and what is locked, as open_CLIP_adapter.py has them."""
    import peft
    model.visual.requires_grad_(False)
    if checkpointing:
        model.text.set_grad_checkpointing(True)
        model.text.transformer.get_input_embeddings().register_forward_hook(
            lambda module, args, out: out.requires_grad_(True))
    model.text = peft.get_peft_model(model.text, peft.LoraConfig(
        r=8, lora_alpha=8, lora_dropout=0.0, target_modules=["query", "value"],
        modules_to_save=["proj"]))
    return [p for p in model.parameters() if p.requires_grad]


def train(how, folder, steps):
    import torch
    from torch.nn.functional import cross_entropy, normalize
    batch = int(os.environ.get("BATCH", 32))
    model = load(folder).train()
    adam = torch.optim.Adam(adapted(model, how == "reference"), lr=1e-5,
                            betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2)
    ids = read_ids(folder)
    stored = torch.from_numpy(np.fromfile(f"{folder}/image.f32", "<f4").reshape(-1, DIM))
    pixels = torch.randn(batch, 3, 224, 224, generator=torch.manual_seed(1))
    labels = torch.arange(batch)
    for s in range(steps + 1):
        if s == 1:
            wall, cpu = time.monotonic(), time.process_time()
        rows = [(s * batch + i) % len(ids) for i in range(batch)]
        texts = [ids[r] for r in rows]
        x = padded(texts, CONTEXT if how == "reference" else max(map(len, texts)))
        if how == "stored":
            image = stored[rows]
        elif how == "pixels":
            with torch.no_grad():
                image = model.encode_image(pixels, normalize=True)
        else:
            image = model.encode_image(pixels, normalize=True)
        text = normalize(model.text(x), dim=-1)
        logits = model.logit_scale.exp() * image @ text.T
        loss = (cross_entropy(logits, labels) + cross_entropy(logits.T, labels)) / 2
        adam.zero_grad()
        loss.backward()
        adam.step()
    print(steps, f"{time.monotonic() - wall:.3f} {time.process_time() - cpu:.3f}")


def score(how, folder, n):
    import torch
    model = load(folder).eval()
    ids = read_ids(folder)
    many = 8 if how == "batch" else 1
    pixels = torch.randn(many, 3, 224, 224, generator=torch.manual_seed(1))
    with torch.no_grad():
        for i in range(0, n + many, many):
            if i == many:
                wall, cpu = time.monotonic(), time.process_time()
            image = model.encode_image(pixels, normalize=True)
            if how == "reference":
                texts = [ids[(i * CAPTIONS + k) % len(ids)] for k in range(CAPTIONS)]
                text = model.encode_text(padded(texts, CONTEXT), normalize=True)
                image @ text.T
    n = (n + many - 1) // many * many
    print(n, f"{time.monotonic() - wall:.3f} {time.process_time() - cpu:.3f}")


def watch(command):
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    most, done = 0, threading.Event()

    def look():
        nonlocal most
        while not done.wait(0.02):
            try:
                with open(f"/proc/{child.pid}/status") as f:
                    for line in f:
                        if line.startswith("RssAnon:"):
                            most = max(most, int(line.split()[1]))
            except OSError:
                return

    looker = threading.Thread(target=look)
    looker.start()
    out = child.communicate()[0]
    done.set()
    looker.join()
    print(out.rstrip("\n"), most // 1024)
    return child.returncode


def main(args):
    if args[0] == "make":
        make(args[1], args[2])
    elif args[0] == "data":
        data(args[1], args[2], args[3], int(args[4]))
    elif args[0] == "train":
        train(args[1], args[2], int(args[3]))
    elif args[0] == "score":
        score(args[1], args[2], int(args[3]))
    elif args[0] == "timings":
        timings(args[1])
    elif args[0] == "watch":
        sys.exit(watch(args[1:]))
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
