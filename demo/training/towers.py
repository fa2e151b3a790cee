# SPDX-License-Identifier: Apache-2.0
"""The miniature CLIP: open_clip's CustomTextCLIP of a ViT and an XLM-R text tower, in the
published layout, with the arithmetic written out for whole batches in bfloat16; its tokenizer,
its pictures and its retrieval."""
import json
import math
import os

import numpy as np
import sentencepiece as spm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional

SIDE, PATCH, ACROSS = 64, 8, 8
CONTEXT, POSITIONS = 77, 80
BEGIN, PAD, END, UNKNOWN = 0, 1, 2, 3
HEAD = 32
SIZES = {"dim": 64, "vision_width": 96, "vision_layers": 4, "text_width": 96, "text_layers": 3}
MEAN, DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
LANGUAGES = ["en", "pt", "xh", "hi"]


# ---- words ----


def train_pieces(sentences, size, path):
    """A unigram model as XLM-R's: <unk> 0, <s> 1, </s> 2. A word that occurs in one form only is
    never seen whole by the trainer, so each is shown alone, before a comma, before a stop."""
    words = sorted({w.strip(",.।") for s in sentences for w in s.split()})
    shown = [*sentences, *(w + end for w in words for end in ("", ",", ".", "।"))]
    with open(path, "wb") as out:
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(shown), model_writer=out, vocab_size=size,
            model_type="unigram", character_coverage=1.0, hard_vocab_limit=False,
            num_threads=1, input_sentence_size=0, shuffle_input_sentence=False,
            minloglevel=2, unk_id=0, bos_id=1, eos_id=2, pad_id=-1)


class Words:
    """XLM-R's ids: <s> 0, <pad> 1, </s> 2, <unk> 3, piece i of the model i + 1, <mask> last."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "text", "sentencepiece.bpe.model")
        self.pieces = spm.SentencePieceProcessor(model_file=self.path)
        self.size = self.pieces.get_piece_size() + 2

    def encode(self, texts, longest=CONTEXT):
        """Ids [n, longest] as int16, PAD behind each text."""
        out = np.full((len(texts), longest), PAD, np.int16)
        for row, ids in zip(out, self.pieces.encode(texts)):
            ids = [BEGIN, *(i + 1 if i else UNKNOWN for i in ids[:longest - 2]), END]
            row[:len(ids)] = ids
        return torch.from_numpy(out)


def trimmed(ids):
    return ids[:, :int((ids != PAD).sum(1).max())].long()


# ---- the model's own arithmetic; `p` maps the published names to tensors ----


def linear(p, name, x):
    return functional.linear(x, p[name + ".weight"], p.get(name + ".bias"))


def norm(p, name, x):
    return functional.layer_norm(x, x.shape[-1:], p[name + ".weight"], p[name + ".bias"], 1e-5)


def attend(query, key, value, mask=None):
    """Explicit products: faster here than the fused kernel, in bfloat16 by far."""
    n, rows, width = query.shape
    heads = width // HEAD
    query = (query * HEAD ** -0.5).view(n, rows, heads, HEAD).transpose(1, 2)
    key = key.view(n, rows, heads, HEAD).permute(0, 2, 3, 1)
    value = value.view(n, rows, heads, HEAD).transpose(1, 2)
    scores = torch.bmm(query.reshape(-1, rows, HEAD), key.reshape(-1, HEAD, rows))
    if mask is not None:
        scores = (scores.view(n, heads, rows, rows) + mask[:, None, None]).view(-1, rows, rows)
    out = torch.bmm(scores.softmax(-1), value.reshape(-1, rows, HEAD))
    return out.view(n, heads, rows, HEAD).transpose(1, 2).reshape(n, rows, width)


def layers_of(p, start):
    at = len(start)
    return 1 + max(int(name[at:].split(".")[0]) for name in p if name.startswith(start))


def look(p, tiles):
    """Bytes [n, patches, 3 * PATCH * PATCH] to embeddings [n, dim], not normalised, and the
    states of patches [n, 1 + patches, width]."""
    first = p["visual.class_embedding"]
    weight = p["visual.conv1.weight"]
    mean = torch.tensor(MEAN).repeat_interleave(PATCH * PATCH)
    deviation = torch.tensor(DEVIATION).repeat_interleave(PATCH * PATCH)
    x = ((tiles.float() / 255 - mean) / deviation).to(first.dtype)
    x = functional.linear(x, weight.flatten(1))
    x = torch.cat([first.expand(len(x), 1, -1), x], 1) + p["visual.positional_embedding"]
    x = norm(p, "visual.ln_pre", x)
    start = "visual.transformer.resblocks."
    for i in range(layers_of(p, start)):
        at = f"{start}{i}."
        y = norm(p, at + "ln_1", x)
        y = functional.linear(y, p[at + "attn.in_proj_weight"], p[at + "attn.in_proj_bias"])
        x = x + linear(p, at + "attn.out_proj", attend(*y.chunk(3, -1)))
        inner = functional.gelu(linear(p, at + "mlp.c_fc", norm(p, at + "ln_2", x)))
        x = x + linear(p, at + "mlp.c_proj", inner)
    x = norm(p, "visual.ln_post", x)
    return x[:, 0] @ p["visual.proj"], x


def tower(p, ids, product=linear):
    """Token ids [n, t] to states [n, t, width] of XLM-R."""
    at = "text.transformer.embeddings."
    keep = ids != PAD
    where = keep.cumsum(1) * keep + PAD
    x = functional.embedding(ids, p[at + "word_embeddings.weight"])
    x = x + functional.embedding(where, p[at + "position_embeddings.weight"])
    x = norm(p, at + "LayerNorm", x + p[at + "token_type_embeddings.weight"][0])
    mask = torch.zeros(ids.shape, dtype=x.dtype).masked_fill_(~keep, -1e4)
    start = "text.transformer.encoder.layer."
    for i in range(layers_of(p, start)):
        at = f"{start}{i}."
        parts = [product(p, f"{at}attention.self.{k}", x) for k in ("query", "key", "value")]
        x = norm(p, at + "attention.output.LayerNorm",
                 product(p, at + "attention.output.dense", attend(*parts, mask)) + x)
        inner = functional.gelu(product(p, at + "intermediate.dense", x))
        x = norm(p, at + "output.LayerNorm", product(p, at + "output.dense", inner) + x)
    return x


def read(p, ids, product=linear):
    """Token ids [n, t] to embeddings [n, dim], not normalised."""
    states = tower(p, ids, product)
    keep = (ids != PAD).to(states.dtype)
    mean = (states * keep[..., None]).sum(1) / keep.sum(1, keepdim=True)
    return product(p, "text.proj.2", functional.gelu(product(p, "text.proj.0", mean)))


def read_some(p, ids, product=linear, parts=4):
    """The same for a batch [n, CONTEXT], in parts of like length."""
    order = (ids != PAD).sum(1).argsort()
    out = torch.cat([read(p, trimmed(ids[some]), product)
                     for some in order.chunk(parts)])
    return out[order.argsort()]


def contrastive(image, text, scale):
    scores = scale * image @ text.T
    own = torch.arange(len(scores))
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2


# ---- weights ----


def new_weights(vocab, generator, sizes=None):
    """Random parameters under open_clip's names."""
    s = {**SIZES, **(sizes or {})}
    p = {}

    def matrix(name, *shape, spread=None):
        spread = (shape[-1] ** -0.5) if spread is None else spread
        p[name] = torch.randn(*shape, generator=generator) * spread

    def flat(name, width, value=0.0):
        p[name] = torch.full((width,), value)

    def both(name, width):
        flat(name + ".weight", width, 1.0)
        flat(name + ".bias", width)

    def dense(name, out, into, spread=None):
        matrix(name + ".weight", out, into, spread=spread)
        flat(name + ".bias", out)

    w, n = s["vision_width"], s["vision_layers"]
    matrix("visual.class_embedding", w, spread=0.1)
    matrix("visual.conv1.weight", w, 3, PATCH, PATCH, spread=(3 * PATCH * PATCH) ** -0.5)
    p["visual.positional_embedding"] = places(w, generator)
    for name in ("visual.ln_pre", "visual.ln_post"):
        both(name, w)
    for i in range(n):
        at = f"visual.transformer.resblocks.{i}."
        both(at + "ln_1", w)
        matrix(at + "attn.in_proj_weight", 3 * w, w)
        flat(at + "attn.in_proj_bias", 3 * w)
        dense(at + "attn.out_proj", w, w, spread=(w * 2 * n) ** -0.5)
        both(at + "ln_2", w)
        dense(at + "mlp.c_fc", 4 * w, w)
        dense(at + "mlp.c_proj", w, 4 * w, spread=(4 * w * 2 * n) ** -0.5)
    matrix("visual.proj", w, s["dim"], spread=w ** -0.5)
    w, n, at = s["text_width"], s["text_layers"], "text.transformer.embeddings."
    matrix(at + "word_embeddings.weight", vocab, w, spread=0.08)
    matrix(at + "position_embeddings.weight", POSITIONS, w, spread=0.04)
    for name in ("word_embeddings", "position_embeddings"):
        p[f"{at}{name}.weight"][PAD] = 0
    matrix(at + "token_type_embeddings.weight", 1, w, spread=0.0)
    both(at + "LayerNorm", w)
    for i in range(n):
        at = f"text.transformer.encoder.layer.{i}."
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            dense(f"{at}attention.{name}", w, w)
        both(at + "attention.output.LayerNorm", w)
        dense(at + "intermediate.dense", 4 * w, w)
        dense(at + "output.dense", w, 4 * w)
        both(at + "output.LayerNorm", w)
    middle = (w + s["dim"]) // 2
    matrix("text.proj.0.weight", middle, w)
    matrix("text.proj.2.weight", s["dim"], middle)
    p["logit_scale"] = torch.tensor(math.log(1 / 0.07))
    return p


def places(width, generator):
    """Sines and cosines of row and column, for a start."""
    waves = torch.tensor([.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8]) * math.pi / ACROSS
    steps = (torch.arange(ACROSS) + 0.5)[:, None] * waves
    line = torch.cat([steps.sin(), steps.cos()], 1)
    half = line.shape[1]
    grid = torch.cat([line[:, None].expand(ACROSS, ACROSS, half),
                      line[None].expand(ACROSS, ACROSS, half)], -1)
    out = torch.randn(1 + ACROSS * ACROSS, width, generator=generator) * 0.08
    out[1:, :2 * half] = 0.5 * grid.reshape(ACROSS * ACROSS, 2 * half)
    return out


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
        json.dump(value, out, indent=2, sort_keys=True)
        out.write("\n")


def save(p, folder):
    """The published layout, weights in float16."""
    weights = os.path.join(folder, "open_clip_model.safetensors")
    save_file({name: tensor.detach().half().contiguous() for name, tensor in p.items()},
              weights, {"format": "pt"})
    os.chmod(weights, 0o644)
    words = p["text.transformer.embeddings.word_embeddings.weight"]
    width = p["visual.ln_pre.weight"].shape[0]
    layers = layers_of(p, "text.transformer.encoder.layer.")
    write_json(folder, "open_clip_config.json", {
        "model_cfg": {
            "embed_dim": p["visual.proj"].shape[1],
            "vision_cfg": {"image_size": SIDE, "patch_size": PATCH, "width": width,
                           "layers": layers_of(p, "visual.transformer.resblocks."),
                           "head_width": HEAD},
            # an MLP and the mean; their keys have had two names, and every version knows none
            "text_cfg": {"hf_model_name": "text", "hf_tokenizer_name": "text"}},
        "preprocess_cfg": {"mean": MEAN, "std": DEVIATION}})
    write_json(os.path.join(folder, "text"), "config.json", {
        "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta",
        "vocab_size": words.shape[0], "hidden_size": words.shape[1],
        "num_hidden_layers": layers, "num_attention_heads": words.shape[1] // HEAD,
        "intermediate_size": 4 * words.shape[1], "max_position_embeddings": POSITIONS,
        "type_vocab_size": 1, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.02, "position_embedding_type": "absolute",
        "bos_token_id": BEGIN, "pad_token_id": PAD, "eos_token_id": END})


def load(folder):
    p = load_file(os.path.join(folder, "open_clip_model.safetensors"))
    return {name: tensor.float() for name, tensor in p.items()}


# ---- pictures ----


def squared(image):
    """As open_clip sees a picture: shorter side SIDE, the square in its middle."""
    width, height = image.size
    scale = SIDE / min(width, height)
    short = [SIDE, int(SIDE * height / width)] if width <= height else \
        [int(SIDE * width / height), SIDE]
    image = image.convert("RGB").resize(short, Image.BICUBIC) if scale != 1 else image
    left, top = (int(round((side - SIDE) / 2)) for side in image.size)
    return np.asarray(image.crop((left, top, left + SIDE, top + SIDE)))


def tiles_of(pixels):
    """[n, patches, 3 * PATCH * PATCH], in the order of the patch embedding's weights."""
    n = len(pixels)
    tiles = pixels.reshape(n, ACROSS, PATCH, ACROSS, PATCH, 3).transpose(0, 1, 3, 5, 2, 4)
    return torch.from_numpy(tiles.reshape(n, ACROSS * ACROSS, 3 * PATCH * PATCH).copy())


# ---- retrieval ----


@torch.no_grad()
def images_of(p, tiles):
    return torch.cat([functional.normalize(look(p, some)[0], dim=-1)
                      for some in tiles.split(256)])


@torch.no_grad()
def texts_of(p, ids, product=linear):
    return torch.cat([functional.normalize(read_some(p, some, product), dim=-1)
                      for some in ids.split(1024)])


def ranks(images, texts, owner):
    """0-based ranks of each caption's own image, and of the best of each image's captions."""
    scores = texts @ images.T
    own = scores.gather(1, owner[:, None])
    of_text = (scores > own).sum(1)
    best = torch.full((len(images),), -9.0).scatter_reduce(0, owner, own[:, 0], "amax")
    of_image = (scores > best).sum(0)
    return of_text, of_image


def recalls(of_text, of_image):
    """R@1, 5, 10 from texts to images, then from images to texts, in percent."""
    return [100 * (r < k).float().mean().item() for r in (of_text, of_image) for k in (1, 5, 10)]
