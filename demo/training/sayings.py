# SPDX-License-Identifier: Apache-2.0
"""What the captioner learns to say of a scene behind each of the ten prompts, and whether what it
says is true. Sentences of the grammar in demo/README.md, where the translators are at home."""
import re

SHAPES = "circle square triangle star cross diamond ring moon heart arrow house fish".split()
COLOURS = "red orange yellow green blue purple pink brown turquoise black white".split()
SIZES = ["small", "medium", "large"]
TEXTURES = ["plain", "striped", "dotted", "checked"]
RELATIONS = {
    "left_of": ["to the left of", "left of", "on the left of"],
    "right_of": ["to the right of", "right of", "on the right of"],
    "above": ["above", "over", "higher than"],
    "below": ["below", "under", "beneath"],
    "inside": ["inside", "in", "within"],
    "around": ["around", "surrounding", "enclosing"],
}
GROUNDS = {  # two places, and what the background is
    "gray": ["on a gray background", "against a gray background", "gray"],
    "dark_gray": ["on a dark gray background", "against a dark gray background", "dark gray"],
    "light_green": ["on a light green background", "against a light green background",
                    "light green"],
    "light_purple": ["on a light purple background", "against a light purple background",
                     "light purple"],
    "sky": ["in the sky", "against the sky", "the sky"],
    "sea": ["in front of the sea", "against the sea", "the sea"],
    "grass": ["on grass", "on the grass", "grass"],
    "sand": ["on sand", "on the sand", "sand"],
    "night": ["in the night sky", "against the night sky", "the night sky"],
    "brick": ["in front of a brick wall", "on a brick wall", "a brick wall"],
    "wood": ["on wood", "on a wooden board", "wood"],
}
# The prompt chooses: which end of the order of shapes to begin at, what is said of an object
# beside its colour, what of the background (a place, or a sentence of its own), how objects
# are joined, and which of the synonyms relates them.
STORY, PHRASE, LIST = range(3)
STYLES = [
    ("the foreground features", 1, "", None, STORY, 0),
    ("a photo of", -1, "", None, STORY, 0),
    ("a picture of", 1, "", 0, STORY, 0),
    ("this is a scene depicting", -1, "", 2, STORY, 1),
    ("an image of", 1, "size", None, STORY, 0),
    ("portrait of a", -1, "size", None, STORY, 0),
    ("this image captures a moment of", 1, "texture", None, PHRASE, 2),
    ("a painting of", -1, "", 1, STORY, 0),
    ("an art of", 1, "size texture", None, STORY, 1),
    ("the picture shows", 1, "", 2, LIST, 0),
]
PROMPTS = [style[0] for style in STYLES]


def noun(thing, say, bare=False):
    words = [thing["size"]] if "size" in say else []
    if "texture" in say and thing["texture"] != "plain":
        words.append(thing["texture"])
    words += [thing["colour"], thing["shape"]]
    article = [] if bare else ["an" if words[0][0] in "aeio" else "a"]
    return " ".join(article + words)


def relation_of(scene, a, b):
    """The one of the six that holds."""
    return next(r for x, r, y in scene["relations"] if (x, y) == (a, b) and r in RELATIONS)


def by_shape(scene):
    things = scene["objects"]
    return sorted(range(len(things)), key=lambda i: SHAPES.index(things[i]["shape"]))


def caption(scene, prompt):
    opening, way, say, ground, form, wording = STYLES[prompt]
    things, order = scene["objects"], by_shape(scene)[::way]
    said = [noun(things[i], say, bare=opening.endswith(" a") and i == order[0])
            for i in order]
    grounds, sentences, first = GROUNDS[scene["background"]], [], said[0]
    if form == LIST and len(order) > 1:
        first = ", ".join(said[:-1]) + " and " + said[-1]
        ground = None
    elif len(order) > 1:
        a, b = order[:2]
        if form == PHRASE:
            first += f" {RELATIONS[relation_of(scene, a, b)][wording]} {said[1]}"
        else:
            words = RELATIONS[relation_of(scene, b, a)][wording]
            sentences.append(f"{said[1]} is {words} the {things[a]['shape']}")
    if ground is not None and ground < 2:
        first += " " + grounds[ground]
    elif ground is not None:
        sentences.append(f"the background is {grounds[2]}")
    return f"{opening} {first}" + "".join(f". {s}" for s in sentences) + "." * bool(sentences)


def any_of(words):
    return "|".join(sorted(words, key=len, reverse=True))


NOUN = (rf"(?:(?P<article>the|an?) )?(?:(?P<size>{any_of(SIZES)}) )?"
        rf"(?:(?P<texture>{any_of(TEXTURES[1:])}) )?(?:(?P<colour>{any_of(COLOURS)}) )?"
        rf"(?P<shape>{any_of(SHAPES)})\b")
RELATION_OF = {w: r for r, words in RELATIONS.items() for w in words}
RELATION = rf"(?P<relation>{any_of(RELATION_OF)})"
PLACE_OF = {p: g for g, words in GROUNDS.items() for p in words[:2]}
GROUND_OF = {words[2]: g for g, words in GROUNDS.items()}


class Reading:
    """A caption held against its scene: `true` if it is of the grammar and every object,
    attribute and background in it is the scene's; `named`, the number of objects; `related`,
    None if it states no relation, else whether all that it states hold."""

    def __init__(self, text, opening, scene):
        self.scene, self.true, self.seen, self.related = scene, True, [], None
        self.wrong, self.bare = [], opening.endswith(" a")
        body = text.removeprefix(opening).strip()
        if not text.startswith(opening):
            self.fail("form")
        sentences = body.removesuffix(".").split(". ")
        for i, sentence in enumerate(sentences):
            self.sentence(sentence, i == 0)
        self.named = len(set(self.seen))

    def fail(self, what):
        self.true = False
        self.wrong.append(what)

    def sentence(self, text, first):
        if not first and text.startswith("the background is "):
            ground = text.removeprefix("the background is ")
            if GROUND_OF.get(ground) != self.scene["background"]:
                self.fail("ground")
            return
        end = re.search(rf" ({any_of(PLACE_OF)})$", text) if first else None
        if end:
            if PLACE_OF[end[1]] != self.scene["background"]:
                self.fail("ground")
            text = text[:end.start()]
        if first and (related := re.fullmatch(rf"(.+?) {RELATION} (.+)", text)):
            self.relate(related[1], related["relation"], related[3])
        elif first:
            for part in re.split(r", | and ", text):
                self.noun(part)
        elif related := re.fullmatch(rf"(.+?) is {RELATION} (.+)", text):
            self.relate(related[1], related["relation"], related[3])
        else:
            self.fail("form")

    def relate(self, subject, words, other):
        a, b = self.noun(subject), self.noun(other)
        holds = [a, RELATION_OF[words], b] in self.scene["relations"]
        self.related = holds and self.related is not False

    def articles(self, text, known):
        """Those that may stand before it; the prompt may have said the first."""
        first = re.sub(r"^(the|an?) ", "", text)
        bare, self.bare = self.bare, False
        return ["the"] if known else [None] if bare else ["an" if first[0] in "aeio" else "a"]

    def noun(self, text):
        """The object that is meant, or None; `true` falls if there is none like it."""
        said = re.fullmatch(NOUN, text)
        if not said:
            self.fail("form")
            return None
        things = self.scene["objects"]
        which = next((i for i, t in enumerate(things) if t["shape"] == said["shape"]), None)
        if which is None:
            self.fail("shape")
            self.seen.append(said["shape"])
            return None
        for kind in ("size", "texture", "colour"):
            if said[kind] and said[kind] != things[which][kind]:
                self.fail(kind)
        known = which in self.seen
        if said["article"] not in self.articles(text, known):
            self.fail("form")
        self.seen.append(which)
        return which
