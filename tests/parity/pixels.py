#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pictures as BLIP takes them against Pillow and transformers: see pixels.sh.

    pixels.py PHOTOS SCRATCH PROGRAM

Of each photograph: the file itself at several sizes, and made of it (reduced, so that it
takes minutes) every EXIF orientation, progressive, gray and CMYK JPEG, chroma in full and
halved, JPEG of poor and of best quality, PNG in colour, gray, palette and 16 colours,
lossless and lossy WebP, very small and very narrow pictures. Pictures with alpha are
compared with Pillow's over white: what is behind transparent pixels is not shown, where
Pillow's convert("RGB") shows it; by how much that differs is printed, too.

Pillow 13 resizes columns first where that is faster, and so do we; every one before it
rows first (python-pillow/Pillow#9549), which is also printed: what a model made of pictures
when it was trained.
"""
import json
import os
import subprocess
import sys

import numpy as np
from PIL import Image, ImageOps
from transformers import BlipImageProcessor

MEAN = np.float32([0.48145466, 0.4578275, 0.40821073])[:, None, None]
STD = np.float32([0.26862954, 0.26130258, 0.27577711])[:, None, None]


def over_white(image):
    a = np.asarray(image.convert("RGBA")).astype(float)
    alpha = a[..., 3:] / 255
    return Image.fromarray(np.rint(alpha * a[..., :3] + 255 * (1 - alpha)).astype("u1"))


def seen(path):
    """What Pillow shows, and (with alpha) what its convert("RGB") would."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode in ("RGBA", "LA") or "transparency" in image.info:
        return over_white(image), image.convert("RGB")
    return image.convert("RGB"), None


def variants(photo, number, folder):
    """(kind, path) of what is made of a photograph."""
    rgb = Image.open(photo).convert("RGB")
    small = rgb.resize((rgb.width * 2 // 3, rgb.height * 2 // 3), Image.LANCZOS)
    fade = Image.linear_gradient("L").resize(small.size)
    alpha = small.copy()
    alpha.putalpha(fade)
    gray_alpha = Image.merge("LA", (small.convert("L"), fade))
    made = []

    def save(kind, image, ext, **how):
        path = os.path.join(folder, f"{number}-{kind}.{ext}".replace(" ", "-"))
        image.save(path, **how)
        made.append((kind, path))

    for way in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = way
        save(f"orientation {way}", small, "jpg", quality=88, exif=exif)
    exif = Image.Exif()
    exif[0x0112] = 2 + number % 7
    save("png orientation", small, "png", exif=exif, compress_level=1)
    save("webp orientation", small, "webp", exif=exif, method=0)
    save("jpeg progressive", small, "jpg", quality=90, progressive=True)
    save("jpeg gray", small.convert("L"), "jpg", quality=90)
    save("jpeg cmyk", small.convert("CMYK"), "jpg", quality=90)
    save("jpeg 444", small, "jpg", quality=90, subsampling=0)
    save("jpeg 422", small, "jpg", quality=90, subsampling=1)
    save("jpeg quality 20", small, "jpg", quality=20)
    save("jpeg quality 100", small, "jpg", quality=100)
    save("jpeg large", rgb.resize((rgb.width * 3, rgb.height * 3), Image.BICUBIC), "jpg")
    for i, (w, h) in enumerate(((1, 1), (2, 7), (16, 16), (31, 200), (300, 5), (17, 33))):
        save(f"jpeg {w} x {h}", rgb.resize((w, h)), "jpg", quality=90)
    save("jpeg narrow", rgb.crop((0, 0, 40, rgb.height)), "jpg", quality=90)
    save("png", small, "png", compress_level=1)
    save("png gray", small.convert("L"), "png", compress_level=1)
    save("png palette", small.quantize(200), "png", compress_level=1)
    save("png 16 colours", small.quantize(16), "png", compress_level=1, bits=4)
    save("png alpha", alpha, "png", compress_level=1)
    save("png gray alpha", gray_alpha, "png", compress_level=1)
    save("webp", small, "webp", quality=80, method=0)
    save("webp lossless", small, "webp", lossless=True, method=0)
    save("webp alpha", alpha, "webp", quality=80, method=0)
    return made


def levels(x, factor):
    return np.rint((x * STD + MEAN) / np.float32(factor)).astype(int)


def rows_first(image, size):
    return image.resize((size, image.height), Image.BICUBIC).resize((size, size),
                                                                    Image.BICUBIC)


class Tally:
    def __init__(self):
        self.pictures = self.same = self.values = self.equal = self.worst = self.wrong = 0
        self.plain = self.steps = self.off = self.other = 0

    def add(self, ours, theirs, factor, plain, rows):
        step = abs(levels(ours, factor) - levels(theirs, factor))
        self.pictures += 1
        self.same += np.array_equal(ours, theirs)
        self.values += ours.size
        self.equal += int((ours == theirs).sum())
        self.worst = max(self.worst, int(step.max()))
        # Where the bytes agree, the floats do to the bit.
        self.wrong += not np.array_equal(ours == theirs, step == 0)
        step = abs(levels(ours, factor) - levels(rows, factor))
        self.steps = max(self.steps, int(step.max()))
        self.off += int((step > 1).sum())
        self.other += not np.array_equal(ours, rows)
        if plain is not None:
            self.plain = max(self.plain, int(abs(levels(ours, factor) -
                                                 levels(plain, factor)).max()))

    def line(self, kind):
        text = (f"{kind:20} {self.pictures:5} pictures, {self.same:5} identical, "
                f"{100 * self.equal / self.values:8.4f} % of values equal, "
                f"largest step {self.worst}")
        if self.other:
            text += (f"; rows first: {self.other} differ, largest step {self.steps}, "
                     f"{self.off} values above 1")
        if self.plain:
            text += f" ({self.plain} from convert(\"RGB\"))"
        return text + (f", {self.wrong} WRONG FLOATS" if self.wrong else "")


def compare(files, size, scratch, program, tallies):
    config = {"image_processor_type": "BlipImageProcessor",
              "size": {"height": size, "width": size}}
    with open(os.path.join(scratch, "preprocessor_config.json"), "w") as f:
        json.dump(config, f)
    processor = BlipImageProcessor.from_pretrained(scratch)
    run = subprocess.Popen([program, scratch], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE)
    for kind, path in files:
        run.stdin.write(os.fsencode(path) + b"\n")
        run.stdin.flush()
    run.stdin.close()
    for kind, path in files:
        status = int.from_bytes(run.stdout.read(4), "little")
        if status:
            sys.exit(f"{path}: status {status}")
        raw = run.stdout.read(12 * size * size)
        ours = np.frombuffer(raw, "<f4").reshape(3, size, size)
        image, plain = seen(path)
        rows = rows_first(image, size)

        def made(picture, resize):
            return processor(picture, do_resize=resize, input_data_format="channels_last"
                             )["pixel_values"][0]
        tallies.setdefault(kind, Tally()).add(
            ours, made(image, True), processor.rescale_factor,
            None if plain is None else made(plain, True), made(rows, False))
    if run.wait():
        sys.exit(f"{program}: status {run.returncode}")


def main(photos, scratch, program):
    names = sorted(os.listdir(photos))[:int(os.environ.get("COUNT", 1000))]
    names = [os.path.join(photos, n) for n in names]
    tallies = {}
    for size in 384, 224, 364, 32:
        compare([(f"photos at {size}", n) for n in names], size, scratch, program, tallies)
    for number, name in enumerate(names):
        folder = os.path.join(scratch, "made")
        os.makedirs(folder, exist_ok=True)
        files = variants(name, number, folder)
        compare(files, (384, 384, 129)[number % 3], scratch, program, tallies)
        for _, path in files:
            os.unlink(path)
    for kind, tally in tallies.items():
        print(tally.line(kind))
    total = sum(t.pictures for t in tallies.values())
    same = sum(t.same for t in tallies.values())
    worst = max(t.worst for t in tallies.values())
    wrong = sum(t.wrong for t in tallies.values())
    steps = max(t.steps for t in tallies.values())
    other = sum(t.other for t in tallies.values())
    print(f"{same} of {total} pictures identical; largest difference {worst} of 255, "
          f"1 allowed; {wrong} with floats that are not numpy's. "
          f"Rows first: {total - other} identical, largest difference {steps}")
    sys.exit(worst > 1 or wrong > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
