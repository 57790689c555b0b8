"""Keypoints and depth maps to metric 3D: RefiNet's chain in one call, and what it lacked, in ONNX Runtime.

    keypoints ─▶ A: depth round each joint moves it ─▶ lift by depth ─▶ B: the body ─▶ C: points round each joint
                                                                                              │
    keypoints ─▶ lifter and refiner over time, laid on the depth pose ─▶ weighted by certainty ─▶ time ─▶ 3D

The depth at a hidden joint belongs to what is in front of it. Module A says
which joints look hidden, and a lifted joint that contradicts the body (module
B) is found out too; neither is lifted by depth. Then the body, the temporal
lifter and refiner, and the joint's own past and future say where it is, each
with an expected error. Keypoints, depth or single frames of it may be missing;
the expected error of the result says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17, ITOP_15
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D, Pose3D
from posemend.body.skeleton import Skeleton
from posemend.contract import depth as contract
from posemend.contract.codec import SEEN
from posemend.errors import InputError
from posemend.geometry.camera import Camera
from posemend.geometry.depth import DepthClip, project, register, scaled, unproject
from posemend.runtime import fusion
from posemend.runtime.apply import belief, lift_with_view, refine, refine_lifted
from posemend.runtime.fusion import UNKNOWN
from posemend.runtime.riders import carry
from posemend.runtime.session import model

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

AT_ONCE = 32  # frames: maps, cut-outs and clouds of so many lie in memory
DOUBTED = 0.5  # a joint more surely hidden than this is not lifted by depth
AGAINST_THE_BODY = 0.12  # metres that depth may contradict the body, beside its own expected error
SEEN_DOUBT = 0.6  # of the body's expected error; the cloud's is at least that
UNTOLD = 0.25  # doubt where nobody says whether a joint is hidden
# m/s², how fast joints change their way
_SPEEDS = {"wrist": 14.0, "elbow": 8.0, "ankle": 10.0, "knee": 7.0, "head": 5.0}
ACCELERATION = np.array([_SPEEDS.get(name.split("_")[-1], 4.0) for name in ITOP_15.joints], np.float32)


@dataclass(frozen=True)
class Stages:
    """A clip on ITOP's 15 joints after each step; positions (T, 15, 3) in camera axes, metres.

    Attributes:
        raw: Lifted by RefiNet's window at the given keypoints; 0 where ``raw_found`` is false.
        raw_found: (T, 15).
        pixels: (T, 15, 2) keypoints after module A.
        patched: Lifted there; 0 where ``patched_found`` is false.
        patched_found: (T, 15).
        doubt: (T, 15) how surely a joint is hidden.
        body, body_sigma: After module B.
        cloud, cloud_sigma: After module C.
    """

    raw: Floats
    raw_found: Bools
    pixels: Floats
    patched: Floats
    patched_found: Bools
    doubt: Floats
    body: Floats
    body_sigma: Floats
    cloud: Floats
    cloud_sigma: Floats


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
        The pose in camera axes with the camera at the origin, metres, on the keypoints' skeleton (without
        keypoints the pose's), with the pelvis in ``root`` and expected errors in ``sigma``. Without depth it
        is what ``run`` gives.

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
    found = stages(depth, keypoints, bundle)
    opinion = _opinion(keypoints, pose3d, bundle, depth.camera)
    positions, sigma = found.cloud, found.cloud_sigma
    if opinion is not None:
        ours = to_skeleton(opinion, ITOP_15)
        s = np.full(sigma.shape, UNKNOWN, np.float32) if ours.sigma is None else ours.sigma
        s = np.where(ours.score > 0, s, UNKNOWN)
        laid, s = fusion.place(ours.positions, s, positions, np.where(found.doubt > DOUBTED, UNKNOWN, sigma), depth.fps)
        positions, sigma = fusion.combine(positions, sigma, laid, s)
    positions, sigma = fusion.smooth(positions, sigma, depth.fps, ACCELERATION)
    visible = (found.doubt <= DOUBTED) & found.patched_found
    final = _pose(positions, sigma, visible, keypoints.fps, keypoints.name)
    return _on_skeleton(final, keypoints.skeleton, opinion)


def stages(depth: DepthClip, keypoints: Pose2D, bundle: str | Path = "depth") -> Stages:
    """Every step of the chain but the last: no time, no opinion of the lifter.

    Raises:
        InputError: No joint of the keypoints is one of ITOP's.
        BundleError: A model cannot be loaded.
    """
    body = to_skeleton(keypoints, ITOP_15)
    if not (body.score > 0).any():
        raise InputError("There is nothing to lift: no body joint was detected in any frame (all scores are 0).")
    score = np.where(body.visible, body.score, body.score * 0.3).astype(np.float32)
    parts = []
    for first in range(0, len(depth), AT_ONCE):
        rows = slice(first, min(first + AT_ONCE, len(depth)))
        parts.append(_chain(depth.metres(rows), body.positions[rows], score[rows], depth.camera, bundle))
    return Stages(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _chain(maps: Floats, pixels: Floats, score: Floats, camera: Camera, bundle: str | Path) -> tuple[NDArray, ...]:
    there = score > 0
    raw, raw_found = contract.lift_raw(maps, pixels, camera)
    raw_found = raw_found & there
    step = contract.reference_step(camera)
    patches, layout = contract.patch_input(maps, pixels, score, camera)
    offset, log_error, hidden = _run(bundle, "depth-patch", patches=patches, layout=layout)
    moved = pixels + believed(offset, np.exp(log_error)) * step * there[..., None]
    doubt = 1 / (1 + np.exp(-hidden))
    lifted, found = contract.lift_fine(maps, moved, camera)
    found = found & there
    body, sigma = _body(lifted, found, doubt, bundle)
    # what is lifted far off the body belongs to something else, whatever the cut-out looked like
    off = np.linalg.norm(lifted - body, axis=-1) > AGAINST_THE_BODY + 2 * sigma
    doubt = np.where(found & off, np.maximum(doubt, 0.95), doubt).astype(np.float32)
    body, sigma = _body(lifted, found, doubt, bundle)
    # a joint that is seen but has no depth lies on its ray, at the depth that the body says
    on_ray = there & ~found & (score > SEEN) & (body[..., 2] > 0.1)
    onto = unproject(np.where(there[..., None], moved, 0), body[..., 2], camera)
    body = np.where(on_ray[..., None], 0.5 * (body + onto), body)
    some = found.any(1)
    cloud, cloud_sigma = _clouds(maps, body, doubt, camera, bundle)
    sigma, cloud_sigma = (np.where(some[:, None], x, UNKNOWN).astype(np.float32) for x in (sigma, cloud_sigma))
    # a cloud round a joint that is far off shows something else: the body's own doubt stays, in part where it is seen
    cloud_sigma = np.maximum(cloud_sigma, np.where(doubt > DOUBTED, sigma, SEEN_DOUBT * sigma)).astype(np.float32)
    return raw, raw_found, moved.astype(np.float32), lifted, found, doubt, body, sigma, cloud, cloud_sigma


def _run(bundle: str | Path, task: str, **inputs: Floats) -> list[Floats]:
    return model(bundle, task).answer(**inputs)


def believed(offset: Floats, expected: Floats) -> Floats:
    """How much of module A's offsets (..., 2) is applied: half of one that is no larger than its own expected error.

    The keypoint is an estimate as well, and of what quality nobody says: cut-out
    and keypoint are averaged, unless the offset is much larger than what the
    cut-out may be wrong by.
    """
    size = np.linalg.norm(offset, axis=-1) ** 2
    return offset * np.maximum(0.5, size / (size + expected**2))[..., None]


def _body(lifted: Floats, given: Bools, doubt: Floats, bundle: str | Path) -> tuple[Floats, Floats]:
    features, centre = contract.body_input(lifted, given, doubt)
    positions, log_error = _run(bundle, "depth-body", body=features, middle=centre)
    return positions + centre[:, None], np.exp(log_error)


def _clouds(maps: Floats, body: Floats, doubt: Floats, camera: Camera, bundle: str | Path) -> tuple[Floats, Floats]:
    points, mask, context = contract.cloud_input(maps, body, doubt, camera)
    offset, log_error = _run(bundle, "depth-cloud", points=points, mask=mask, context=context)
    return body + offset, np.exp(log_error)


def aligned(keypoints: Pose2D, depth: DepthClip, colour: Camera | None) -> tuple[Pose2D, DepthClip]:
    """Keypoints and maps in one picture: maps are registered to the colour camera where one is given.

    Raises:
        InputError: They are of different pictures and nothing says how these lie.
    """
    camera = depth.camera
    if colour is not None:
        factor = min(1.0, camera.width / colour.width)
        target = scaled(colour, factor)
        maps = np.empty((len(depth), target.height, target.width), np.float16)
        for frame in range(len(depth)):
            maps[frame] = register(depth.metres(slice(frame, frame + 1))[0], camera, target)
        flat = replace(target, rotation=np.eye(3), translation=np.zeros(3))
        by = np.array([target.width / colour.width, target.height / colour.height], np.float32)
        small = replace(
            keypoints, positions=keypoints.positions * by, width=target.width, height=target.height, camera=flat
        )
        return small, DepthClip(maps, flat, 1.0, depth.fps)
    size = (keypoints.width, keypoints.height)
    if None not in size and size != (camera.width, camera.height):
        raise InputError(
            f"The keypoints are of a picture of {size[0]}x{size[1]} pixels and the depth maps are "
            f"{camera.width}x{camera.height}. Register the maps to that picture, or give intrinsics with both cameras "
            "(a 'color' part and 'extrinsics')."
        )
    level = replace(camera, rotation=np.eye(3), translation=np.zeros(3))
    return replace(keypoints, width=camera.width, height=camera.height, camera=level), replace(depth, camera=level)


def _opinion(keypoints: Pose2D, pose3d: Pose3D | None, bundle: str | Path, camera: Camera) -> Pose3D | None:
    """What time and the picture say: the lifter and the refiner, or the given pose refined; ``None`` if they cannot."""
    if pose3d is not None:
        root = pose3d.root_relative() if pose3d.frame != "world" else pose3d
        return refine(root, keypoints if pose3d.frame != "world" else None, bundle=bundle)
    try:
        return refine_lifted(lift_with_view(keypoints, bundle), bundle)
    except InputError:
        return None


def _without_depth(keypoints: Pose2D | None, pose3d: Pose3D | None, bundle: str | Path) -> Pose3D:
    if pose3d is not None:
        return refine(pose3d, keypoints, bundle=bundle)
    assert keypoints is not None
    return refine_lifted(lift_with_view(keypoints, bundle), bundle)


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
    parts = []
    for first in range(0, len(depth), AT_ONCE):
        rows = slice(first, min(first + AT_ONCE, len(depth)))
        maps = depth.metres(rows)
        doubt = np.where(body.visible[rows], UNTOLD, 0.9).astype(np.float32)
        # something clearly before the joint hides it
        surface, found = contract.lift_fine(maps, project(body.positions[rows], depth.camera), depth.camera)
        doubt[found & (surface[..., 2] < body.positions[rows, :, 2] - 0.3)] = 0.95
        whole, sigma = _body(body.positions[rows], there[rows], doubt, bundle)
        cloud, cloud_sigma = _clouds(maps, whole, doubt, depth.camera, bundle)
        parts.append((cloud, np.where(doubt > DOUBTED, np.maximum(sigma, cloud_sigma), cloud_sigma), doubt))
    cloud, sigma, doubt = (np.concatenate(part) for part in zip(*parts, strict=True))
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
    doubt = np.where(body.visible, UNTOLD, 0.9).astype(np.float32)
    positions, sigma = _body(body.positions, there, doubt, bundle)
    sigma = np.where(there.any(1, keepdims=True), sigma, UNKNOWN).astype(np.float32)
    positions, sigma = fusion.smooth(positions, sigma, pose3d.fps, ACCELERATION)
    final = _pose(positions, sigma, body.visible, pose3d.fps, pose3d.name)
    done = _on_skeleton(final, pose3d.skeleton, replace(turned, frame="camera"))
    moved = done.positions if pose3d.frame != "world" else done.positions @ upright
    return replace(pose3d, positions=moved, score=done.score, sigma=done.sigma, provenance=done.provenance)


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
