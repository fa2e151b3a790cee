#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trained Marian models against transformers, text to text: see trained.sh, which calls it.

    trained.py scenes GENERATOR LANG COUNT SOURCES REFERENCES    the demo's held-out sentences
    trained.py run FOLDER BEAMS < SOURCES                        transformers, in f32
    trained.py judge FOLDER BEAMS SOURCES REFERENCES OURS THEIRS

transformers searches as the model's generation_config.json says, except that BEAMS other
than 0 replaces its beams. Lines that differ are listed, and what transformers says of them
in f64, where rounding decides next to nothing.
"""
import os
import random
import sys
from itertools import groupby

import sacrebleu
import torch
import transformers
from transformers import MarianMTModel, MarianTokenizer

from marian import total

HERE = os.path.dirname(os.path.abspath(__file__))
PLAIN = {"none", "there_is", "we_see"}  # openings of a caption that are no prompt
SEED = 20261125
transformers.logging.set_verbosity_error()


def read(path):
    with open(path, encoding="utf-8", newline="\n") as text:
        return text.read().removesuffix("\n").split("\n")


def scenes(generator, lang, count, source, reference):
    """Half of them plain, half behind prompts, no English sentence twice."""
    sys.path.insert(0, os.path.join(HERE, "../../demo/training"))
    from translators import read_pairs
    rows = read_pairs(generator, lang, 0, 600, 1)["heldout"]
    rng, chosen = random.Random(SEED), []
    for plain in (True, False):
        some = {r[0]: r[1] for r in rows if (r[2] in PLAIN) == plain}
        chosen += rng.sample(sorted(some.items()), int(count) // 2)
    for path, side in ((source, 0), (reference, 1)):
        with open(path, "w", encoding="utf-8", newline="\n") as out:
            out.writelines(pair[side] + "\n" for pair in chosen)


def translate(model, tokenizer, lines, beams):
    """Batches of one length each: no row is padded. Beams of 0: what the model says."""
    ids = tokenizer(lines).input_ids
    how = {"num_beams": beams} if beams else {}
    order, out = sorted(range(len(ids)), key=lambda i: len(ids[i])), {}
    for _, group in groupby(order, key=lambda i: len(ids[i])):
        group = list(group)
        for at in range(0, len(group), 32):
            some = group[at:at + 32]
            with torch.inference_mode():
                made = model.generate(torch.tensor([ids[i] for i in some]),
                                      do_sample=False, **how)
            out.update(zip(some, tokenizer.batch_decode(made, skip_special_tokens=True)))
    return [out[i] for i in range(len(ids))]


def load(folder, kind):
    return (MarianMTModel.from_pretrained(folder, torch_dtype=kind).eval(),
            MarianTokenizer.from_pretrained(folder))


def run(folder, beams):
    lines = sys.stdin.buffer.read().decode().removesuffix("\n").split("\n")
    for line in translate(*load(folder, torch.float32), lines, int(beams)):
        sys.stdout.buffer.write(line.encode() + b"\n")


def explain(folder, beams, english, ours, theirs):
    """Which of the two f64 finds, and how far apart it sees them. (The texts are split into
    tokens anew, which may be other ones than were generated.)"""
    model, tokenizer = load(folder, torch.float64)
    exact = translate(model, tokenizer, english, int(beams))
    for source, a, b, found in zip(english, ours, theirs, exact):
        ids = tokenizer(source).input_ids
        x, y = (total(model, ids, tokenizer(text_target=t).input_ids[:-1]) for t in (a, b))
        who = "ours" if found == a else "transformers" if found == b else "neither"
        print(f"  {source!r}\n    ours         {a!r}\n    transformers {b!r}\n"
              f"    f64 finds {who}; mean log-probabilities {x:.9f} and {y:.9f}")


def judge(folder, beams, source, reference, ours, theirs):
    english, wanted, ours, theirs = map(read, (source, reference, ours, theirs))
    if not len(english) == len(wanted) == len(ours) == len(theirs):
        sys.exit(f"lines: {len(english)} to translate, {len(wanted)} of reference, "
                 f"{len(ours)} of ours, {len(theirs)} of transformers")
    differ = [i for i in range(len(ours)) if ours[i] != theirs[i]]
    if differ:
        explain(folder, beams, *([x[i] for i in differ] for x in (english, ours, theirs)))
    a, b = (f"{sacrebleu.corpus_bleu(x, [wanted]).score:.2f}" for x in (ours, theirs))
    print(f"{len(differ)} of {len(ours)} differ; BLEU {a}, transformers {b}")
    sys.exit(len(differ) > len(ours) / 1000 or a != b)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("THREADS", 1)))
    {"scenes": scenes, "run": run, "judge": judge}[sys.argv[1]](*sys.argv[2:])
