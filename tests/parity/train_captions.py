#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train a small Marian model from English to Portuguese on captions that people wrote, for
trained.sh: real language, as the demo's closed one is not. It need not translate well.

    tests/parity/train_captions.py CAPTIONS FOLDER

CAPTIONS holds train.{en,pt}.gz, line by line each other's translation (Multi30k). The model
in FOLDER is for the comparison alone and stays out of the tree.
"""
import argparse
import gzip
import os
import sys
import time

import torch
from transformers import MarianTokenizer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../demo/training"))
import translators  # noqa: E402
from pieces import make_tokenizer  # noqa: E402

PIECES = (2400, 2400)  # source and target
WIDTH, INNER = 128, 512


def read_lines(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as text:
        return [line.strip() for line in text]


def main():
    parse = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parse.add_argument("captions", help="folder of train.en.gz and train.pt.gz")
    parse.add_argument("folder", help="where the model is written")
    parse.add_argument("--steps", type=int, default=1400)
    parse.add_argument("--threads", type=int, default=1)
    o = parse.parse_args()
    torch.set_num_threads(o.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(translators.SEED)
    begun = time.monotonic()
    english, other = (read_lines(os.path.join(o.captions, f"train.{lang}.gz"))
                      for lang in ("en", "pt"))
    if len(english) != len(other):
        sys.exit(f"{o.captions}: {len(english)} lines of en and {len(other)} of pt")
    pairs = [pair for pair in zip(english, other) if all(pair)]
    ids = make_tokenizer(pairs, "pt", PIECES, o.folder)
    tokenizer = MarianTokenizer.from_pretrained(o.folder)
    numbers = list(zip(tokenizer([en for en, _ in pairs]).input_ids,
                       tokenizer(text_target=[pt for _, pt in pairs]).input_ids))
    print(f"{len(pairs)} pairs, {len(ids)} pieces, {time.monotonic() - begun:.0f} s",
          flush=True)
    model = translators.new_model(ids, WIDTH, INNER)
    translators.train(model, numbers, ids, o.steps)
    translators.save(model, ids, o.folder)
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
