#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peers of bench/translate, and the model that all of them translate with.

    peer.py make FOLDER                         base shape, random weights
    peer.py convert FOLDER TO                   for CTranslate2: TO/int8, TO/f32
    peer.py ct2 FOLDER int8|f32 BEAMS SENTENCES
    peer.py hf FOLDER BEAMS SENTENCES

The last two print "sentences seconds cpu-seconds", after a round that warms up. Batches of
CTranslate2: CT2_BATCH examples, 128 or with beams 32 (its best of 16 to 128); two workers
of one thread. transformers: HF_THREADS, 2; HF_BATCH, 64. On a machine that is not ours
alone two threads wait for each other, and burn CPU while they do: then HF_THREADS=1.
"""
import json
import os
import random
import sys
import time

TOKENS = 14


def make(folder):
    import torch
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(0)
    v = 61950
    config = MarianConfig(
        vocab_size=v, decoder_vocab_size=v, d_model=512, encoder_layers=6,
        decoder_layers=6, encoder_attention_heads=8, decoder_attention_heads=8,
        encoder_ffn_dim=2048, decoder_ffn_dim=2048, activation_function="swish",
        max_position_embeddings=512, max_length=512, pad_token_id=v - 1,
        decoder_start_token_id=v - 1, eos_token_id=0, forced_eos_token_id=0,
        bad_words_ids=[[v - 1]], num_beams=4, scale_embedding=True)
    model = MarianMTModel(config)
    with torch.no_grad():
        model.model.shared.weight[-1] = 0
    model.save_pretrained(folder)


def convert(folder, to):
    """A tokenizer is not needed: the words are numbers."""
    from ctranslate2.converters import TransformersConverter

    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)

    class Numbers:
        eos_token, unk_token, bos_token = "</s>", "<unk>", "</s>"

        def get_vocab(self):
            names = [str(i) for i in range(config["vocab_size"])]
            names[config["eos_token_id"]] = "</s>"
            names[1] = "<unk>"
            names[config["pad_token_id"]] = "<pad>"
            return {name: i for i, name in enumerate(names)}

    class Converter(TransformersConverter):
        def load_tokenizer(self, *args, **kwargs):
            return Numbers()

    for name, quantization in ("int8", "int8"), ("f32", "float32"):
        Converter(folder).convert(os.path.join(to, name), quantization=quantization)


def sentences(n, vocab):
    random.seed(20261125)
    return [[random.randint(2, vocab - 2) for _ in range(TOKENS - 1)] + [0]
            for _ in range(n)]


def timed(work, n):
    wall, cpu = time.monotonic(), time.process_time()
    work()
    print(n, f"{time.monotonic() - wall:.3f} {time.process_time() - cpu:.3f}")


def ct2(folder, dtype, beams, n):
    import ctranslate2

    batch = int(os.environ.get("CT2_BATCH", 128 if beams == 1 else 32))
    translator = ctranslate2.Translator(
        folder, device="cpu", compute_type={"int8": "int8", "f32": "float32"}[dtype],
        inter_threads=2, intra_threads=1)
    source = [[str(t) for t in s[:-1]] + ["</s>"] for s in sentences(n, 61950)]

    def work(some):
        out = translator.translate_batch(
            some, beam_size=beams, max_batch_size=batch,
            min_decoding_length=TOKENS, max_decoding_length=TOKENS)
        assert all(len(o.hypotheses[0]) == TOKENS for o in out)

    work(source[:2 * batch])
    timed(lambda: work(source), n)


def hf(folder, beams, n):
    import torch
    from transformers import MarianMTModel

    torch.set_num_threads(int(os.environ.get("HF_THREADS", 2)))
    batch = int(os.environ.get("HF_BATCH", 64))
    model = MarianMTModel.from_pretrained(folder).eval()
    source = torch.tensor(sentences(n, model.config.vocab_size))

    def work(some):
        for i in range(0, len(some), batch):
            out = model.generate(some[i:i + batch], num_beams=beams, do_sample=False,
                                 min_new_tokens=TOKENS, max_new_tokens=TOKENS,
                                 forced_eos_token_id=None)
            assert out.shape[1] == TOKENS + 1

    work(source[:batch])
    timed(lambda: work(source), n)


def main():
    name, args = sys.argv[1], sys.argv[2:]
    numbers = [int(a) if a.isdigit() else a for a in args]
    {"make": make, "convert": convert, "ct2": ct2, "hf": hf}[name](*numbers)


if __name__ == "__main__":
    main()
