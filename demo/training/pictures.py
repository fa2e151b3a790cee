# SPDX-License-Identifier: Apache-2.0
"""Scenes as the captioner sees them: drawn by the generator, re-encoded as the demo's fetch
does, made square as BlipImageProcessor does; and what lies under each patch of a picture."""
import io
import json
import multiprocessing
import os
import subprocess
import tempfile

import numpy as np
from PIL import Image, ImageOps

from sayings import COLOURS, GROUNDS, RELATIONS, SHAPES, SIZES, TEXTURES, by_shape

SIDE, PATCH, FETCHED = 64, 8, 128
ACROSS = SIDE // PATCH
# What is said of a patch, and the number of answers: the last of the first two and of the
# relations means none. `first` and `last` count from both ends of the order of shapes, and
# `before` and `behind` relate the object to its neighbours there.
KINDS = {"shape": 13, "colour": 12, "size": 3, "texture": 4, "first": 4, "last": 4, "before": 7,
         "behind": 7}


def fetched(path):
    """The picture with its shorter side FETCHED, through JPEG, as `./dev demo` keeps it."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    scale = FETCHED / min(image.size)
    image = image.resize([round(side * scale) for side in image.size],
                         Image.BOX if scale < 1 else Image.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return Image.open(file)


def seen(path):
    return np.asarray(fetched(path).resize((SIDE, SIDE), Image.BICUBIC))


def draw(generator, scenes, heldout, seed, folder):
    """The lines of scenes.jsonl and the paths of their pictures, training scenes first."""
    subprocess.run([generator, "--clean", "--scenes", str(scenes), "--heldout", str(heldout),
                    "--seed", str(seed), folder], check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, "scenes.jsonl"), encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return rows, [os.path.join(folder, row["file"]["path"]) for row in rows]


def world(generator, scenes, heldout, seed, processes=2):
    """The scenes, and their pictures as one array of bytes [n, SIDE, SIDE, 3]."""
    with tempfile.TemporaryDirectory() as folder:
        rows, paths = draw(generator, scenes, heldout, seed, folder)
        pixels = np.empty((len(rows), SIDE, SIDE, 3), np.uint8)
        with multiprocessing.Pool(processes) as pool:
            for i, picture in enumerate(pool.imap(seen, paths, 256)):
                pixels[i] = picture
    return rows, pixels


def patches(pixels):
    """[n, patches, 3 * PATCH * PATCH], in the order of a patch embedding's weights."""
    n = len(pixels)
    tiles = pixels.reshape(n, ACROSS, PATCH, ACROSS, PATCH, 3).transpose(0, 1, 3, 5, 2, 4)
    return tiles.reshape(n, ACROSS * ACROSS, 3 * PATCH * PATCH).copy()


def under(scene):
    """For each patch what KINDS says, and the way to its object's centre; then of the whole
    picture the background and the number of objects."""
    what = np.zeros((ACROSS * ACROSS, len(KINDS)), np.uint8)
    what[:, 0], what[:, 1] = len(SHAPES), len(COLOURS)
    way = np.zeros((ACROSS * ACROSS, 2), np.float16)
    middle = (np.arange(ACROSS) + 0.5) / ACROSS
    across, down = (axis.ravel() for axis in np.meshgrid(middle, middle))
    things, order = scene["objects"], by_shape(scene)
    relation = {(a, b): list(RELATIONS).index(r)
                for a, r, b in scene["relations"] if r in RELATIONS}
    shorter = min(scene["width"], scene["height"])
    for k in sorted(range(len(things)), key=lambda i: things[i]["z"]):
        thing, at = things[k], order.index(k)
        dx, dy = thing["x"] - across, thing["y"] - down
        far = np.maximum(abs(dx) * scene["width"], abs(dy) * scene["height"]) / shorter
        on = far <= thing["radius"] * 1.02 + 0.01
        what[on] = [SHAPES.index(thing["shape"]), COLOURS.index(thing["colour"]),
                    SIZES.index(thing["size"]), TEXTURES.index(thing["texture"]), at,
                    len(order) - 1 - at, relation[k, order[at - 1]] if at else 6,
                    relation[k, order[at + 1]] if at + 1 < len(order) else 6]
        way[on] = np.stack([dx, dy], -1)[on]
    return what, way, [list(GROUNDS).index(scene["background"]), len(things) - 1]
