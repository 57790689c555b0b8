"""Which bone is which joint, guessed from the shape of an armature alone: for rigs whose bones are only numbered.

At rest and upright: the two lowest ends hang on two branches, the legs; the two
ends furthest to the sides on two more, the arms; what rises from where the arms
part is neck and head. In a limb the two longest pieces in a row that are about
equally long are its upper and its lower part. Both sides must come out alike.

Which side is left shows only in how the body bends and which way the feet
point; `sides_turned` says that, and where it cannot, the caller refuses.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posemend.datasets.bone_names import Floats, Rigged

ALIKE = 0.1  # how far left and right may differ in length
RATIO = 1.7  # of upper to lower part of a limb, either way round
LOW, HIGH = 0.15, 0.3  # of the height: feet are below, hands above
TOE = 0.15  # of the shank's length that toes must lie before or behind the ankle


def _chain(rigged: Rigged, top: int, end: int) -> list[int]:
    """Bones from just below ``top`` down to ``end``."""
    path = [end, *rigged.above(end)]
    return path[: path.index(top)][::-1]


def _fork(rigged: Rigged, one: int, other: int) -> int | None:
    """The nearest bone that carries both."""
    mine = [one, *rigged.above(one)]
    return next((bone for bone in [other, *rigged.above(other)] if bone in mine), None)


def _limb(points: Floats) -> tuple[int, float, float] | None:
    """Where the two longest pieces in a row begin that are about equally long, and their lengths."""
    length = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    best = None
    for n in range(len(length) - 1):
        one, two = float(length[n]), float(length[n + 1])
        if max(one, two) <= RATIO * min(one, two) and (best is None or one + two > best[1] + best[2]):
            best = (n, one, two)
    return best


def by_structure(rigged: Rigged) -> dict[str, int] | None:
    """Joints by bone, with sides that may be the wrong way round; ``None`` where the shape is no body's."""
    head, tail = rigged.heads(), rigged.tails()
    carriers = set(rigged.parents)
    ends = [bone for bone in range(len(rigged.bones)) if bone not in carriers and rigged.deform[bone]]
    if len(ends) < 5:
        return None
    tips = tail[ends]
    floor, height = tips[:, 2].min(), float(np.ptp(tips[:, 2]))
    low = [bone for bone, tip in zip(ends, tips, strict=True) if tip[2] < floor + LOW * height]
    if len(low) < 2 or height <= 0:
        return None
    apart = np.linalg.norm(tail[low][:, None, :2] - tail[low][None, :, :2], axis=-1)
    feet = [low[n] for n in np.unravel_index(int(apart.argmax()), apart.shape)]
    pelvis = _fork(rigged, *feet)
    if pelvis is None or feet[0] == feet[1]:
        return None
    across = tail[feet[1], :2] - tail[feet[0], :2]
    across = across / max(float(np.linalg.norm(across)), 1e-9)
    sideways = (tail[:, :2] - head[pelvis, :2]) @ across
    high = [bone for bone, tip in zip(ends, tips, strict=True) if tip[2] > floor + HIGH * height]
    if len(high) < 3:
        return None
    hands = [min(high, key=lambda bone: sideways[bone]), max(high, key=lambda bone: sideways[bone])]
    chest, top = _fork(rigged, *hands), max(high, key=lambda bone: tail[bone, 2])
    if chest is None or pelvis not in [chest, *rigged.above(chest)] or chest not in rigged.above(top):
        return None
    joints: dict[str, int] = {}
    for end, fork, names in ((feet, pelvis, ("hip", "knee", "ankle")), (hands, chest, ("shoulder", "elbow", "wrist"))):
        sizes = []
        for side, tip in zip("rl", end, strict=True):
            if fork == tip:
                return None
            path = _chain(rigged, fork, tip)
            found = _limb(np.concatenate([head[path], tail[path[-1:]]]))
            if found is None or found[0] + 2 >= len(path):
                return None
            joints |= {f"{side}_{name}": path[found[0] + n] for n, name in enumerate(names)}
            sizes.append(found[1:])
        if np.abs(np.log(np.array(sizes[0]) / np.array(sizes[1]))).max() > ALIKE:
            return None
    neck = _chain(rigged, chest, top)
    if len(neck) < 2 or set(neck) & set(joints.values()):
        return None
    lengths = np.linalg.norm(np.diff(np.concatenate([head[neck], tail[neck[-1:]]]), axis=0), axis=-1)
    return joints | {"pelvis": pelvis, "thorax": neck[0], "nose": neck[1 + int(lengths[1:].argmax())]}


def sides_turned(rigged: Rigged, joints: Mapping[str, int]) -> float:
    """Which way the feet point: 1 forward as left and right are named, -1 backward, 0 if they do not show it.

    Feet are asked for what hangs on them; a bone without children only where neither has any.
    """
    at = rigged.heads()
    up = at[joints["thorax"]] - (at[joints["l_hip"]] + at[joints["r_hip"]]) / 2
    forward = np.cross(at[joints["l_hip"]] - at[joints["r_hip"]], up)
    forward = forward / max(float(np.linalg.norm(forward)), 1e-9)
    signs = []
    for side in "lr":
        ankle = joints[f"{side}_ankle"]
        hung = [bone for bone in range(len(rigged.bones)) if ankle in rigged.above(bone)]
        ways = at[hung] - at[ankle] if hung else rigged.tails()[[ankle]] - at[ankle]
        reach = (ways @ forward)[np.argmax(np.abs(ways @ forward))]
        shank = float(np.linalg.norm(at[ankle] - at[joints[f"{side}_knee"]]))
        signs.append(np.sign(reach) if abs(reach) > TOE * shank else 0.0)
    return float(signs[0]) if signs[0] == signs[1] else 0.0
