#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/caption, and the model that all of them caption with.

    peer.py make FOLDER              BLIP-base, random weights, of which no caption ends
    peer.py ten FOLDER IMAGES        as the reference calls transformers: a picture ten
                                     times in a batch, so that it is looked at ten times
    peer.py once FOLDER IMAGES       the vision states made once and given to the decoder

The last two print "images seconds cpu-seconds peak-MiB", after an image that warms up. Ten
prompts of 5 tokens (bos included), exactly 12 new ones. What the processor does to pictures
is not counted; the reference's does it ten times. HF_THREADS: 2.
"""
import os
import resource
import sys
import time

import torch
import transformers
from transformers import BlipConfig, BlipForConditionalGeneration

transformers.logging.set_verbosity_error()
PROMPTS, TOKENS, NEW, BOS, SEP = 10, 5, 12, 30522, 102


def make(folder):
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(
        text_config=dict(num_attention_heads=12, bos_token_id=BOS, sep_token_id=SEP)))
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[SEP] = -1e4
    model.save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[MASK]"] + [f"w{i}" for i in range(BOS)]
    words[SEP] = "[SEP]"
    with open(os.path.join(folder, "vocab.txt"), "w") as f:
        f.write("\n".join(words[:BOS]) + "\n")


def prompts():
    """The same as bench_caption.c's."""
    return torch.tensor([[BOS] + [2000 + 7 * i + k for k in range(1, TOKENS)]
                         for i in range(PROMPTS)])


def ten(model, pixels):
    ids = torch.cat([prompts(), torch.full((PROMPTS, 1), SEP)], 1)
    return model.generate(pixel_values=pixels.expand(PROMPTS, -1, -1, -1).contiguous(),
                          input_ids=ids, attention_mask=torch.ones_like(ids),
                          num_beams=1, do_sample=False, max_new_tokens=NEW)


def once(model, pixels):
    with torch.no_grad():
        x = model.vision_model(pixels).last_hidden_state.expand(PROMPTS, -1, -1)
    ids = prompts()
    return model.text_decoder.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), encoder_hidden_states=x,
        encoder_attention_mask=torch.ones(x.shape[:2], dtype=torch.long),
        eos_token_id=SEP, pad_token_id=0, num_beams=1, do_sample=False,
        max_new_tokens=NEW)


def run(how, folder, n):
    torch.set_num_threads(int(os.environ.get("HF_THREADS", 2)))
    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    size = model.config.vision_config.image_size
    images = torch.randn(n + 1, 1, 3, size, size, generator=torch.manual_seed(1))
    for i, pixels in enumerate(images):
        if i == 1:
            wall, cpu = time.monotonic(), time.process_time()
        assert how(model, pixels).shape == (PROMPTS, TOKENS + NEW)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(n, f"{time.monotonic() - wall:.3f} {time.process_time() - cpu:.3f} {peak}")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        run({"ten": ten, "once": once}[sys.argv[1]], sys.argv[2], int(sys.argv[3]))
