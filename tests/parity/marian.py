#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Marian at full size against transformers: see marian.sh, which calls it.

    marian.py make FOLDER base|tc-big
    marian.py sources FOLDER COUNT [CAPTIONS TOKENIZER]    ids on stdout
    marian.py run FOLDER BEAMS NEW < SOURCES               transformers' ids, in f32
    marian.py judge FOLDER BEAMS SOURCES OURS THEIRS -- PROGRAM ...
    marian.py forced FOLDER SOURCES -- PROGRAM ...         logits after given prefixes

Results are compared line by line. Where two differ, what f64 says about the first place
where they do decides: if the two tokens (with beams: the two whole results) are closer
there than both programs' own errors in f32 together, neither is wrong.
"""
import os
import random
import subprocess
import sys
from itertools import groupby

import numpy as np
import torch
import transformers
from transformers import MarianConfig, MarianMTModel

transformers.logging.set_verbosity_error()
torch.set_num_threads(int(os.environ.get("THREADS", 1)))


def make(folder, shape):
    """Weights of a size that says something: logits of deviation 1, eos now and then."""
    torch.manual_seed(20261125)
    big = shape == "tc-big"
    v, d, f, h = (54776, 1024, 4096, 16) if big else (61950, 512, 2048, 8)
    eos = 44670 if big else 0
    model = MarianMTModel(MarianConfig(
        vocab_size=v, decoder_vocab_size=v, d_model=d, encoder_layers=6,
        decoder_layers=6, encoder_attention_heads=h, decoder_attention_heads=h,
        encoder_ffn_dim=f, decoder_ffn_dim=f,
        activation_function="relu" if big else "swish",
        max_position_embeddings=1024 if big else 512, max_length=512, pad_token_id=v - 1,
        decoder_start_token_id=v - 1, eos_token_id=eos, forced_eos_token_id=eos,
        bad_words_ids=[[v - 1]], num_beams=4, scale_embedding=True,
        renormalize_logits=True if big else None))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "shared" in name:
                p.normal_(0, d ** -0.5)
                p[-1] = 0
            elif name.endswith("weight") and "norm" not in name and "positions" not in name:
                p.normal_(0, 0.8 * p.shape[1] ** -0.5)
            elif "norm" in name or name.endswith("bias"):
                p.add_(0.1 * torch.randn_like(p))
        model.final_logits_bias.normal_(0, 0.3)
        model.final_logits_bias[0, eos] = 3.2
    model.save_pretrained(folder)


def load(folder):
    return MarianMTModel.from_pretrained(folder).eval()


def sources(folder, count, captions=None, tokenizer=None):
    config = MarianConfig.from_pretrained(folder)
    if captions:
        tok = transformers.MarianTokenizer.from_pretrained(tokenizer)
        own = tok.eos_token_id
        with open(captions, encoding="utf-8") as f:
            for line, _ in zip(f, range(int(count))):
                ids = [i for i in tok(line.strip())["input_ids"] if i != own]
                ids = [i % (config.vocab_size - 1) for i in ids]
                ids = [2 if i == config.eos_token_id else i for i in ids]
                print(*ids, config.eos_token_id)
        return
    random.seed(20261125)
    words = [i for i in range(config.vocab_size - 1) if i != config.eos_token_id]
    for _ in range(int(count)):
        print(*random.choices(words, k=random.randint(4, 25)), config.eos_token_id)


def run(folder, beams, new):
    """Batches of one length each: no row is padded."""
    model = load(folder)
    lines = [[int(x) for x in line.split()] for line in sys.stdin]
    order = sorted(range(len(lines)), key=lambda i: len(lines[i]))
    out = [None] * len(lines)
    eos = model.config.eos_token_id
    for _, group in groupby(order, key=lambda i: len(lines[i])):
        group = list(group)
        for at in range(0, len(group), 32):
            some = group[at:at + 32]
            made = model.generate(torch.tensor([lines[i] for i in some]),
                                  num_beams=int(beams), do_sample=False,
                                  max_length=int(new) + 1)
            for i, row in zip(some, made.tolist()):
                row = row[1:]
                out[i] = row[:row.index(eos)] if eos in row else row
    for row in out:
        print(*row)


def read(path):
    with open(path) as f:
        return [[int(x) for x in line.split()] for line in f]


def last_logits(model, source, target):
    with torch.no_grad():
        return model(input_ids=torch.tensor([source]),
                     decoder_input_ids=torch.tensor([target])).logits[0, -1].double()


def total(model, source, row):
    """The sum of log-probabilities over its length, as a beam search has it."""
    config = model.config
    target = [config.decoder_start_token_id] + row
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([source]),
                       decoder_input_ids=torch.tensor([target])).logits[0]
    if model.generation_config.renormalize_logits:
        logits[:, config.pad_token_id] = -torch.inf
    lp = torch.log_softmax(logits, -1)
    words = row + [config.eos_token_id]
    return float(sum(lp[i, w] for i, w in enumerate(words)) / len(words))


def greedy_gap(single, double, program, source, a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    eos = double.config.eos_token_id
    pair = [(a + [eos])[at], (b + [eos])[at]]
    target = [double.config.decoder_start_token_id] + a[:at]
    exact = last_logits(double, source, target)
    theirs = last_logits(single, source, target)
    line = " ".join(map(str, source)) + " / " + " ".join(map(str, target)) + "\n"
    raw = subprocess.run(program + ["logits"], input=line.encode(), check=True,
                         capture_output=True).stdout
    ours = torch.from_numpy(np.frombuffer(raw, "<f4").astype("f8"))
    error = sum(float(abs(x[w] - exact[w])) for x in (ours, theirs) for w in pair)
    return at, float(abs(exact[pair[0]] - exact[pair[1]])), error


def beam_gap(single, double, source, a, b):
    exact = [total(double, source, x) for x in (a, b)]
    error = [abs(total(single, source, x) - y) for x, y in zip((a, b), exact)]
    return 0, abs(exact[0] - exact[1]), 2 * sum(error)


FORCED = 1e-5  # of the tensor's largest: docs/numerics.md, "Tolerances"


def logits(model, source, target):
    with torch.no_grad():
        made = model(input_ids=torch.tensor([source]),
                     decoder_input_ids=torch.tensor([target])).logits[0]
    if model.generation_config.renormalize_logits:  # which takes the bad one out
        made[:, model.config.pad_token_id] = -torch.inf
    return made.double().numpy()


def distance(a, b):
    """The largest difference, in parts of b's largest magnitude; NaN where either is."""
    some = b != -np.inf
    if not np.array_equal(some, a != -np.inf):
        return np.inf
    return np.abs(a[some] - b[some]).max() / np.abs(b[some]).max()


def forced(folder, source, _, *program):
    """Each sentence, with the next one's tokens for its translation."""
    source = read(source)
    single, double = load(folder), load(folder).double()
    start, vocab = single.config.decoder_start_token_id, single.config.decoder_vocab_size
    target = [[start] + x[:-1] for x in source[1:] + source[:1]]
    lines = [" ".join(map(str, a)) + " / " + " ".join(map(str, b)) + "\n"
             for a, b in zip(source, target)]
    worst = np.zeros(3)
    wrong = 0
    with subprocess.Popen([*program, "forced"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as peer:
        for i, (a, b) in enumerate(zip(source, target)):
            peer.stdin.write(lines[i].encode())
            peer.stdin.flush()
            if i == len(source) - 1:
                peer.stdin.close()
            raw = peer.stdout.read(4 * len(b) * vocab)
            ours = np.frombuffer(raw, "<f4").astype("f8").reshape(len(b), vocab)
            theirs, exact = logits(single, a, b), logits(double, a, b)
            found = [distance(ours, theirs), distance(ours, exact),
                     distance(theirs, exact)]
            if not found[0] <= FORCED:
                wrong += 1
                print(f"  sentence {i}: {found[0]:.3g} of the largest logit")
            worst = np.maximum(worst, found)
    print(f"logits of {len(source)} sentences, {sum(map(len, target))} positions: within "
          f"{worst[0]:.2g} of the largest, {FORCED:g} allowed, {wrong} sentences beyond; "
          f"to f64: ours {worst[1]:.2g}, transformers {worst[2]:.2g}")
    sys.exit(wrong > 0)


def judge(folder, beams, source, ours, theirs, _, *program):
    source, ours, theirs = read(source), read(ours), read(theirs)
    assert len(source) == len(ours) == len(theirs)
    differ = [i for i in range(len(ours)) if ours[i] != theirs[i]]
    ended = len({len(x) for x in ours})
    wrong = 0
    if differ:
        single, double = load(folder), load(folder).double()
    for i in differ:
        args = single, double
        if beams == "1":
            gap = greedy_gap(*args, list(program), source[i], ours[i], theirs[i])
        else:
            gap = beam_gap(*args, source[i], ours[i], theirs[i])
        wrong += not gap[1] < gap[2]
        print(f"  sentence {i}, token {gap[0]}: f64 gap {gap[1]:.3g}, "
              f"errors of f32 {gap[2]:.3g}")
    mean = sum(map(len, ours)) / len(ours)
    print(f"{len(ours) - len(differ)} of {len(ours)} identical ({mean:.1f} tokens on "
          f"average, {ended} lengths), {wrong} of the others not excused")
    sys.exit(wrong > 0 or len(differ) > len(ours) / 100)


if __name__ == "__main__":
    {"make": make, "sources": sources, "run": run, "judge": judge, "forced": forced}[
        sys.argv[1]](*sys.argv[2:])
