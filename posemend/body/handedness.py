"""Are left and right the right way round? A test by geometry alone.

Knees bend so that the shank goes *backwards*, elbows so that the forearm goes
*forwards*. With left and right swapped, the body's forward direction (up ×
left-to-right) turns round and both statements fail. In 3D this is certain
enough to refuse data. 2D keypoints of one view do not show it (a mirrored
person seen from behind looks like a person seen from the front), except when
face joints are present.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Pose3D
from posemend.errors import HandednessError

MIN_BEND = 0.02  # metres off the straight line; below that a limb says nothing
MIN_EVIDENCE = 20.0  # weighed frames of clear bending before a verdict is given
MAX_RIGHT_SHARE = 0.25  # below this share of correct bends the pose counts as mirrored


@dataclass(frozen=True)
class Handedness:
    """Outcome of the test.

    Attributes:
        share: Share of clear knee and elbow bends that go the right way, NaN
            without evidence.
        evidence: How many clear bends were seen (joint-frames).
        verdict: ``"right"``, ``"mirrored"`` or ``"unknown"``.
    """

    share: float
    evidence: float
    verdict: str


def _bends(pose: Pose3D, trunk: NDArray[np.float64], chain: tuple[str, str, str], sign: float) -> NDArray[np.float64]:
    """Signed distance (T,) of the middle joint from the line of its neighbours, along the body's forward."""
    places = [pose.skeleton.index(name) for name in chain]
    known = (pose.score[:, places] > 0).all(1)
    upper, middle, lower = (pose.positions[:, place].astype(np.float64) for place in places)
    along = lower - upper
    length = np.maximum((along * along).sum(-1, keepdims=True), 1e-9)
    foot = upper + along * (((middle - upper) * along).sum(-1, keepdims=True) / length)
    return np.where(known, sign * ((middle - foot) * trunk).sum(-1), 0.0)


def handedness(pose: Pose3D) -> Handedness:
    """Test a 3D pose of any skeleton with hips, knees, ankles and shoulders.

    Works in every frame of reference, because only the body's own axes count;
    the frame must be right-handed (camera x right, y down, z forward; or z up).
    """
    names = set(pose.skeleton.joints)
    if not {"l_hip", "r_hip", "l_shoulder", "r_shoulder"} <= names:
        return Handedness(float("nan"), 0.0, "unknown")
    at = {name: pose.positions[:, pose.skeleton.index(name)].astype(np.float64) for name in names}
    up = at["l_shoulder"] + at["r_shoulder"] - at["l_hip"] - at["r_hip"]
    left = at["l_hip"] - at["r_hip"]
    left = left / np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 1e-9)
    shoulders = at["l_shoulder"] - at["r_shoulder"]
    # with x left and z up, forward is left x up
    forward = np.cross(left + shoulders / np.maximum(np.linalg.norm(shoulders, axis=-1, keepdims=True), 1e-9), up)
    forward = forward / np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-9)
    trunk_known = np.all(
        pose.score[:, [pose.skeleton.index(n) for n in ("l_hip", "r_hip", "l_shoulder", "r_shoulder")]] > 0, 1
    )
    forward = forward * trunk_known[:, None]

    good = bad = 0.0
    chains = []
    for side in ("l", "r"):
        # knees point forward, elbows backward; elbows roll with the upper arm, so they weigh less
        if {f"{side}_knee", f"{side}_ankle"} <= names:
            chains.append(((f"{side}_hip", f"{side}_knee", f"{side}_ankle"), 1.0, 1.0))
        if {f"{side}_elbow", f"{side}_wrist"} <= names:
            chains.append(((f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"), -1.0, 0.25))
    for chain, sign, weight in chains:
        bend = _bends(pose, forward, chain, sign)
        good += weight * float((bend > MIN_BEND).sum())
        bad += weight * float((bend < -MIN_BEND).sum())
    evidence = good + bad
    share = good / evidence if evidence else float("nan")
    if evidence < min(MIN_EVIDENCE, 0.5 * len(pose)) or evidence == 0:
        return Handedness(share, evidence, "unknown")
    verdict = "mirrored" if share < MAX_RIGHT_SHARE else "right" if share > 1 - MAX_RIGHT_SHARE else "unknown"
    return Handedness(share, evidence, verdict)


def swap_sides(pose: Pose3D) -> Pose3D:
    """The pose with left and right joints exchanged (positions stay where they are)."""
    order = list(pose.skeleton.mirror)
    return replace(
        pose,
        positions=pose.positions[:, order],
        score=pose.score[:, order],
        visible=pose.visible[:, order],
        sigma=None if pose.sigma is None else pose.sigma[:, order],
        provenance=None if pose.provenance is None else pose.provenance[:, order],
    )


def check_handedness(pose: Pose3D, repair: bool = False) -> Pose3D:
    """The pose itself, or the repaired one, or an error.

    Args:
        pose: Any 3D pose.
        repair: Exchange left and right instead of refusing.

    Raises:
        HandednessError: The pose is mirrored and ``repair`` is off.
    """
    found = handedness(pose)
    if found.verdict != "mirrored":
        return pose
    if repair:
        return swap_sides(pose)
    raise HandednessError(
        f"Left and right look swapped: only {found.share:.0%} of {found.evidence:.0f} clear knee and elbow bends go "
        f"the way a body bends, read as '{pose.skeleton.name}'. If the file is in another order name it "
        "(BlendMimic3D: --skeleton blendmimic3d_17), or repair it with --fix-handedness."
    )
