# SPDX-License-Identifier: Apache-2.0
"""Models of published dimensions with random weights, as transformers saves them.

    python3 make_models.py FOLDER          makes FOLDER/{marian-tc-big,blip-base}-
                                           {f32,f16}-{bin,safetensors}

Dimensions: Helsinki-NLP/opus-mt-tc-big-en-pt (232.5 M parameters) and
Salesforce/blip-image-captioning-base (247.4 M). Measured with torch 2.14.1 and
transformers 4.57.6.
"""
import os
import sys

import torch
from transformers import BlipConfig, BlipForConditionalGeneration, MarianConfig, MarianMTModel


def marian():
    return MarianMTModel(MarianConfig(
        vocab_size=54776, d_model=1024, encoder_layers=6, decoder_layers=6,
        encoder_ffn_dim=4096, decoder_ffn_dim=4096, encoder_attention_heads=16,
        decoder_attention_heads=16, max_position_embeddings=1024,
        activation_function="relu", pad_token_id=54775, eos_token_id=44670,
        decoder_start_token_id=54775, scale_embedding=True))


def blip():
    config = BlipConfig()
    config.vision_config.image_size = 384
    # The published checkpoints store the head beside the embeddings.
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    return BlipForConditionalGeneration(config)


def main(folder):
    torch.manual_seed(0)
    for name, make in ("marian-tc-big", marian), ("blip-base", blip):
        model = make()
        print(name, sum(p.numel() for p in model.parameters()), "parameters", flush=True)
        for word, dtype in ("f32", torch.float32), ("f16", torch.float16):
            model.to(dtype)
            for form in "bin", "safetensors":
                to = os.path.join(folder, f"{name}-{word}-{form}")
                if not os.path.isdir(to):
                    model.save_pretrained(to, safe_serialization=form == "safetensors")


if __name__ == "__main__":
    main(sys.argv[1])
