"""A made-up person: proportions, and joints from a small set of controls.

Body axes: x forward, y to the person's left, z up. Legs and arms are solved by
two-bone inverse kinematics, so bone lengths are exact and knees and elbows
bend the right way. All arrays are vectorised over time.

Controls of T frames (a dict of arrays):
    yaw (T,): heading, radians about the vertical.
    pelvis (T, 3): metres.
    tilt (T, 4): pelvis against the heading, unit quaternion wxyz.
    spine, head (T, 3): roll, pitch (forward > 0), twist against the part below, radians.
    ankle (T, 2, 3): metres; knee (T, 2, 3): direction in which the knee points. Left first.
    shrug (T, 2, 2): shoulder up and forward, radians.
    hand (T, 2, 3): wrist seen from its shoulder in chest axes, y outward, in arm lengths.
    swivel (T, 2): elbow turned outward and up, radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.kinematics import quaternion_matrix, rotate, rotate_about, turn, turns, two_bone_ik, unit

Array = NDArray[np.float64]
Controls = dict[str, Array]
SIDES = np.array([1.0, -1.0])  # left, right: sign of the outward y axis
_LEAST_HEIGHT = {  # joint centres above the floor, as shares of the stature
    "pelvis": 0.052, "hip": 0.045, "knee": 0.03, "ankle": 0.03, "spine": 0.05, "thorax": 0.045, "nose": 0.03,
    "head_top": 0.03, "shoulder": 0.035, "elbow": 0.022, "wrist": 0.018,
}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Bone lengths and joint definitions, metres. Offsets are (forward, up)."""

    height: float
    thigh: float
    shank: float
    ankle: float
    hip_half: float
    hip_drop: float
    lower_trunk: float
    upper_trunk: float
    trunk_back: float
    shoulder_half: float
    shoulder_drop: float
    upper_arm: float
    forearm: float
    nose: tuple[float, float]
    crown: tuple[float, float]

    @property
    def leg(self) -> float:
        return self.thigh + self.shank

    @property
    def arm(self) -> float:
        return self.upper_arm + self.forearm

    @property
    def trunk(self) -> float:
        return self.lower_trunk + self.upper_trunk

    @property
    def standing(self) -> float:
        """Height of the pelvis when standing relaxed."""
        return self.ankle + self.hip_drop + 0.99 * self.leg


def random_person(rng: np.random.Generator) -> Person:
    """Somebody: stature 1.48-1.98 m, limb ratios and joint definitions as they differ between data sets."""
    height = float(np.clip(rng.normal(1.72, 0.1), 1.48, 1.98))
    legs, arms, trunk = 1 + 0.035 * np.clip(rng.normal(size=3), -2, 2)
    thigh = 0.249 * legs * (1 + 0.03 * rng.normal())
    spine_share = rng.uniform(0.42, 0.52)
    trunk_length = 0.285 * trunk
    # the joint called nose lies anywhere between the skull's base and the tip of the nose
    nose = (rng.uniform(0.005, 0.06), rng.uniform(0.045, 0.085))
    crown_height = rng.uniform(0.128, 0.15)
    crown = (rng.uniform(-0.005, 0.02) - nose[0], crown_height - nose[1])
    scale = height
    return Person(
        height=height,
        thigh=thigh * scale,
        shank=0.247 * legs * (1 + 0.03 * rng.normal()) * scale,
        ankle=rng.uniform(0.042, 0.055) * scale,
        hip_half=rng.uniform(0.048, 0.079) * scale,
        hip_drop=rng.uniform(0.0, 0.022) * scale,
        lower_trunk=spine_share * trunk_length * scale,
        upper_trunk=(1 - spine_share) * trunk_length * scale,
        trunk_back=rng.uniform(0.0, 0.015) * scale,
        shoulder_half=rng.uniform(0.084, 0.113) * scale,
        shoulder_drop=rng.uniform(-0.005, 0.025) * scale,
        upper_arm=0.16 * arms * (1 + 0.03 * rng.normal()) * scale,
        forearm=0.143 * arms * (1 + 0.04 * rng.normal()) * scale,
        nose=(nose[0] * scale, nose[1] * scale),
        crown=(crown[0] * scale, crown[1] * scale),
    )


@dataclass(frozen=True)
class Trunk:
    """Where everything but the arms is; rotations are body part to world."""

    joints: dict[str, Array]
    pelvis: Array
    chest: Array
    neck: Array


def trunk(person: Person, c: Controls, fps: float) -> Trunk:
    """Pelvis, legs, spine, head and shoulders of the controls."""
    heading = turn("z", c["yaw"])
    base = heading @ quaternion_matrix(c["tilt"])
    loin = base @ turns(c["spine"] * 0.45)
    chest = loin @ turns(c["spine"] * 0.55)
    neck = chest @ turns(c["head"] * 0.4)
    skull = neck @ turns(c["head"] * 0.6)
    pelvis = c["pelvis"]
    at = {"pelvis": pelvis}
    at["spine"] = pelvis + rotate(loin, (-person.trunk_back, 0, person.lower_trunk))
    at["thorax"] = at["spine"] + rotate(chest, (person.trunk_back, 0, person.upper_trunk))
    at["nose"] = at["thorax"] + rotate(neck, (person.nose[0], 0, person.nose[1]))
    at["head_top"] = at["nose"] + rotate(skull, (person.crown[0], 0, person.crown[1]))
    at["skull"] = at["thorax"] + rotate(neck, (0.012 * person.height, 0, 0.078 * person.height))
    for side, (letter, sign) in enumerate(zip("lr", SIDES, strict=True)):
        hip = pelvis + rotate(base, (0, sign * person.hip_half, -person.hip_drop))
        outer = rotate(base, (0, sign, 0))
        knee, ankle = _limb(person, "knee", (hip, c["ankle"][:, side]), (c["knee"][:, side], outer), fps)
        at[f"{letter}_hip"], at[f"{letter}_knee"], at[f"{letter}_ankle"] = hip, knee, ankle
        up, front = c["shrug"][:, side, 0], c["shrug"][:, side, 1]
        collar = turn("x", sign * up) @ turn("z", -sign * front)
        at[f"{letter}_shoulder"] = at["thorax"] + rotate(
            chest @ collar, (0, sign * person.shoulder_half, -person.shoulder_drop)
        )
    return Trunk(at, base, chest, neck)


def _elbow_pole(direction: Array) -> Array:
    """Where an elbow points for a wrist in this direction (chest axes, y outward): back, out and down."""
    pole = np.array([-0.42, 0.45, -0.79])
    along = direction @ pole
    # where the hand lies along the pole itself (to the face, or far back) the rule degenerates, so turn it away
    face, far = np.maximum(-along - 0.55, 0), np.maximum(along - 0.6, 0)
    return pole + face[..., None] * np.array([0.0, 2.2, 0.0]) + far[..., None] * np.array([-1.5, 0.3, 0.8])


def smooth(values: Array, seconds: float, fps: float) -> Array:
    """Values (T, ...) averaged over a bell of this width; no longer than the input, ends held."""
    half = round(seconds * fps / 2)
    if half < 1:
        return values
    kernel = np.hanning(2 * half + 3)[1:-1]
    flat = np.pad(values.reshape(len(values), -1), ((half, half), (0, 0)), mode="edge")
    columns = [np.convolve(column, kernel / kernel.sum(), mode="valid") for column in flat.T]
    return np.stack(columns, -1).reshape(values.shape)


def _across(vectors: Array, line: Array) -> Array:
    return unit(vectors - (vectors * line).sum(-1, keepdims=True) * line)


def _limb(
    person: Person, joint: str, ends: tuple[Array, Array], ways: tuple[Array, Array], fps: float
) -> tuple[Array, Array]:
    """Two-bone IK whose joints stay above the floor where they can, and whose middle joint never snaps round.

    Args:
        person: Whose limb.
        joint: ``"knee"`` or ``"elbow"``.
        ends: (T, 3) hip or shoulder, and wanted ankle or wrist.
        ways: (T, 3) where the middle joint points, and the body's outward direction.
        fps: Frames per second.
    """
    start, target = ends[0], ends[1].copy()
    bones, folded, softness = {
        "knee": ((person.thigh, person.shank), 0.27, 0.012),
        "elbow": ((person.upper_arm, person.forearm), 0.3, 0.03),
    }[joint]
    end = {"knee": "ankle", "elbow": "wrist"}[joint]
    target[:, 2] = np.maximum(target[:, 2], _LEAST_HEIGHT[end] * person.height)
    line = unit(target - start)
    across = _across(ways[0], line)
    middle, _ = two_bone_ik(start, target, across, *bones, folded=folded, softness=softness)
    low = np.clip((_LEAST_HEIGHT[joint] * person.height - middle[:, 2]) / 0.1, 0, 1)[:, None]
    level = across * np.array([1.0, 1.0, 0.0]) + 0.6 * ways[1] + np.array([0.0, 0.0, 0.3])
    across = _across(across * (1 - low) + level * low, line)
    calm = smooth(across, 0.3, fps)
    # where the bulge turns right round, its mean passes zero and would snap: lead it round the side instead
    size = np.linalg.norm(calm, axis=-1, keepdims=True)
    aside = np.cross(line, unit(np.gradient(calm, axis=0))) if len(calm) > 1 else 0.0
    pole = calm + np.maximum(0.5 - size, 0) * aside
    return two_bone_ik(start, target, pole, *bones, folded=folded, softness=softness)


def wrist_clear_of_trunk(hand: Array, person: Person) -> Array:
    """Wrists (T, 3) from the shoulder, chest axes, y outward, arm lengths, pushed out of the trunk."""
    out = hand.copy()
    x = hand[:, 0] * person.arm / (0.085 * person.height)
    y = (hand[:, 1] * person.arm + person.shoulder_half) / (0.105 * person.height)
    inside = np.sqrt(x**2 + y**2)
    low = np.clip((0.1 - hand[:, 2]) / 0.15, 0, 1)  # above the shoulder there is no trunk
    push = 1 + low * (1 / np.clip(inside, 0.25, 1) - 1)
    out[:, 0] = hand[:, 0] * push
    out[:, 1] = (hand[:, 1] + person.shoulder_half / person.arm) * push - person.shoulder_half / person.arm
    return out


def joints(person: Person, c: Controls, fps: float) -> Array:
    """Positions (T, 17, 3) in metres, Human3.6M order, of the controls.

    The whole body is lifted, smoothly, where a joint would be below the floor
    (z = 0).
    """
    body = trunk(person, c, fps)
    at = body.joints
    for side, (letter, sign) in enumerate(zip("lr", SIDES, strict=True)):
        hand = smooth(wrist_clear_of_trunk(c["hand"][:, side], person), 0.24, fps)
        distance = np.linalg.norm(hand, axis=-1, keepdims=True)
        direction = hand / np.maximum(distance, 1e-6)
        pole = rotate_about(_elbow_pole(direction), direction, -c["swivel"][:, side])
        outward = np.array([1.0, sign, 1.0])
        shoulder = at[f"{letter}_shoulder"]
        target = shoulder + rotate(body.chest, hand * outward * person.arm)
        ways = rotate(body.chest, pole * outward), rotate(body.chest, (0, sign, 0))
        elbow, wrist = _limb(person, "elbow", (shoulder, target), ways, fps)
        at[f"{letter}_elbow"], at[f"{letter}_wrist"] = elbow, wrist
    out = np.stack([at[name] for name in H36M_17.joints], 1)
    out[..., 2] += _lift(person, out, fps)[:, None]
    return out


def _lift(person: Person, positions: Array, fps: float) -> Array:
    least = np.array([_LEAST_HEIGHT[name.removeprefix("l_").removeprefix("r_")] for name in H36M_17.joints])
    below = np.maximum((least * person.height - positions[..., 2]).max(1), 0)
    reach = max(1, round(0.12 * fps))
    padded = np.pad(below, 2 * reach, mode="edge")
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(-1)
    kernel = np.hanning(2 * reach + 3)[1:-1]
    return np.convolve(highest, kernel / kernel.sum(), mode="valid")


def hand_target(person: Person, body: Trunk, c: Controls, side: int, space: str, point: ArrayLike) -> Array:
    """A place to put a wrist, as ``hand`` control (T, 3).

    Args:
        person: Whose arm.
        body: From ``trunk``.
        c: The controls that made it.
        side: 0 left, 1 right.
        space: ``"chest"`` (from the shoulder, arm lengths), ``"head"`` (from
            the middle of the skull, for a stature of 1 m), ``"thigh"`` (share
            of the thigh from the hip, then outward and off its top side, m/m),
            ``"other thigh"``, or ``"world"`` (metres).
        point: (3,) or (T, 3) place in that space, y outward.
    """
    frames = len(c["yaw"])
    point = np.broadcast_to(np.asarray(point, np.float64), (frames, 3))
    if space == "chest":
        return point.copy()
    outward = np.array([1.0, SIDES[side], 1.0])
    at = body.joints
    if space == "world":
        world = point
    elif space == "head":
        world = at["skull"] + rotate(body.neck, point * outward * person.height)
    else:
        letter = "lr"[side if space == "thigh" else 1 - side]
        bone = at[f"{letter}_knee"] - at[f"{letter}_hip"]
        top = c["knee"][:, "lr".index(letter)]
        along = unit(bone)
        top = unit(top - (top * along).sum(-1, keepdims=True) * along)
        outer = rotate(body.pelvis, (0, SIDES["lr".index(letter)], 0))
        world = at[f"{letter}_hip"] + bone * point[:, :1] + (outer * point[:, 1:2] + top * point[:, 2:]) * person.height
    seen = np.einsum("tji,tj->ti", body.chest, world - at[f"{'lr'[side]}_shoulder"])
    return seen * outward / person.arm
