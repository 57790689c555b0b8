"""Which bone is which joint, guessed from pieces of names: side, limb, and where a bone hangs.

For rigs whose names fit no table of `posemend.datasets.rigs`, because of
prefixes, layers of a control rig (``upper_arm_fk.L``, ``DEF-upper_arm.L``),
halves of a limb (``lThighBend``, ``lThighTwist``) or words of their own. A name
is cut into words, the side is taken out, and what is left must *be* a limb:
``hand_ik``, ``thigh_twist`` and ``upperarm_muscle`` are none.

Bones that move the mesh go before others. If two are equally good, stand in
different places, and neither carries the other, nothing is taken: a guess that
may be wrong is worse than a question.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SAME_PLACE = 0.02  # of the armature's largest extent
COMMON = 0.6  # of all bones; a word that more of them have says nothing

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SIDES = {"l": "l", "left": "l", "lft": "l", "r": "r", "right": "r", "rgt": "r"}
_SILENT = {"def", "bone", "joint", "jnt", "bind", "bnd", "skin", "sk", "bip", "bend", "rig", "character", "mixamorig",
           "c", "m", "center", "centre", "mid"}  # fmt: skip
_LAYER = {"fk": 1, "org": 2}  # layers of a control rig that move with the body; any other is a word like others

UPPER = {"leg": ("thigh", "upleg", "upperleg", "legupper", "legup", "femur"),
         "arm": ("upperarm", "uparm", "armupper", "armup", "humerus", "shldr", "bicep")}  # fmt: skip
LOWER = {"leg": ("shin", "calf", "lowerleg", "lowleg", "leglower", "leglow", "tibia", "shank", "knee"),
         "arm": ("forearm", "lowerarm", "lowarm", "armlower", "armlow", "ulna", "radius", "elbow")}  # fmt: skip
END = {"leg": ("ankle", "foot"), "arm": ("wrist", "hand")}
LAST_RESORT = {"leg": ("hip",), "arm": ("shoulder",)}  # else a bone of the pelvis, and the collar bone
JOINTS = {"leg": ("hip", "knee", "ankle"), "arm": ("shoulder", "elbow", "wrist")}
TRUNK = {"thorax": ("neck", "neckbase", "lowerneck", "necklower", "necktwist"), "nose": ("head", "skull", "face"),
         "pelvis": ("hips", "pelvis", "hip")}  # fmt: skip
LIMB_WORDS = {word for table in (UPPER, LOWER, END, LAST_RESORT) for words in table.values() for word in words}
LIMB_WORDS |= {"leg", "arm"}


@dataclass(frozen=True, eq=False)
class Rigged:
    """An armature as it stands in a file, in world axes and metres.

    Attributes:
        name: What the file calls it.
        bones: Names, parents before children.
        parents: Index of each bone's parent, -1 for a root.
        deform: (B,) which bones move a mesh.
        length: (B,) metres along the bone's own y, before the armature's scale.
        rest: (B, 4, 4) bone to world at rest.
        posed: (T, B, 4, 4) the same in a few frames.
        meshes: Names of what it moves.
    """

    name: str
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    deform: NDArray[np.bool_]
    length: Floats
    rest: Floats
    posed: Floats
    meshes: tuple[str, ...] = ()

    def heads(self) -> Floats:
        """(B, 3) where bones begin at rest."""
        return np.asarray(self.rest[:, :3, 3])

    def tails(self) -> Floats:
        """(B, 3) where bones end at rest."""
        return np.asarray(self.rest[:, :3, 3] + self.rest[:, :3, 1] * self.length[:, None])

    def above(self, bone: int) -> Iterator[int]:
        """A bone's ancestors, the nearest first."""
        while (bone := self.parents[bone]) >= 0:
            yield bone

    def order(self) -> list[int]:
        """All bones, those that move a mesh first."""
        return sorted(range(len(self.bones)), key=lambda bone: not self.deform[bone])


class Word(NamedTuple):
    """What a bone's name says."""

    bone: int
    side: str
    text: str
    penalty: int


class Found(NamedTuple):
    """A bone, or the names of those that could each be it, or neither."""

    bone: int | None
    rivals: tuple[str, ...] = ()


@dataclass
class Guess:
    """What names gave: bones by joint, and for joints that stayed open why."""

    joints: dict[str, int]
    open: dict[str, str]


def words(names: Sequence[str]) -> list[Word]:
    """Side, limb and layer of every bone's name."""
    cut = []
    for name in names:
        bare = re.split(r"[:|]", name)[-1]
        cut.append([word.lower() for word in _WORDS.findall(bare)])
    count = Counter(word for found in cut for word in set(found))
    common = {word for word, many in count.items() if many > COMMON * len(names) and word not in _SIDES}
    said = []
    for bone, found in enumerate(cut):
        sides = {_SIDES[word] for word in found if word in _SIDES}
        rest = [w for w in found if w not in _SIDES and w not in _SILENT and w not in common and not w.isdigit()]
        text = "".join(word for word in rest if word not in _LAYER)
        side = sides.pop() if len(sides) == 1 else "" if not sides else "?"
        if not side:
            for start, letter in (("left", "l"), ("right", "r"), ("l", "l"), ("r", "r")):
                if text.startswith(start) and text[len(start) :] in LIMB_WORDS:  # "lthigh", "leftarm"
                    side, text = letter, text[len(start) :]
                    break
        said.append(Word(bone, side, text, sum(_LAYER.get(word, 0) for word in rest)))
    return said


class _Search:
    """Bones of one armature by side and word."""

    def __init__(self, rigged: Rigged) -> None:
        self.rigged = rigged
        self.said = words(rigged.bones)
        heads = rigged.posed[..., :3, 3]
        self.heads = heads if len(heads) else rigged.heads()[None]
        self.near = SAME_PLACE * float(np.ptp(rigged.heads(), axis=0).max(initial=0.0))

    def candidates(self, side: str, text: str) -> list[int]:
        """Bones of the best layer that are called so, each place once, carriers first."""
        found = [word for word in self.said if word.side == side and word.text == text]
        found.sort(key=lambda word: (not self.rigged.deform[word.bone], word.penalty))
        best = [(not self.rigged.deform[word.bone], word.penalty) for word in found]
        places: list[int] = []
        for word, rank in zip(found, best, strict=True):
            gaps = [np.abs(self.heads[:, word.bone] - self.heads[:, other]).max() for other in places]
            if rank == best[0] and all(gap > self.near for gap in gaps):
                places.append(word.bone)
        return sorted(places, key=lambda bone: len(list(self.rigged.above(bone))))

    def one(self, side: str, choice: Sequence[str]) -> Found:
        """The bone for the first word that any has."""
        for text in choice:
            found = self.candidates(side, text)
            if found and all(found[0] in self.rigged.above(other) for other in found[1:]):
                return Found(found[0])
            if found:
                return Found(None, tuple(self.rigged.bones[bone] for bone in found))
        return Found(None)

    def limb(self, side: str, limb: str) -> tuple[Found, Found, Found]:
        """The bones that begin at a limb's three joints."""
        upper, lower = self.one(side, UPPER[limb]), self.one(side, LOWER[limb])
        plain = [bone for bone in self.candidates(side, limb) if bone not in (upper.bone, lower.bone)]
        chain = all(a in self.rigged.above(b) for a, b in pairwise(plain))
        if plain and chain and not upper.rivals and not lower.rivals:
            # "Leg" is the shin where there is a thigh, the thigh where there is a shin; of two the first is it
            if upper.bone is None and (lower.bone is not None or len(plain) == 2):
                upper = Found(plain.pop(0))
            if lower.bone is None and upper.bone is not None and len(plain) == 1:
                lower = Found(plain.pop(0))
        if upper.bone is None and not upper.rivals:
            upper = self.one(side, LAST_RESORT[limb])
        return upper, lower, self.one(side, END[limb])


def by_names(rigged: Rigged) -> Guess:
    """Joints that names tell: limbs of both sides, ``thorax``, ``nose`` and ``pelvis``."""
    search = _Search(rigged)
    guess = Guess({}, {})

    found = {joint: search.one("", choice) for joint, choice in TRUNK.items()}
    for side in "lr":
        for limb, joints in JOINTS.items():
            found |= {f"{side}_{joint}": bone for joint, bone in zip(joints, search.limb(side, limb), strict=True)}
    for joint, (bone, rivals) in found.items():
        if bone is not None:
            guess.joints[joint] = bone
        else:
            listed = ", ".join(f"'{name}'" for name in rivals)
            guess.open[joint] = f"{listed} could each be it" if rivals else "no bone's name says so"
    return guess
