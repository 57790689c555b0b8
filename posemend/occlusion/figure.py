"""A body for any skeleton: eighteen capsules and ellipsoids with the proportions of its joints.

Limbs are capsules from joint to joint; chest, belly, pelvis and head are
ellipsoids that turn with shoulders and hips. Lengths come from the pose,
thickness from the stature and the girth. It hides joints as a body does and a
depth camera sees a person in it; it is no portrait.

Thickness is in shares of the stature: round figures between the usual tables of
anthropometry (circumference / 2 pi for limbs, half breadths and depths for the
trunk). How well such a body reproduces BlendMimic3D's flags is measured by
``benchmarks/flags.py``. Left out on purpose: clothes, hair, fingers. Hands and
feet point where forearm and shank suggest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.convert import weights_matrix
from posemend.body.pose import Pose3D
from posemend.body.proportions import stature
from posemend.body.skeleton import Skeleton
from posemend.errors import InputError
from posemend.occlusion.solids import Floats, Solids

MIDDLE = ("pelvis", "spine", "torso", "thorax", "neck", "spine2", "spine3", "lower_back")
HEAD = ("nose", "head", "head_top", "l_eye", "r_eye", "l_ear", "r_ear")
_FOOT = ("heel", "big_toe", "small_toe", "toe", "foot", "foot_index")
_HAND = ("hand", "fingers", "thumb", "index", "pinky")
SHORTEST = 1e-3  # metres; a bone below that has no direction

# name: radius as share of the stature
LIMBS = {"thigh": 0.048, "shank": 0.033, "foot": 0.024, "upper_arm": 0.029, "forearm": 0.024, "hand": 0.024}
NECK = 0.034
# name: half width, half depth, half height as shares of the stature
TRUNK = {
    "chest": (0.090, 0.068, 0.110),
    "belly": (0.086, 0.066, 0.090),
    "hips": (0.098, 0.068, 0.075),
    "head": (0.045, 0.056, 0.068),
}
CAPSULES = ("neck", *(f"{side}_{limb}" for side in "lr" for limb in LIMBS))
ELLIPSOIDS = tuple(TRUNK)
PARTS = CAPSULES + ELLIPSOIDS


@dataclass(frozen=True)
class Build:
    """How thick a body is.

    Attributes:
        height: Stature in metres; ``None`` takes it from the limbs.
        girth: Factor on all thicknesses.
        limbs: Factor on the limbs' radii, on top of the girth.
        trunk: Factors on the trunk's half width and half depth, likewise.
    """

    height: float | None = None
    girth: float = 1.0
    limbs: float = 1.0
    trunk: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        numbers = [self.girth, self.limbs, *self.trunk, 1.0 if self.height is None else self.height]
        if not np.isfinite(numbers).all() or min(numbers) <= 0:
            raise InputError(f"Build wants finite numbers above 0, got {self}.")
        if self.height is not None and not 0.3 <= self.height <= 3:
            raise InputError(f"Build wants a height between 0.3 and 3 metres, got {self.height}. Are these metres?")


def owned_parts(skeleton: Skeleton) -> NDArray[np.bool_]:
    """(J, 17) which parts of the body each joint lies in: they do not hide it."""
    table = np.zeros((len(skeleton), len(PARTS)), bool)
    for row, joint in enumerate(skeleton.joints):
        side, _, limb = joint.partition("_") if joint[:2] in ("l_", "r_") else ("", "", joint)
        if joint in MIDDLE or limb in ("clavicle", "hip_joint"):
            own = ["chest", "belly", "hips"] + (["neck"] if joint in ("thorax", "neck") else [])
        elif joint in HEAD or joint == "lower_neck" or limb in ("eye", "ear", "mouth", "eye_inner", "eye_outer"):
            own = ["head", "neck"]
        elif limb == "hip":
            own = ["hips", f"{side}_thigh"]
        elif limb == "knee":
            own = [f"{side}_thigh", f"{side}_shank"]
        elif limb == "ankle":
            own = [f"{side}_shank", f"{side}_foot"]
        elif limb in _FOOT:
            own = [f"{side}_foot", f"{side}_shank"]
        elif limb == "shoulder":
            own = [f"{side}_upper_arm", "chest"]
        elif limb == "elbow":
            own = [f"{side}_upper_arm", f"{side}_forearm"]
        elif limb == "wrist":
            own = [f"{side}_forearm", f"{side}_hand"]
        elif limb in _HAND:
            own = [f"{side}_hand", f"{side}_forearm"]
        else:
            own = []
        table[row] = np.isin(PARTS, own)
    return table


def direction(x: Floats) -> Floats:
    """Vectors (..., 3) of length 1; a zero vector stays zero."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9)


def upright(up: Floats, left: Floats) -> Floats:
    """(T, 3, 3) rows left, front, up: orthonormal, up kept."""
    up = direction(up)
    left = direction(left - (left * up).sum(-1, keepdims=True) * up)
    return np.stack([left, np.cross(left, up), up], -2)


def h36m_joints(positions: ArrayLike, skeleton: Skeleton) -> dict[str, Floats]:
    """The joints that carry the body, (T, 3) each, made up by name where a skeleton lacks them.

    Raises:
        InputError: The skeleton cannot carry a body.
    """
    matrix, exists = weights_matrix(skeleton, H36M_17)
    lacking = [name for name, there in zip(H36M_17.joints, exists, strict=True) if not there]
    if lacking:
        raise InputError(f"'{skeleton.name}' cannot carry a body: it lacks {', '.join(lacking)}.")
    points = np.einsum("kj,tjc->tkc", matrix.astype(np.float32), np.asarray(positions, np.float32))
    return {name: points[:, place] for place, name in enumerate(H36M_17.joints)}


def body_height(positions: ArrayLike, skeleton: Skeleton) -> float:
    """Stature in metres that the limbs imply.

    Raises:
        InputError: A bone has no length, or the limbs are not of a person's size.
    """
    pose = Pose3D(np.asarray(positions, np.float32), skeleton, frame="world")
    for first, second in skeleton.bone_indices:
        length = np.linalg.norm(pose.positions[:, first] - pose.positions[:, second], axis=-1)
        if length.max() < SHORTEST:
            names = f"{skeleton.joints[first]} to {skeleton.joints[second]}"
            raise InputError(f"The bone from {names} has no length. Is a joint missing from this motion?")
    height = stature(pose)
    if not (np.isfinite(height) and 0.3 <= height <= 3):
        raise InputError(f"The limbs imply a stature of {height:.3g} m; wanted 0.3 to 3. Are positions in metres?")
    return height


def figure(positions: ArrayLike, skeleton: Skeleton = H36M_17, build: Build | None = None, owner: int = 0) -> Solids:
    """The body of one person over time.

    Args:
        positions: (T, J, 3) metres, world axes, all finite.
        skeleton: Whose joints these are.
        build: How thick; an ordinary build by default.
        owner: Number of the person.

    Raises:
        InputError: A joint is not finite, a bone has no length, the size is not human, or the
            skeleton cannot carry a body.
        SkeletonError: The joint count is not the skeleton's.
    """
    build = build or Build()
    implied = body_height(positions, skeleton)
    return dress(h36m_joints(positions, skeleton), build.height or implied, build, owner)


def dress(at: dict[str, Floats], height: float | Floats, build: Build | None = None, owner: int = 0) -> Solids:
    """The body round the joints of `h36m_joints`.

    Nothing here asks where up is, so any axes will do.

    Args:
        at: (T, 3) each, metres.
        height: Stature in metres; a number, or (T,) where frames are of different people.
        build: How thick; an ordinary build by default. Its ``height`` is not used.
        owner: Number of the person.
    """
    build = build or Build()
    frames = len(at["pelvis"])
    tall = np.broadcast_to(np.asarray(height, np.float32), (frames,))[:, None]  # (T, 1)
    left_hips = at["l_hip"] - at["r_hip"]
    left_shoulders = at["l_shoulder"] - at["r_shoulder"]
    up = at["thorax"] - at["pelvis"]
    ends: dict[str, tuple[Floats, Floats]] = {"neck": (at["thorax"], 0.5 * (at["nose"] + at["head_top"]))}
    for s in "lr":
        hip, knee, ankle = (at[f"{s}_{name}"] for name in ("hip", "knee", "ankle"))
        shoulder, elbow, wrist = (at[f"{s}_{name}"] for name in ("shoulder", "elbow", "wrist"))
        shin = direction(knee - ankle)
        toes = upright(shin, left_hips)[:, 1]
        ends |= {
            f"{s}_thigh": (hip, knee),
            f"{s}_shank": (knee, ankle),
            f"{s}_foot": (ankle - 0.015 * tall * shin, ankle + tall * (0.11 * toes - 0.028 * shin)),
            f"{s}_upper_arm": (shoulder, elbow),
            f"{s}_forearm": (elbow, wrist),
            f"{s}_hand": (wrist, wrist + 0.085 * tall * direction(wrist - elbow)),
        }
    shares = [NECK] + [share * build.limbs for _ in "lr" for share in LIMBS.values()]
    chest, hips = upright(up, left_shoulders), upright(up, left_hips)
    belly = upright(up, direction(left_shoulders) + direction(left_hips))
    head = upright(at["head_top"] - at["thorax"], left_shoulders)
    middle = 0.5 * (at["l_hip"] + at["r_hip"])
    centre = {
        "chest": (0.3 * at["spine"] + 0.7 * at["thorax"], chest),
        "belly": (0.35 * middle + 0.65 * at["spine"], belly),
        "hips": (0.75 * middle + 0.25 * at["spine"], hips),
        "head": (0.5 * (at["nose"] + at["head_top"]) - 0.01 * tall * head[:, 1], head),
    }
    axes = []
    for name, (width, depth, high) in TRUNK.items():
        wide, deep = build.trunk if name != "head" else (1.0, 1.0)
        axes.append((width * build.girth * wide, depth * build.girth * deep, high))
    turns = np.stack([turn for _, turn in centre.values()], 1)  # (T, E, 3, 3)
    unit = turns / (np.array(axes, np.float32)[:, :, None] * tall[..., None, None])
    return Solids(
        start=np.stack([ends[name][0] for name in CAPSULES], 1).astype(np.float32),
        end=np.stack([ends[name][1] for name in CAPSULES], 1).astype(np.float32),
        radius=(np.array(shares, np.float32) * build.girth * tall).astype(np.float32),
        centre=np.stack([place for place, _ in centre.values()], 1).astype(np.float32),
        unit=unit.astype(np.float32),
        box_centre=np.zeros((frames, 0, 3), np.float32),
        box_half=np.zeros((0, 3), np.float32),
        box_yaw=np.zeros((frames, 0), np.float32),
        owner=np.full(len(PARTS), owner, np.int16),
        part=PARTS,
    )
