#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the demo's translators: a miniature Marian from English into each language, on the
sentences that the generator of scenes says in both, and hold them against held-out scenes.

    demo/training/translators.py build/demo/capivara-demo-scenes pt xh hi

Writes demo/models/en-LANG in the published format, weights in float16, and says how well
they do. README.md beside this file has the numbers.
"""
import argparse
import csv
import json
import math
import os
import random
import subprocess
import tempfile
import time

import sacrebleu
import torch
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig, MarianConfig, MarianMTModel, MarianTokenizer

from pieces import make_tokenizer

SIZES = {"pt": (200, 260), "xh": (200, 400), "hi": (200, 260)}  # pieces, source and target
SEED = 20261125
SCENES, SHOWN = 8000, 40000  # SHOWN pairs are drawn: captions and prompted ones, half each
TOKENS = 2000  # of source and target, in a batch
RATE, WARM = 2e-3, 200


def read_pairs(generator, lang, scenes, heldout, seed):
    """Sentences by split: lists of (English, translation, opening, own or prompted)."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([generator, "--list-only", "--scenes", str(scenes), "--heldout",
                        str(heldout), "--seed", str(seed), "--parallel", "prompts", folder],
                       check=True, stdout=subprocess.DEVNULL)
        rows = {"train": [], "heldout": []}
        with open(os.path.join(folder, "parallel.tsv"), encoding="utf-8") as text:
            last = None
            for row in csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE):
                own = (row["id"], row["caption"]) != last
                last = row["id"], row["caption"]
                rows[row["split"]].append((row["en"], row[lang], row["opening"], own))
    return rows


def batches_of(pairs, rng):
    """For ever: batches of like length with some TOKENS tokens, in a new order each time."""
    while True:
        order = sorted(range(len(pairs)),
                       key=lambda i: (len(pairs[i][0]) + len(pairs[i][1]), rng.random()))
        batches, batch, longest = [], [], 0
        for i in order:
            longest = max(longest, len(pairs[i][0]) + len(pairs[i][1]))
            if batch and longest * (len(batch) + 1) > TOKENS:
                batches.append(batch)
                batch = []
            batch.append(pairs[i])
        batches.append(batch)
        rng.shuffle(batches)
        yield from batches


def padded(rows, fill):
    width = max(map(len, rows))
    return torch.tensor([r + [fill] * (width - len(r)) for r in rows])


def new_model(ids, width=96, inner=256):
    pad = ids["<pad>"]
    config = MarianConfig(
        vocab_size=len(ids), d_model=width, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=inner,
        decoder_ffn_dim=inner, activation_function="swish", dropout=0.0,
        attention_dropout=0.0, activation_dropout=0.0, scale_embedding=True,
        static_position_embeddings=True, max_position_embeddings=256, pad_token_id=pad,
        eos_token_id=0, forced_eos_token_id=0, bos_token_id=0, decoder_start_token_id=pad,
        init_std=0.05, architectures=["MarianMTModel"], tie_word_embeddings=True,
        share_encoder_decoder_embeddings=True)
    config.normalize_before = config.normalize_embedding = False
    config.num_hidden_layers = config.encoder_layers
    model = MarianMTModel(config)
    with torch.no_grad():
        model.model.shared.weight[pad].zero_()
    return model


def train(model, pairs, ids, steps):
    """The row of <pad> stays zero: it is left out of the scores, so nothing moves it."""
    pad, rng, begun = ids["<pad>"], random.Random(SEED), time.monotonic()
    bias = torch.nn.Parameter(torch.zeros(len(ids)))
    rest = [p for p in model.parameters() if p.dim() < 2] + [bias]
    wide = [p for p in model.parameters() if p.dim() >= 2]
    adam = torch.optim.AdamW([{"params": wide, "weight_decay": 0.01},
                              {"params": rest, "weight_decay": 0.0}],
                             lr=RATE, betas=(0.9, 0.98))
    stream, total = batches_of(pairs, rng), 0.0
    model.train()
    for step in range(steps):
        rate = RATE * min((step + 1) / WARM, 0.5 + 0.5 * math.cos(math.pi * step / steps))
        for group in adam.param_groups:
            group["lr"] = rate
        batch = next(stream)
        source = padded([s for s, _ in batch], pad)
        target = padded([t for _, t in batch], pad)
        before = torch.cat([torch.full((len(batch), 1), pad), target[:, :-1]], 1)
        hidden = model.model(input_ids=source, attention_mask=(source != pad).long(),
                             decoder_input_ids=before, use_cache=False).last_hidden_state
        scores = (hidden @ model.model.shared.weight.T + bias)[..., :pad]
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), target.flatten(),
                                                 ignore_index=pad)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*wide, *rest], 1.0)
        adam.step()
        total += loss.item()
        if step % 200 == 199:
            print(f"  step {step + 1}: loss {total / 200:.4f}, "
                  f"{time.monotonic() - begun:.0f} s", flush=True)
            total = 0.0
    model.final_logits_bias.copy_(bias.detach()[None])
    assert not model.model.shared.weight[pad].any()


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
        json.dump(value, out, indent=2, sort_keys=True)
        out.write("\n")


def save(model, ids, folder):
    pad = ids["<pad>"]
    search = {"bad_words_ids": [[pad]], "bos_token_id": 0, "decoder_start_token_id": pad,
              "eos_token_id": 0, "forced_eos_token_id": 0, "max_length": 256, "num_beams": 4,
              "pad_token_id": pad, "renormalize_logits": True}
    model.generation_config = GenerationConfig(**search)
    with tempfile.TemporaryDirectory() as plain:
        model.half().save_pretrained(plain)
        tensors = load_file(os.path.join(plain, "model.safetensors"))
        with open(os.path.join(plain, "config.json"), encoding="utf-8") as text:
            config = json.load(text)
    save_file(tensors, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    write_json(folder, "config.json", config)
    write_json(folder, "generation_config.json", search)


def translate(folder, sentences, beams):
    tokenizer = MarianTokenizer.from_pretrained(folder)
    model = MarianMTModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    order, out = sorted(range(len(sentences)), key=lambda i: len(sentences[i])), {}
    unended = 0
    for at in range(0, len(order), 64):
        some = order[at:at + 64]
        batch = tokenizer([sentences[i] for i in some], return_tensors="pt", padding=True)
        with torch.inference_mode():
            ids = model.generate(**batch, num_beams=beams)
        unended += sum(len(row) >= 256 for row in ids)
        out.update(zip(some, tokenizer.batch_decode(ids, skip_special_tokens=True)))
    return [out[i] for i in range(len(sentences))], unended


def evaluate(folder, rows, most, beams):
    """BLEU over captions as they are, and over each behind each of the prompts."""
    report, wrong = {}, []
    own = [i for i, r in enumerate(rows) if r[3]]
    plain = {"none", "there_is", "we_see"}
    for name, chosen in (("captions", [rows[i] for i in own[:most]]),
                         ("prompts", [r for r in rows if r[2] not in plain][:most])):
        said, unended = translate(folder, [r[0] for r in chosen], beams)
        wanted = [r[1] for r in chosen]
        for english, a, b in zip((r[0] for r in chosen), said, wanted):
            if a != b:
                wrong.append((english, a, b))
        report[name] = {"bleu": round(sacrebleu.corpus_bleu(said, [wanted]).score, 2),
                        "exact": round(sum(map(str.__eq__, said, wanted)) / len(said), 4),
                        "sentences": len(said), "unended": unended}
    return report, wrong


def make(o, lang, folder):
    """Tokenizer, training and files of one language."""
    torch.manual_seed(SEED)
    rows = read_pairs(o.generator, lang, SCENES, 0, SEED)["train"]
    begun, rng, shown = time.monotonic(), random.Random(SEED), []
    for own in (True, False):
        shown += rng.sample(sorted({(r[0], r[1]) for r in rows if r[3] == own}), SHOWN // 2)
    rng.shuffle(shown)
    ids = make_tokenizer(shown[:SHOWN // 4], lang, SIZES[lang], folder)
    tokenizer = MarianTokenizer.from_pretrained(folder)
    numbers = list(zip(tokenizer([en for en, _ in shown]).input_ids,
                       tokenizer(text_target=[other for _, other in shown]).input_ids))
    model = new_model(ids)
    for side, name in enumerate(("source", "target")):
        lengths = [len(pair[side]) for pair in numbers]
        print(f"en-{lang}: {name} of {sum(lengths) / len(lengths):.1f} tokens, "
              f"at most {max(lengths)}")
    print(f"en-{lang}: {len(ids)} pieces", flush=True)
    train(model, numbers, ids, o.steps)
    save(model, ids, folder)
    size = os.path.getsize(os.path.join(folder, "model.safetensors"))
    print(f"en-{lang}: {time.monotonic() - begun:.0f} s, {size} bytes", flush=True)


def main():
    parse = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parse.add_argument("generator", help="capivara-demo-scenes")
    parse.add_argument("lang", nargs="+", choices=sorted(SIZES))
    parse.add_argument("--steps", type=int, default=1600)
    parse.add_argument("--threads", type=int, default=2)
    parse.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "../models"))
    parse.add_argument("--sentences", type=int, default=2000, help="to evaluate on")
    parse.add_argument("--evaluate", action="store_true", help="only that; no training")
    o = parse.parse_args()
    torch.set_num_threads(o.threads)
    torch.use_deterministic_algorithms(True)
    for lang in o.lang:
        folder = os.path.join(o.out, f"en-{lang}")
        if not o.evaluate:
            make(o, lang, folder)
        rows = read_pairs(o.generator, lang, 0, 600, 1)["heldout"]
        for beams in (1, 4):
            report, wrong = evaluate(folder, rows, o.sentences, beams)
            for english, said, wanted in wrong[:4]:
                print(f"    {english}\n      said   {said}\n      wanted {wanted}")
            print(f"en-{lang}, beams {beams}: {json.dumps(report)}", flush=True)


if __name__ == "__main__":
    main()
