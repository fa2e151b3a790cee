#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""BLIP at full size against transformers: see blip.sh, which calls it.

    blip.py make FOLDER base|large [VOCAB]
    blip.py pixels FOLDER PHOTOS COUNT OUT PROGRAM         by tests/parity/pixels
    blip.py prompts FOLDER                                 the ten prompts as ids
    blip.py states FOLDER PIXELS COUNT OUT
    blip.py compare FOLDER PIXELS COUNT THEIRS OURS PROMPTS -- PROGRAM ...
    blip.py run FOLDER BEAMS NEW PROMPTS STATES COUNT OUT
    blip.py judge FOLDER BEAMS PIXELS PROMPTS STATES OURS THEIRS -- PROGRAM ...

What is in OUT already is not done again: states and captions are of one picture after the
other. Where captions differ, what f64 says about the first place where they do decides: if
the two tokens (with beams: the two whole results) are closer there than both programs' own
errors in f32 together, neither is wrong.
"""
import os
import subprocess
import sys
from itertools import groupby

import numpy as np
import torch
import transformers
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

transformers.logging.set_verbosity_error()
torch.set_num_threads(int(os.environ.get("THREADS", 1)))

PROMPTS = ["the foreground features", "a photo of", "a picture of",
           "this is a scene depicting", "an image of", "portrait of a",
           "this image captures a moment of", "a painting of", "an art of",
           "the picture shows"]
BOS, SEP, SEP_BIAS = 30522, 102, 9.5


# Of a decoder layer; more of the picture would drown the words, post-norm.
GAIN = {"attention.output.dense.weight": 0.5, "crossattention.output.dense.weight": 0.15,
        "output.dense.weight": 0.5}


def make(folder, shape, vocab=None):
    """Weights of a size that says something: captions differ between pictures and prompts,
    and some end by themselves. The head is the table of words, as published."""
    torch.manual_seed(20261125)
    big = shape == "large"
    config = BlipConfig(
        vision_config=dict(hidden_size=1024 if big else 768, layer_norm_eps=1e-5,
                           intermediate_size=4096 if big else 3072,
                           num_hidden_layers=24 if big else 12,
                           num_attention_heads=16 if big else 12),
        text_config=dict(num_attention_heads=12, bos_token_id=BOS, sep_token_id=SEP,
                         encoder_hidden_size=1024 if big else 768))
    model = BlipForConditionalGeneration(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("bias"):
                p.normal_(0, 0.02)
            elif "norm" in name.lower():
                p.copy_(1 + 0.1 * torch.randn_like(p))
            elif "word_embeddings" in name or "position" in name or "class" in name:
                p.normal_(0, 0.15 if "text" in name else 0.5)
            else:
                p.normal_(0, GAIN.get(name.split(".", 5)[-1], 1.2) * p[0].numel() ** -0.5)
                if name.endswith("output.dense.weight"):  # GELU's mean is no news
                    p.sub_(p.mean(1, keepdim=True))
        model.text_decoder.cls.predictions.bias[SEP] += SEP_BIAS
    model.save_pretrained(folder)
    if vocab:
        with open(vocab, "rb") as f:
            words = f.read()
    else:  # a made one: the prompts' words, and numbers
        words = sorted({w for p in PROMPTS for w in p.split()})
        first = ["[PAD]", "[UNK]", "[CLS]", "[MASK]"] + words
        first += [f"w{i}" for i in range(BOS)]
        words = "\n".join(first[:SEP] + ["[SEP]"] + first[SEP:BOS - 1] + [""]).encode()
    with open(os.path.join(folder, "vocab.txt"), "wb") as f:
        f.write(words)


def load(folder):
    return BlipForConditionalGeneration.from_pretrained(folder).eval()


def pixels(folder, photos, count, out, program):
    """Beyond the photographs there are, their mirror images."""
    names = sorted(os.listdir(photos))
    count = int(count)
    paths = "".join(os.path.join(photos, n) + "\n" for n in names[:count])
    size = BlipConfig.from_pretrained(folder).vision_config.image_size
    raw = subprocess.run([program, folder], input=os.fsencode(paths), check=True,
                         capture_output=True).stdout
    each = 4 + 12 * size * size
    with open(out, "wb") as f:
        for i in range(count):
            at = i % len(names) * each
            assert raw[at:at + 4] == bytes(4), names[i]
            x = np.frombuffer(raw[at + 4:at + each], "<f4").reshape(3, size, size)
            f.write(np.ascontiguousarray(x if i < len(names) else x[:, :, ::-1]).tobytes())


def prompts(folder):
    tokenizer = BertTokenizer(os.path.join(folder, "vocab.txt"))
    for p in PROMPTS:
        print(BOS, *tokenizer(p)["input_ids"][1:-1])


def pixels_of(config, path, at):
    side = config.vision_config.image_size
    with open(path, "rb") as f:
        x = np.fromfile(f, "<f4", 3 * side * side, offset=at * 12 * side * side)
    return torch.from_numpy(x.reshape(1, 3, side, side))


def states_of(config, path, at):
    v = config.vision_config
    tokens = (v.image_size // v.patch_size) ** 2 + 1
    with open(path, "rb") as f:
        x = np.fromfile(f, "<f4", tokens * v.hidden_size,
                        offset=at * 4 * tokens * v.hidden_size)
    return torch.from_numpy(x.reshape(1, tokens, v.hidden_size))


def states(folder, path, count, out):
    config = BlipConfig.from_pretrained(folder)
    v = config.vision_config
    each = 4 * ((v.image_size // v.patch_size) ** 2 + 1) * v.hidden_size
    done = os.path.getsize(out) // each if os.path.exists(out) else 0
    if done >= int(count):
        return
    model = load(folder)
    with open(out, "r+b" if done else "wb") as f:
        f.truncate(done * each)
        f.seek(done * each)
        for i in range(done, int(count)):
            with torch.no_grad():
                x = model.vision_model(pixels_of(config, path, i)).last_hidden_state
            f.write(x.numpy().astype("<f4").tobytes())
            f.flush()


def read(path):
    with open(path) as f:
        return [[int(x) for x in line.split()] for line in f]


def logits_of(model, states, ids):
    with torch.no_grad():
        return model.text_decoder(input_ids=torch.tensor([ids]),
                                  encoder_hidden_states=states).logits[0]


def ours_of(program, path, asked):
    lines = "".join(f"{i} / " + " ".join(map(str, ids)) + "\n" for i, ids in asked)
    raw = subprocess.run(program + ["logits", path], input=lines.encode(), check=True,
                         capture_output=True).stdout
    return torch.from_numpy(np.frombuffer(raw, "<f4").reshape(len(asked), -1).copy())


def compare(folder, path, count, theirs, ours, prompts, _, *program):
    """States, and logits of the first new token, to 1e-4 of the tensor's maximum."""
    model, prompts = load(folder), read(prompts)
    worst = [0.0, 0.0]
    for i in range(int(count)):
        a, b = (states_of(model.config, x, i) for x in (theirs, ours))
        worst[0] = max(worst[0], float((a - b).abs().max() / a.abs().max()))
        some = [prompts[(i + k) % len(prompts)] for k in (0, 3, 7)]
        found = ours_of(list(program), path, [(i, p) for p in some])
        for p, mine in zip(some, found):
            x = logits_of(model, a, p)[-1]
            worst[1] = max(worst[1], float((x - mine).abs().max() / x.abs().max()))
    print(f"{count} pictures, largest difference in units of the tensor's maximum: states "
          f"{worst[0]:.2e}, first logits {worst[1]:.2e}")
    sys.exit(not max(worst) <= 1e-4)


def run(folder, beams, new, prompts, states, count, out):
    """Prompts of one length at a time: no row is padded."""
    prompts = read(prompts)
    done = len(read(out)) // len(prompts) if os.path.exists(out) else 0
    if done >= int(count):
        return
    model = load(folder)
    order = sorted(range(len(prompts)), key=lambda k: len(prompts[k]))
    rest = read(out)[:done * len(prompts)] if done else []
    with open(out, "w") as f:
        for row in rest:
            f.write(" ".join(map(str, row)) + "\n")
        for i in range(done, int(count)):
            x, found = states_of(model.config, states, i), [None] * len(prompts)
            for n, group in groupby(order, key=lambda k: len(prompts[k])):
                group = list(group)
                made = model.text_decoder.generate(
                    input_ids=torch.tensor([prompts[k] for k in group]),
                    encoder_hidden_states=x.expand(len(group), -1, -1),
                    encoder_attention_mask=torch.ones(len(group), x.shape[1],
                                                      dtype=torch.long),
                    eos_token_id=SEP, pad_token_id=0, num_beams=int(beams),
                    do_sample=False, max_new_tokens=int(new))
                for k, row in zip(group, made.tolist()):
                    row = row[n:]
                    found[k] = row[:row.index(SEP)] if SEP in row else row
            for row in found:
                f.write(" ".join(map(str, row)) + "\n")
            f.flush()


def total(model, states, prompt, row, new):
    """The sum of log-probabilities over its length, as a beam search has it."""
    words = row + [SEP] * (len(row) < new)
    lp = torch.log_softmax(logits_of(model, states, prompt + row), -1)[len(prompt) - 1:]
    return float(sum(lp[i, w] for i, w in enumerate(words)) / len(words))


def greedy_gap(single, double, ask, picture, states, prompt, a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    pair = [(a + [SEP])[at], (b + [SEP])[at]]
    ids = prompt + a[:at]
    exact = logits_of(double, states[1], ids)[-1]
    theirs = logits_of(single, states[0], ids)[-1].double()
    ours = ask([(picture, ids)])[0].double()
    error = sum(float(abs(x[w] - exact[w])) for x in (ours, theirs) for w in pair)
    return at, float(abs(exact[pair[0]] - exact[pair[1]])), error


def beam_gap(single, double, states, prompt, a, b, new):
    exact = [total(double, states[1], prompt, x, new) for x in (a, b)]
    error = [abs(total(single, states[0], prompt, x, new) - y)
             for x, y in zip((a, b), exact)]
    return 0, abs(exact[0] - exact[1]), 2 * sum(error)


def judge(folder, beams, path, prompts, states, ours, theirs, new, _, *program):
    prompts, ours, theirs = read(prompts), read(ours), read(theirs)
    theirs = theirs[:len(ours)]
    assert len(ours) == len(theirs)
    differ = [i for i in range(len(ours)) if ours[i] != theirs[i]]
    wrong = 0
    if differ:
        single, double = load(folder), load(folder).double()
    for i in differ:
        picture, k = divmod(i, len(prompts))
        with torch.no_grad():
            x = double.vision_model(
                pixels_of(double.config, path, picture).double()).last_hidden_state
        both = states_of(double.config, states, picture), x
        if beams == "1":
            gap = greedy_gap(single, double, lambda q: ours_of(list(program), path, q),
                             picture, both, prompts[k], ours[i], theirs[i])
        else:
            gap = beam_gap(single, double, both, prompts[k], ours[i], theirs[i], int(new))
        wrong += not gap[1] < gap[2]
        print(f"  picture {picture}, prompt {k}, token {gap[0]}: f64 gap {gap[1]:.3g}, "
              f"errors of f32 {gap[2]:.3g}")
    mean = sum(map(len, ours)) / len(ours)
    ended = sum(len(x) < int(new) for x in ours)
    kinds = len(set(map(tuple, ours)))
    print(f"{len(ours) - len(differ)} of {len(ours)} identical ({mean:.1f} tokens on "
          f"average, {ended} ended by themselves, {kinds} different), {wrong} of the "
          f"others not excused")
    sys.exit(wrong > 0 or len(differ) > len(ours) / 100)


if __name__ == "__main__":
    {"make": make, "pixels": pixels, "prompts": prompts, "states": states,
     "compare": compare, "run": run, "judge": judge}[sys.argv[1]](*sys.argv[2:])
