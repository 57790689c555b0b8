"""Keypoints and depth maps to metric 3D: RefiNet's chain in one call, and what it lacked, in ONNX Runtime.

    keypoints ─▶ A: depth round each joint moves it ─▶ lift by depth ─▶ B: the body ─▶ C: points round each joint
                                                                                              │
    keypoints ─▶ lifter and refiner over time, laid on the depth pose ─▶ weighted by certainty ─▶ D: time ─▶ 3D

The depth at a hidden joint belongs to what is in front of it. Module A says
which joints look hidden, and a lifted joint that contradicts the body (module
B) is found out too; neither is lifted by depth. Then the body, the temporal
lifter and refiner, and the joint's own past and future say where it is, each
with an expected error. Keypoints, depth or single frames of it may be missing;
the expected error of the result says so.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17, ITOP_15
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D, Pose3D
from posemend.body.skeleton import Skeleton
from posemend.contract import depth as contract
from posemend.contract.depth_time import TIME_FPS, Held, faults, time_input
from posemend.errors import InputError
from posemend.geometry.camera import Camera
from posemend.geometry.depth import DepthClip, project
from posemend.runtime import fusion, unmasking
from posemend.runtime.apply import belief, lift_with_view, refine, refine_lifted
from posemend.runtime.depth_chain import (
    AT_ONCE,
    DOUBTED,
    SEEN_DOUBT,
    Stages,
    again,
    aligned,
    by_clouds,
    doubting_body,
    lifted_raw,
    stages,
)
from posemend.runtime.fusion import UNKNOWN
from posemend.runtime.riders import carry
from posemend.runtime.session import model
from posemend.runtime.straying import astray, unswapped

__all__ = [
    "DOUBTED", "UNKNOWN", "Stages", "aligned", "gathered", "judged", "lifted_raw", "refine_body", "refine_depth",
    "stages",
]  # fmt: skip

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

UNTOLD = 0.25  # doubt where nobody says whether a joint is hidden
OTHERS = (0.08, 0.15)  # metres another lifter errs, visible and hidden joints, if it does not say
ROUNDS = 2  # how often depth and the lifter's pose are held against each other
GUESSED = 2.0  # times farther off than it says is the body's guess at a joint that is surely hidden
# expected errors, regressed on the errors of 84 made-up development clips with and without late maps and wrong lenses
OWN_SHARE = 0.77  # of what module D says of a joint that is seen
LAG_FRAMES, LAG_CLEAN = 20.0, 0.01  # module A follows late maps by a twentieth; this much happens without
LAG_SHARE = 0.33
LENS_USUAL = np.array([0, 0, 0.06, 0, 0], np.float32)  # lifted poses are a little flat
LENS_SHARE = 0.22
SURE = 0.03  # metres, least expected error of another estimator
ASTRAY = 0.95  # doubt about a joint that jumps there and back
BEFORE = 0.3  # metres; what is so much nearer than a joint is not its own body's surface
# m/s², how fast joints change their way
_SPEEDS = {"wrist": 14.0, "elbow": 8.0, "ankle": 10.0, "knee": 7.0, "head": 5.0}
ACCELERATION = np.array([_SPEEDS.get(name.split("_")[-1], 4.0) for name in ITOP_15.joints], np.float32)


def refine_depth(
    depth: DepthClip | None,
    keypoints: Pose2D | None = None,
    pose3d: Pose3D | None = None,
    bundle: str | Path = "default",
    colour: Camera | None = None,
) -> Pose3D:
    """One estimate from depth, keypoints, another lifter's pose and time.

    Args:
        depth: Maps of the same frames; ``None`` goes without.
        keypoints: 2D of any known skeleton, in the pixels of the maps, or of ``colour``.
        pose3d: Another lifter's pose instead of posemend's own opinion; with ``depth`` alone it wants camera axes.
        bundle: ``"default"``, ``"research"`` or a folder; the depth networks come with the ``depth`` set.
        colour: The camera that keypoints are of, with its pose in the depth camera's axes, where maps were not
            registered to its picture.

    Returns:
        The pose in camera axes (the colour camera's where one is given) with the camera at the origin, metres, on
        the keypoints' skeleton (without keypoints the pose's), with the pelvis in ``root``, expected errors in
        ``sigma`` and where joints come from in ``provenance``. Without depth it is what ``run`` gives.

    Raises:
        InputError: Nothing to go by, lengths differ, or keypoints and maps are of different pictures.
        BundleError: A model cannot be loaded.
    """
    if keypoints is None and pose3d is None:
        raise InputError("Depth alone does not say where joints are. Give keypoints, or a 3D pose to refine.")
    for one in (keypoints, pose3d):
        if one is not None and depth is not None and len(one) != len(depth):
            raise InputError(
                f"There are {len(depth)} depth maps and {len(one)} frames of the pose. Both must be of the same clip, "
                "frame by frame."
            )
    if depth is None:
        return _without_depth(keypoints, pose3d, bundle)
    if keypoints is None:
        assert pose3d is not None
        return _of_pose(depth, pose3d, bundle)
    keypoints, depth = aligned(keypoints, depth, colour)
    known, opinion = gathered(depth, keypoints, pose3d, bundle)
    positions, sigma = judged(known, bundle)
    visible = (known.doubt <= DOUBTED) & known.found
    final = _pose(positions, sigma, visible, keypoints.fps, keypoints.name)
    return _on_skeleton(final, keypoints.skeleton, opinion)


def gathered(
    depth: DepthClip, keypoints: Pose2D, pose3d: Pose3D | None = None, bundle: str | Path = "default"
) -> tuple[Held, Pose3D | None]:
    """All that is known of each joint before the last network judges it, and the lifter's pose if there is one.

    Args:
        depth, keypoints: Of one picture, see ``aligned``.
        pose3d, bundle: As for ``refine_depth``.

    Raises:
        InputError: No joint of the keypoints is one of ITOP's.
        BundleError: A model cannot be loaded.
    """
    right, swapped = unswapped(keypoints.positions, keypoints.score > 0, keypoints.skeleton)
    score = np.where(swapped, keypoints.score[:, list(keypoints.skeleton.mirror)], keypoints.score)
    keypoints = replace(keypoints, positions=right, score=score)
    found = stages(depth, keypoints, bundle)
    opinion = _opinion(keypoints, pose3d, bundle, depth.camera)
    if opinion is None:
        laid, there = found.cloud, np.full(found.doubt.shape, UNKNOWN, np.float32)
        positions, sigma = found.cloud, found.cloud_sigma
    else:
        found, laid, there = _with_opinion(depth, found, opinion, bundle)
        # the body alone guesses at hidden joints, from one frame; the lifter has seen the others
        unsure = np.minimum(found.cloud_sigma * (1 + GUESSED * found.doubt), UNKNOWN)
        positions, sigma = fusion.combine(found.cloud, unsure, laid, there)
    positions, sigma = fusion.smooth(positions, sigma, depth.fps, ACCELERATION)
    body = to_skeleton(keypoints, ITOP_15)
    step = contract.reference_step(depth.camera)
    certain = (1 - found.doubt) * found.patched_found * (found.cloud_sigma < fusion.NEAR_ENOUGH)
    told = faults(
        body.positions / step, found.pixels / step, found.cloud, laid, certain,
        None if opinion is None else opinion.root,
    )  # fmt: skip
    known = Held(
        positions, sigma, found.cloud, found.cloud_sigma, laid, there, found.patched, found.patched_found,
        contract.keypoint_rays(found.pixels, found.there, depth.camera), body.score, found.doubt, told, depth.fps,
    )  # fmt: skip
    return known, opinion


def judged(known: Held, bundle: str | Path = "default") -> tuple[Floats, Floats]:
    """The last network: positions (T, 15, 3) and expected errors (T, 15), metres; clips far above 30 fps in parts."""
    evidence, told = time_input(known)
    parts = max(1, round(known.fps / TIME_FPS))
    offset, log_error = np.empty_like(known.estimate), np.empty_like(known.sigma)
    network = model(bundle, "depth-time")
    for part in range(min(parts, len(evidence))):
        found = network.answer(evidence=evidence[None, part::parts], faults=told[None, part::parts])
        offset[part::parts], log_error[part::parts] = found[0][0], found[1][0]
    blank = known.sigma >= UNKNOWN
    sigma = np.where(blank, UNKNOWN, np.minimum(np.exp(log_error), UNKNOWN)).astype(np.float32)
    positions = known.estimate + np.where(blank[..., None], 0, offset)
    positions, _ = fusion.smooth(positions, sigma, known.fps, ACCELERATION)
    return positions, np.minimum(expected(known, positions, sigma), UNKNOWN).astype(np.float32)


def expected(known: Held, positions: Floats, sigma: Floats) -> Floats:
    """Expected errors (T, 15), where late maps and a wrong lens count by what they do to a joint.

    Maps that lag put a joint off by what it moves meanwhile; a wrong focal length by
    a share of how far it is from the middle of the picture. The network learned
    from films of which most have a fault, so what it says is too much without.
    """
    lag = LAG_FRAMES * max(abs(float(known.faults[0])) - LAG_CLEAN, 0)
    way = np.linalg.norm(np.gradient(positions, axis=0), axis=-1) if len(positions) > 1 else np.zeros_like(sigma)
    lens = abs(float((known.faults - LENS_USUAL)[[2, 4]].mean()))
    aside = np.linalg.norm(positions[..., :2], axis=-1)
    return sigma * (OWN_SHARE + (1 - OWN_SHARE) * known.doubt) + LAG_SHARE * lag * way + LENS_SHARE * lens * aside


def _with_opinion(
    depth: DepthClip, found: Stages, opinion: Pose3D, bundle: str | Path
) -> tuple[Stages, Floats, Floats]:
    """The chain's answer and the lifter's, each helping the other: steps of the chain, the laid pose, expected errors.

    The lifter's pose, laid on the joints that depth knows, says where each
    joint should be met; depth that shows something nearer shows something else
    (``unmasking``). So fewer joints are believed, and the pose is laid better.
    """
    ours = to_skeleton(opinion, ITOP_15)
    s = np.full(found.doubt.shape, UNKNOWN, np.float32) if ours.sigma is None else ours.sigma
    s = np.where(ours.score > 0, s, UNKNOWN)
    said = found.doubt
    for left in reversed(range(ROUNDS + 1)):
        believed = np.where(found.doubt > DOUBTED, UNKNOWN, found.cloud_sigma)
        laid, there = fusion.place(ours.positions, s, found.cloud, believed, depth.fps, opinion.root)
        if left:
            doubt = unmasking.doubt(said, found.patched, found.patched_found, laid, there, DOUBTED)
            found = again(depth, found, doubt, bundle)
    return found, laid, there


def _opinion(keypoints: Pose2D, pose3d: Pose3D | None, bundle: str | Path, camera: Camera) -> Pose3D | None:
    """What time and the picture say: the lifter and the refiner, or the given pose refined; ``None`` if they cannot."""
    if pose3d is not None:
        root = pose3d.root_relative() if pose3d.frame != "world" else pose3d
        return refine(root, keypoints if pose3d.frame != "world" else None, bundle=bundle)
    try:
        return refine_lifted(lift_with_view(keypoints, bundle))
    except InputError:
        return None


def _without_depth(keypoints: Pose2D | None, pose3d: Pose3D | None, bundle: str | Path) -> Pose3D:
    if pose3d is not None:
        return refine(pose3d, keypoints, bundle=bundle)
    assert keypoints is not None
    return refine_lifted(lift_with_view(keypoints, bundle))


def _of_pose(depth: DepthClip, pose3d: Pose3D, bundle: str | Path) -> Pose3D:
    """A pose and depth, without keypoints: the pose's own projections, and clouds round its joints."""
    if pose3d.frame == "camera":
        absolute = pose3d.positions
    elif pose3d.frame == "root" and pose3d.root is not None:
        absolute = pose3d.positions + pose3d.root[:, None]
    else:
        raise InputError(
            "To refine a pose by depth it must say where it is: camera axes with the camera at the origin, or "
            "root-relative with the pelvis' place. Give keypoints instead."
        )
    body = to_skeleton(replace(pose3d, positions=absolute, frame="camera"), ITOP_15)
    there = body.score > 0
    own = np.where(body.visible, *OTHERS) if body.sigma is None else body.sigma
    own = np.where(there, own, UNKNOWN).astype(np.float32)
    parts = []
    for first in range(0, len(depth), AT_ONCE):
        rows = slice(first, min(first + AT_ONCE, len(depth)))
        maps, given = depth.metres(rows), body.positions[rows]
        whole, sigma = doubting_body(given, there[rows], _untold(body.visible[rows]), bundle)
        whole, sigma = fusion.combine(given, own[rows], whole, sigma)
        # something clearly before the joint hides it: the points there are not the joint's
        surface, found = contract.lift_fine(maps, project(whole, depth.camera), depth.camera)
        doubt = np.where(body.visible[rows], UNTOLD, 0.9)
        doubt[found & (surface[..., 2] < whole[..., 2] - BEFORE)] = 0.95
        cloud, cloud_sigma = by_clouds(maps, whole, doubt.astype(np.float32), depth.camera, bundle)
        covered = doubt > DOUBTED
        cloud = np.where(covered[..., None], whole, cloud)
        parts.append((cloud, np.where(covered, sigma, np.maximum(cloud_sigma, SEEN_DOUBT * sigma)), doubt))
    cloud, sigma, doubt = (np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True))
    positions, sigma = fusion.smooth(cloud, sigma, depth.fps, ACCELERATION)
    final = _pose(positions, sigma, doubt <= DOUBTED, pose3d.fps, pose3d.name)
    return _on_skeleton(final, pose3d.skeleton, replace(pose3d, positions=absolute, frame="camera"))


def refine_body(pose3d: Pose3D, bundle: str | Path = "depth") -> Pose3D:
    """Module B and time as a refiner of somebody else's 3D, without depth or keypoints.

    Args:
        pose3d: Any skeleton with most of ITOP's joints, any frame of reference, metres.
        bundle: Where the ``depth-body`` network is.

    Returns:
        The pose on the same skeleton, in the same frame of reference, with expected errors.

    Raises:
        InputError: No joint is known, or positions are not metres.
        BundleError: The model cannot be loaded.
    """
    upright = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)  # z-up world axes to camera axes (y down)
    turned = pose3d if pose3d.frame != "world" else replace(pose3d, positions=pose3d.positions @ upright.T)
    body = to_skeleton(turned, ITOP_15)
    there = body.score > 0
    if not there.any():
        raise InputError("There is nothing to refine: every joint has score 0.")
    size = float(
        np.median(np.linalg.norm(body.positions - contract.middle(body.positions, there)[0][:, None], axis=-1))
    )
    if not 0.02 < size < 5:
        raise InputError(f"Joints are {size:.3g} m from the middle of the body; that is no body in metres.")
    mended, _ = unswapped(body.positions, there, ITOP_15)
    lost = astray(mended, there, ITOP_15, pose3d.fps)
    positions, sigma = doubting_body(mended, there, np.where(lost, ASTRAY, _untold(body.visible)), bundle)
    # how good an estimator is nobody says; how far the body moves its joints does
    believed = there & ~lost
    off = np.linalg.norm(mended - positions, axis=-1)[believed]
    own = np.where(believed, max(SURE, float(np.median(off)) if len(off) else SURE), UNKNOWN).astype(np.float32)
    positions, sigma = fusion.combine(positions, sigma, mended, own)
    sigma = np.where(there.any(1, keepdims=True), sigma, UNKNOWN).astype(np.float32)
    positions, sigma = fusion.smooth(positions, sigma, pose3d.fps, ACCELERATION)
    final = _pose(positions, sigma, body.visible, pose3d.fps, pose3d.name)
    done = _on_skeleton(final, pose3d.skeleton, replace(turned, frame="camera"))
    moved = done.positions if pose3d.frame != "world" else done.positions @ upright
    return replace(pose3d, positions=moved, score=done.score, sigma=done.sigma, provenance=done.provenance, radii=None)


def _untold(visible: Bools) -> Floats:
    """Doubt about positions that do not come from depth: a guess at a hidden joint is worth something."""
    return np.where(visible, UNTOLD, 0.6).astype(np.float32)


def _pose(positions: Floats, sigma: Floats, visible: Bools, fps: float, name: str) -> Pose3D:
    root = positions[:, list(ITOP_15.root_indices)].mean(1)
    # nothing here stays exactly where it was measured: a joint is repaired, or inferred as nothing was seen of it
    origin = np.where(visible, 1, 2).astype(np.uint8)
    return Pose3D(positions, ITOP_15, belief(sigma), visible, fps, "camera", root, sigma, name, origin)


def _on_skeleton(final: Pose3D, target: Skeleton, other: Pose3D | None) -> Pose3D:
    """The 15 joints on another skeleton: joints of one name exactly, others moved as their neighbours are."""
    if target == ITOP_15 or other is None:
        return final
    h36m = to_skeleton(final, H36M_17)
    theirs = to_skeleton(other, H36M_17)
    assert final.sigma is not None and h36m.sigma is not None
    assert final.provenance is not None and h36m.provenance is not None
    root = h36m.positions[:, :1]
    relative = theirs.positions - theirs.positions[:, :1]
    known = (theirs.score > 0)[..., None] & (theirs.score[:, :1] > 0)[..., None]
    # joints that the other pose lacks say nothing of how its neighbours moved
    change = np.where(known, h36m.positions - root - relative, 0)
    moved, sigma = carry(change, h36m.sigma, target)
    positions = other.positions - theirs.positions[:, :1] + moved + root
    visible = other.visible.copy()
    origin = np.where(visible, 1, 2).astype(np.uint8)
    for place, name in enumerate(target.joints):
        if name in ITOP_15.joints:
            own = ITOP_15.index(name)
            positions[:, place], sigma[:, place] = final.positions[:, own], final.sigma[:, own]
            visible[:, place], origin[:, place] = final.visible[:, own], final.provenance[:, own]
    return Pose3D(
        positions, target, belief(sigma), visible, final.fps, "camera", final.root, sigma, final.name, origin
    )  # fmt: skip
