#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the demo's captioner, a miniature BLIP that says what is in a scene behind each of the
ten prompts, and hold it against scenes that it was not trained on.

    demo/training/captioner.py build/demo/capivara-demo-scenes

Writes demo/models/blip in the published format, weights in float16, and says how often what it
says is true. README.md beside this file has the recipe and the numbers.
"""
import argparse
import collections
import json
import math
import os
import re
import tempfile
import time

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import BlipConfig, BlipForConditionalGeneration, BlipProcessor

import pictures
from pictures import KINDS, PATCH, SIDE
from sayings import COLOURS, GROUNDS, PROMPTS, Reading, caption

SEED = 20261126
SCENES, VALID = 60000, 600  # VALID of the scenes, and as many held-out ones, are for choosing
WIDTH, HEADS, LAYERS, READERS = 96, 4, 4, 3
INNER = {"look": 256, "read": 160}
LONGEST, POSITIONS = 28, 64  # tokens of a caption; and of what a user may ask for
EYES_ALONE, EYES_BATCH, BATCH, SAID = 1800, 96, 64, 4
RATE, TURN, WARM, DECAY = 2e-3, 0.02, 150, 0.03
PRECISE = 0.97  # from this share of the steps on in float32, before in bfloat16
HIDDEN = 0.2  # of the colours that were said, so that a shape is seen and not guessed
MEAN, DEVIATION = [0.5] * 3, [0.27] * 3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
PAD, UNKNOWN, END = 0, 1, 3
TESTED, TEST_SEED = 600, 1


def pieces_of(text):
    return re.findall(r"\w+|[.,]", text)


class Vocabulary:
    """Whole words and stops. The id that begins a caption lies behind the file's last line,
    as in the published models."""

    def __init__(self, rows):
        said = {w for row in rows for k in range(len(PROMPTS)) for w in pieces_of(caption(row, k))}
        self.lines = [*SPECIAL, *sorted(said)]
        self.ids = {word: i for i, word in enumerate(self.lines)}
        self.begin = len(self.lines)
        self.size = self.begin + 1

    def encode(self, text):
        return [self.begin] + [self.ids[word] for word in pieces_of(text)]

    def decode(self, ids):
        end = ids.index(END) if END in ids else len(ids)
        words = [self.lines[i] if i < self.begin else "[DEC]" for i in ids[1:end]]
        return re.sub(r" ([.,])", r"\1", " ".join(words))


def new_model(words):
    config = BlipConfig(
        text_config={
            "vocab_size": words.size, "hidden_size": WIDTH, "encoder_hidden_size": WIDTH,
            "intermediate_size": INNER["read"], "projection_dim": WIDTH,
            "num_hidden_layers": READERS, "num_attention_heads": HEADS,
            "max_position_embeddings": POSITIONS, "bos_token_id": words.begin,
            "eos_token_id": END, "sep_token_id": END, "pad_token_id": PAD,
            "initializer_range": 0.08, "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0},
        vision_config={
            "hidden_size": WIDTH, "intermediate_size": INNER["look"], "projection_dim": WIDTH,
            "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "image_size": SIDE,
            "patch_size": PATCH, "initializer_range": 0.08},
        projection_dim=WIDTH, image_text_hidden_size=WIDTH)
    model = BlipForConditionalGeneration(config)
    place = model.vision_model.embeddings
    waves = torch.tensor([.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8]) * math.pi / 8
    steps = (torch.arange(pictures.ACROSS) + 0.5)[:, None] * waves
    line = torch.cat([steps.sin(), steps.cos()], 1)
    n, half = pictures.ACROSS, line.shape[1]
    grid = torch.cat([line[:, None].expand(n, n, half), line[None].expand(n, n, half)], -1)
    with torch.no_grad():
        place.class_embedding.normal_(0, 0.08)
        place.position_embedding.normal_(0, 0.08)
        place.position_embedding[0, 1:, :2 * half] = 0.5 * grid.reshape(n * n, 2 * half)
        place.patch_embedding.weight.normal_(0, (3 * PATCH * PATCH) ** -0.5)
        place.patch_embedding.bias.zero_()
    return model


# The model's own arithmetic, written out so that it runs in bfloat16 on whole batches: an image
# is looked at once for all that is said of it. `p` maps the published names to tensors.


def linear(p, name, x):
    return functional.linear(x, p[name + ".weight"], p[name + ".bias"])


def norm(p, name, x, eps):
    return functional.layer_norm(x, x.shape[-1:], p[name + ".weight"], p[name + ".bias"], eps)


def attend(query, key, value, mask=None):
    """Explicit products: faster here than the fused kernel, in bfloat16 by far."""
    n, rows, width = query.shape
    seen, d = key.shape[1], width // HEADS
    query = (query * d ** -0.5).view(n, rows, HEADS, d).transpose(1, 2).reshape(-1, rows, d)
    key = key.view(n, seen, HEADS, d).permute(0, 2, 3, 1).reshape(-1, d, seen)
    value = value.view(n, seen, HEADS, d).transpose(1, 2).reshape(-1, seen, d)
    scores = torch.bmm(query, key)
    scores = scores if mask is None else scores + mask
    out = torch.bmm(scores.softmax(-1), value)
    return out.view(n, HEADS, rows, d).transpose(1, 2).reshape(n, rows, width)


def look(p, tiles):
    """Bytes [n, patches, 3 * PATCH * PATCH] to states [n, 1 + patches, WIDTH]."""
    at = "vision_model.embeddings."
    first = p[at + "class_embedding"]
    x = ((tiles.float() / 255 - MEAN[0]) / DEVIATION[0]).to(first.dtype)
    x = functional.linear(x, p[at + "patch_embedding.weight"].flatten(1),
                          p[at + "patch_embedding.bias"])
    x = torch.cat([first.expand(len(x), 1, WIDTH), x], 1) + p[at + "position_embedding"]
    for i in range(LAYERS):
        at = f"vision_model.encoder.layers.{i}."
        parts = linear(p, at + "self_attn.qkv", norm(p, at + "layer_norm1", x, 1e-5))
        x = x + linear(p, at + "self_attn.projection", attend(*parts.split(WIDTH, -1)))
        inner = functional.gelu(linear(p, at + "mlp.fc1", norm(p, at + "layer_norm2", x, 1e-5)))
        x = x + linear(p, at + "mlp.fc2", inner)
    return norm(p, "vision_model.post_layernorm", x, 1e-5)


def read(p, ids, states):
    """Token ids [n * k, t], k captions an image, to hidden states [n * k, t, WIDTH]."""
    at = "text_decoder.bert.embeddings."
    rows, length = ids.shape
    x = functional.embedding(ids, p[at + "word_embeddings.weight"])
    x = norm(p, at + "LayerNorm", x + p[at + "position_embeddings.weight"][:length], 1e-12)
    mask = torch.full((length, length), -1e4, dtype=x.dtype).triu(1)
    for i in range(READERS):
        at = f"text_decoder.bert.encoder.layer.{i}."
        parts = [linear(p, f"{at}attention.self.{k}", x) for k in ("query", "key", "value")]
        x = norm(p, at + "attention.output.LayerNorm",
                 linear(p, at + "attention.output.dense", attend(*parts, mask)) + x, 1e-12)
        query = linear(p, at + "crossattention.self.query", x).view(len(states), -1, WIDTH)
        parts = [linear(p, f"{at}crossattention.self.{k}", states) for k in ("key", "value")]
        out = attend(query, *parts).view(rows, length, WIDTH)
        x = norm(p, at + "crossattention.output.LayerNorm",
                 linear(p, at + "crossattention.output.dense", out) + x, 1e-12)
        inner = functional.gelu(linear(p, at + "intermediate.dense", x))
        x = norm(p, at + "output.LayerNorm", linear(p, at + "output.dense", inner) + x, 1e-12)
    return x


def score(p, x):
    at = "text_decoder.cls.predictions."
    x = functional.gelu(linear(p, at + "transform.dense", x))
    x = norm(p, at + "transform.LayerNorm", x, 1e-12)
    return functional.linear(x, p["text_decoder.bert.embeddings.word_embeddings.weight"],
                             p[at + "bias"])


class Teacher(torch.nn.Module):
    """What the eyes learn from beside the captions: what lies under each patch, where the
    middle of it is, and what the whole shows. Thrown away afterwards."""

    def __init__(self):
        super().__init__()
        self.patch = torch.nn.Linear(WIDTH, sum(KINDS.values()) + 2)
        self.whole = torch.nn.Linear(WIDTH, len(GROUNDS) + 4)

    def forward(self, states, what, way, whole):
        """The loss, and the share of patches of objects of which each kind is right."""
        sizes = [*KINDS.values(), 2]
        on = what[..., 0] < KINDS["shape"] - 1
        weight = torch.where(on, 1.0, 0.25).flatten()
        every = self.patch(states[:, 1:].float())
        loss = 0.0
        for kind, answers in enumerate(every.split(sizes, -1)[:2]):
            each = functional.cross_entropy(answers.flatten(0, 1), what[..., kind].flatten(),
                                            reduction="none")
            loss = loss + (each * weight).sum() / weight.sum()
        answers, what, right = every[on].split(sizes, -1), what[on], []
        for kind in range(len(KINDS)):
            right.append((answers[kind].argmax(-1) == what[:, kind]).float().mean().item())
            if kind >= 2:
                loss = loss + functional.cross_entropy(answers[kind], what[:, kind])
        loss = loss + 2 * (answers[-1] - 4 * way[on]).abs().mean()
        ground, number = self.whole(states[:, 0].float()).split([len(GROUNDS), 4], -1)
        loss = loss + functional.cross_entropy(ground, whole[:, 0])
        return loss + functional.cross_entropy(number, whole[:, 1]), right


class Lesson:
    """Everything that training draws from, in memory."""

    def __init__(self, rows, pixels, words):
        self.rows, self.words = rows, words
        self.tiles = torch.from_numpy(pictures.patches(pixels))
        under = [pictures.under(row) for row in rows]
        self.what = torch.from_numpy(np.stack([u[0] for u in under]))
        self.way = torch.from_numpy(np.stack([u[1] for u in under]))
        self.whole = torch.tensor([u[2] for u in under])
        said = np.zeros((len(rows), len(PROMPTS), LONGEST), np.uint8)
        for i, row in enumerate(rows):
            for k in range(len(PROMPTS)):
                ids = words.encode(caption(row, k)) + [END]
                said[i, k, :len(ids)] = ids
        self.said = torch.from_numpy(said)
        self.prompt = torch.tensor([len(words.encode(prompt)) for prompt in PROMPTS])
        self.colour = torch.zeros(words.size, dtype=torch.bool)
        self.colour[[words.ids[colour] for colour in COLOURS]] = True

    def seen(self, some):
        return (self.what[some].long(), self.way[some].float(), self.whole[some])

    def spoken(self, some):
        """SAID captions each behind different prompts: what is put in, what is to come out,
        and where it counts: behind the prompt."""
        prompts = torch.rand(len(some), len(PROMPTS)).argsort(1)[:, :SAID]
        ids = self.said[some[:, None], prompts].flatten(0, 1).long()
        ids = ids[:, :int((ids != PAD).sum(1).max())]
        hide = self.colour[ids] & (torch.rand(ids.shape) < HIDDEN)
        target = ids[:, 1:]
        counts = torch.arange(1, ids.shape[1])[None] >= self.prompt[prompts.flatten()][:, None]
        return torch.where(hide, UNKNOWN, ids)[:, :-1], target, counts & (target != PAD)


def optimizers(model, teacher):
    """Muon turns the matrices inside the layers, AdamW all else."""
    inner, wide, rest = [], [], []
    for name, p in model.named_parameters():
        hidden = p.dim() == 2 and "embed" not in name and "predictions.decoder" not in name
        (inner if hidden else rest).append(p)
    for p in teacher.parameters():
        (wide if p.dim() == 2 else rest).append(p)
    adam = torch.optim.AdamW([{"params": wide, "weight_decay": DECAY},
                              {"params": rest, "weight_decay": 0.0}],
                             lr=RATE, betas=(0.9, 0.98), fused=True)
    muon = torch.optim.Muon(inner, lr=TURN, weight_decay=DECAY, momentum=0.95)
    return {adam: RATE, muon: TURN}, [*inner, *wide, *rest]


@torch.no_grad()
def say(p, tiles, words):
    """Greedy captions, image i behind prompt i modulo ten."""
    states, out = look(p, tiles), [None] * len(tiles)
    for k, prompt in enumerate(PROMPTS):
        some = list(range(k, len(tiles), len(PROMPTS)))
        ids = torch.tensor([words.encode(prompt)] * len(some))
        while ids.shape[1] < LONGEST + 4 and not (ids == END).any(1).all():
            scores = score(p, read(p, ids, states[some])[:, -1:])
            ids = torch.cat([ids, scores.argmax(-1)], 1)
        for i, row in zip(some, ids.tolist()):
            out[i] = words.decode(row)
    return out


class Marks:
    """How true captions are: of image i behind prompt `prompts[i]`."""

    def __init__(self, rows, captions, prompts):
        self.read = [Reading(text, PROMPTS[k], row)
                     for row, text, k in zip(rows, captions, prompts)]
        self.prompts = prompts
        several = [r for r in self.read if len(r.scene["objects"]) > 1]
        self.named = self.share(r.true for r in self.read)
        self.two = self.share(r.named > 1 for r in several)
        self.related = self.share(bool(r.related) for r in several)
        self.holds = self.share(r.related for r in several if r.related is not None)
        self.all = self.share(r.true and r.related is not False for r in self.read)
        self.wrong = collections.Counter(w for r in self.read for w in set(r.wrong))

    @staticmethod
    def share(values):
        values = list(values)
        return round(100 * sum(values) / max(1, len(values)), 1)

    def by_prompt(self):
        return [self.share(r.true for r, k in zip(self.read, self.prompts) if k == prompt)
                for prompt in range(len(PROMPTS))]

    def __str__(self):
        return (f"named true {self.named}, two named {self.two}, true relation {self.related} "
                f"(of those stated {self.holds}), all true {self.all}")


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
        json.dump(value, out, indent=2, sort_keys=True)
        out.write("\n")


def save(model, words, folder):
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as plain:
        model.save_pretrained(plain)
        tensors = load_file(os.path.join(plain, "model.safetensors"))
        with open(os.path.join(plain, "config.json"), encoding="utf-8") as text:
            config = json.load(text)
    tensors = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
    table = tensors["text_decoder.bert.embeddings.word_embeddings.weight"]
    # stored twice, as the published checkpoints do: some readers tie the two and some do not
    tensors["text_decoder.cls.predictions.decoder.weight"] = table.clone()
    config["dtype"] = config["text_config"]["dtype"] = config["vision_config"]["dtype"] = "float16"
    config["text_config"]["pad_token_id"] = PAD  # a default, and so left out
    weights = os.path.join(folder, "model.safetensors")
    save_file(tensors, weights, {"format": "pt"})
    os.chmod(weights, 0o644)
    write_json(folder, "config.json", config)
    write_json(folder, "preprocessor_config.json", {
        "image_processor_type": "BlipImageProcessor", "processor_class": "BlipProcessor",
        "do_resize": True, "size": {"height": SIDE, "width": SIDE}, "resample": 3,
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": MEAN, "image_std": DEVIATION, "do_convert_rgb": True})
    write_json(folder, "tokenizer_config.json", {
        "tokenizer_class": "BertTokenizer", "processor_class": "BlipProcessor",
        "do_lower_case": True, "model_max_length": POSITIONS, "pad_token": "[PAD]",
        "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
        "mask_token": "[UNK]"})  # unused; what the file lacks would be given the id that begins
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as out:
        out.writelines(word + "\n" for word in words.lines)


def check(model, words, valid, begun, step, right):
    """One line a split; what counts to choose the weights by."""
    p, marks = {n: t.detach() for n, t in model.named_parameters()}, []
    for name, rows, tiles in valid:
        captions = say(p, tiles, words)
        marks.append(Marks(rows, captions, [i % len(PROMPTS) for i in range(len(rows))]))
        print(f"  {name}: {marks[-1]}, wrong {dict(marks[-1].wrong.most_common(6))}")
    print(f"  step {step}: {(time.monotonic() - begun[0]) / 60:.1f} minutes, "
          f"{(time.process_time() - begun[1]) / 60:.1f} of CPU; patches right "
          + ", ".join(f"{k} {100 * r:.0f}" for k, r in zip(KINDS, right)), flush=True)
    return min(marks[0].named, 90) + min(marks[0].related, 80) + marks[0].all


def step_of(p, lesson, teacher, some, eyes_alone):
    """The losses of a batch, and what the teacher found right."""
    states = look(p, lesson.tiles[some])
    seen, right = teacher(states, *lesson.seen(some))
    if eyes_alone:
        return seen, right
    ids, target, counts = lesson.spoken(some)
    scores = score(p, read(p, ids, states)[counts])
    return seen + 4 * functional.cross_entropy(scores.float(), target[counts]), right


def train(model, lesson, valid, o):
    teacher, rng = Teacher(), np.random.default_rng(SEED)
    rates, every = optimizers(model, teacher)
    named, best = dict(model.named_parameters()), -1.0
    order, right = [], [0.0] * len(KINDS)
    begun = (time.monotonic(), time.process_time())
    last = begun[0]
    step, done = 0, 0.0
    while done < 1:
        eyes_alone = step < EYES_ALONE
        share = min(1, (step + 1) / WARM) * (0.5 + 0.5 * math.cos(math.pi * done))
        for optimizer, rate in rates.items():
            for group in optimizer.param_groups:
                group["lr"] = rate * max(share, 1e-3)
        batch = EYES_BATCH if eyes_alone else BATCH
        if len(order) < batch:
            order = rng.permutation(len(lesson.rows)).tolist()
        some, order = torch.tensor(order[-batch:]), order[:-batch]
        rough = done < PRECISE
        p = {n: t.bfloat16() for n, t in named.items()} if rough else named
        loss, found = step_of(p, lesson, teacher, some, eyes_alone)
        for optimizer in rates:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(every, 2.0)
        for optimizer in rates:
            optimizer.step()
        right = [0.98 * a + 0.02 * b for a, b in zip(right, found)]
        step += 1
        done = max(step / o.steps, (time.monotonic() - begun[0]) / 60 / o.minutes)
        if time.monotonic() - last > o.every or done >= 1:
            got = check(model, lesson.words, valid, begun, step, right)
            last = time.monotonic()
            if not eyes_alone and got > best:
                best = got
                save(model, lesson.words, o.out)


def make(o):
    torch.manual_seed(SEED)
    if o.cache and os.path.exists(o.cache):
        with np.load(o.cache) as kept:
            rows, pixels = json.loads(kept["rows"].tobytes()), kept["pixels"]
    else:
        rows, pixels = pictures.world(o.generator, SCENES, VALID, SEED)
        if o.cache:
            np.savez(o.cache, pixels=pixels, rows=np.frombuffer(json.dumps(rows).encode(),
                                                                np.uint8))
    shown = SCENES - VALID
    words = Vocabulary(rows[:3000])
    valid = [("seen pairs", rows[shown:SCENES], pixels[shown:SCENES]),
             ("withheld pairs", rows[SCENES:], pixels[SCENES:])]
    valid = [(name, some, torch.from_numpy(pictures.patches(p))) for name, some, p in valid]
    lesson = Lesson(rows[:shown], pixels[:shown], words)
    model = new_model(words)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {words.begin} words, "
          f"{shown} scenes", flush=True)
    train(model, lesson, valid, o)
    print(f"{os.path.getsize(os.path.join(o.out, 'model.safetensors'))} bytes")


def say_with_transformers(folder, images):
    """Greedy captions through the library: a list for each prompt."""
    processor = BlipProcessor.from_pretrained(folder)
    model = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    said = []
    for prompt in PROMPTS:
        said.append([])
        for at in range(0, len(images), 100):
            some = images[at:at + 100]
            batch = processor(images=some, text=[prompt] * len(some), return_tensors="pt")
            with torch.inference_mode():
                ids = model.generate(pixel_values=batch.pixel_values, num_beams=1,
                                     input_ids=batch.input_ids, do_sample=False, max_new_tokens=50)
            said[-1] += [re.sub(r" ([.,])", r"\1", text) for text in
                         processor.batch_decode(ids, skip_special_tokens=True)]
    return said


def mistakes(marks, most=8):
    """What was said for what, by kind."""
    count = collections.Counter()
    for r in marks.read:
        count.update(set(r.wrong))
    return ", ".join(f"{kind} {n}" for kind, n in count.most_common(most))


def evaluate(o):
    """Scenes of the demo's own seed: no training scene, and all that the tables need."""
    begun, columns = time.monotonic(), {}
    with tempfile.TemporaryDirectory() as folder:
        rows, paths = pictures.draw(o.generator, TESTED, TESTED, TEST_SEED, folder)
        images = [pictures.fetched(path).copy() for path in paths]
        said = say_with_transformers(o.out, images)
    if o.captions:
        with open(o.captions, "w", encoding="utf-8") as out:
            for i, row in enumerate(rows):
                out.writelines(f"{row['split']}\t{row['id']}\t{k[i]}\n" for k in said)
    n = len(rows)
    spread = [i % len(PROMPTS) for i in range(n)]
    for name, part in (("seen pairs", slice(0, TESTED)), ("withheld pairs", slice(TESTED, n))):
        some, at = rows[part], range(n)[part]
        marks = Marks(some, [said[spread[i]][i] for i in at], [spread[i] for i in at])
        bodies = [[said[k][i].removeprefix(p).strip(" .") for k, p in enumerate(PROMPTS)]
                  for i in at]
        distinct = sum(len(set(b)) for b in bodies) / len(PROMPTS) / len(bodies)
        print(f"{name}: {marks}; distinct behind the prompts {100 * distinct:.1f}; "
              f"wrong: {mistakes(marks)}")
        columns[name] = [Marks(some, [said[k][i] for i in at], [k] * len(some))
                         for k in range(len(PROMPTS))]
        for r, i in [(r, i) for r, i in zip(marks.read, at) if not r.true][:o.show]:
            print(f"    {said[spread[i]][i]}\n      {', '.join(r.wrong)}; wanted "
                  f"{caption(rows[i], spread[i])}")
    print("| prompt | named true | true relation | withheld: named true | true relation |")
    for k, prompt in enumerate(PROMPTS):
        a, b = columns["seen pairs"][k], columns["withheld pairs"][k]
        print(f"| {prompt} | {a.named} | {a.related} | {b.named} | {b.related} |")
    print(f"{time.monotonic() - begun:.0f} s", flush=True)


def main():
    parse = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parse.add_argument("generator", help="capivara-demo-scenes")
    parse.add_argument("--steps", type=int, default=4320)
    parse.add_argument("--minutes", type=float, default=60, help="at most; fewer steps then")
    parse.add_argument("--threads", type=int, default=2)
    parse.add_argument("--every", type=float, default=240, help="seconds between checks")
    parse.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "../models/blip"))
    parse.add_argument("--cache", help="file of pictures, to begin at once another time")
    parse.add_argument("--evaluate", action="store_true", help="only that; no training")
    parse.add_argument("--captions", help="file to write what was said to, all ten of each scene")
    parse.add_argument("--show", type=int, default=8, help="mistakes to print of each split")
    o = parse.parse_args()
    torch.set_num_threads(o.threads)
    if not o.evaluate:
        make(o)
    evaluate(o)


if __name__ == "__main__":
    main()
