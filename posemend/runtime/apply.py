"""Lift and refine: one person's pose in, one pose out, same skeleton, clock and length.

Inside, everything is on Human3.6M's 17 joints and in the codec's virtual
camera. The way in and out is here: conversion by joint name, interleaving of
very high frame rates, the pelvis' place in space, joints that the networks do
not know (eyes, toes, fingers), which ride along with those they do.

Clips are lifted on two clocks (``two_clocks``): a network that sees so many
frames sees twice as long at half the rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.handedness import check_handedness
from posemend.body.pose import Pose2D, Pose3D
from posemend.contract.certainty import noise_of
from posemend.contract.codec import SEEN, encode, interleave, rays_of, trust, trusted_score, turn, turn_back
from posemend.contract.evidence import assemble
from posemend.errors import InputError
from posemend.filters import low_pass
from posemend.geometry.root import place_root
from posemend.runtime.clocks import between, kept
from posemend.runtime.leaning import settled
from posemend.runtime.riders import REPAIRED, carry, origins, spread
from posemend.runtime.session import Rows, model
from posemend.runtime.stating import stated

Floats = NDArray[np.float32]

SLOWEST = 15.0  # frames per second; below this, lifting at half the rate is not tried
TREMBLE = 8.0  # Hz; bodies hardly move faster, lifters and repairs tremble
# networks that it is compared with answer for themselves: nothing is held back, leans or is smoothed
OURS = "stgcn-six"
SAME, OTHER = 0.002, 0.01  # metres; a pose as near to our lifter's is its own and left alone, one as far another's
LARGEST_BODY = 10.0  # metres from the pelvis; more is a unit other than metres


@dataclass(frozen=True)
class _View:
    """One person as the networks see it, on Human3.6M's joints."""

    joints: Floats
    clip: Floats
    rotation: Floats
    score: Floats
    rays: Floats
    focal_known: bool


@dataclass(frozen=True)
class Lifted:
    """A lifted pose together with what refinement can reuse.

    Attributes:
        pose: The result on the keypoints' own skeleton.
        view, positions, log_error: The networks' side of it; the error as the network states it.
        noise: How noisy the keypoints are (``contract.certainty``).
        sigma: (T, 17) expected errors, metres.
    """

    pose: Pose3D
    view: _View
    positions: Floats
    log_error: Floats
    noise: float
    sigma: Floats


def _view(keypoints: Pose2D) -> _View:
    if not (keypoints.score > 0).any():
        raise InputError(
            "There is nothing to lift: no joint was detected in any frame (all scores are 0). "
            "Check that the file is the detector's output for this person."
        )
    pose = to_skeleton(keypoints, H36M_17)
    if not (pose.score > 0).any():
        raise InputError(
            f"None of the detected joints of '{keypoints.skeleton.name}' is a body joint that can be lifted. "
            "Wanted at least some of shoulders, elbows, wrists, hips, knees, ankles."
        )
    rays, known = rays_of(pose)
    return _seen(rays, trusted_score(pose), pose.fps, known, interleave(pose.fps))


def _seen(rays: Floats, score: Floats, fps: float, focal_known: bool, parts: int) -> _View:
    """The view of a clip as ``parts`` interleaved clips."""
    joints = np.empty((*score.shape, 3), np.float32)
    clip = np.empty((len(score), 5), np.float32)
    rotation = np.empty((len(score), 3, 3), np.float32)
    for part in range(min(parts, len(score))):
        code = encode(rays[part::parts], score[part::parts], fps / parts, focal_known)
        joints[part::parts], clip[part::parts], rotation[part::parts] = code.joints, code.clip, code.rotation
    return _View(joints, clip, rotation, score, rays, focal_known)


def _run(
    task: str, bundle: str | Path, parts: int, frames: int, make: Callable[[Rows], tuple[Floats, Floats]]
) -> tuple[Floats, Floats]:
    """Run a network over a clip, as ``parts`` interleaved clips."""
    network = model(bundle, task)
    positions = np.empty((frames, 17, 3), np.float32)
    log_error = np.empty((frames, 17), np.float32)
    for part in range(min(parts, frames)):
        count = len(range(part, frames, parts))

        def made(rows: Rows, part: int = part) -> tuple[Floats, Floats]:
            return make(part + parts * rows)

        positions[part::parts], log_error[part::parts] = network.run(count, made)
    return positions, log_error


def lift_with_view(keypoints: Pose2D, bundle: str | Path = "default") -> Lifted:
    """Lift, and keep what ``refine`` can reuse."""
    view = _view(keypoints)
    positions, log_error = two_clocks(view, keypoints.fps, bundle)
    noise = noise_of(view.joints[:: interleave(keypoints.fps)])
    sigma, radii = stated(bundle, "lift", log_error, view.score >= SEEN, view.score == 0, noise)
    pose = _as_pose(keypoints, view, turn_back(positions, view.rotation), sigma, radii)
    return Lifted(pose, view, positions, log_error, noise, sigma)


def two_clocks(view: _View, fps: float, bundle: str | Path) -> tuple[Floats, Floats]:
    """Lift at the clip's rate and, every other frame, at half of it; the surer answer counts for more.

    A joint that is hidden for seconds is remembered for longer at half the rate.

    Returns:
        Positions (T, 17, 3) in the view's axes, and the log of their expected errors (T, 17).
    """

    def lifted(seen: _View) -> tuple[Floats, Floats]:
        return _run("lift", bundle, parts, len(seen.score), lambda rows: (seen.joints[rows], seen.clip[rows]))

    frames, parts = len(view.score), interleave(fps)
    positions, log_error = lifted(view)
    if fps / (2 * parts) < SLOWEST or frames < 4 * parts:
        return positions, log_error
    rows = kept(frames, parts, 2)
    slow = _seen(view.rays[rows], view.score[rows], fps / 2, view.focal_known, parts)
    slow_positions, slow_log_error = lifted(slow)
    # from one virtual camera's axes into the other's
    turned = np.matmul(slow_positions, np.matmul(slow.rotation, np.swapaxes(view.rotation[rows], -1, -2)))
    slow_positions = between(turned, frames, parts, 2)
    slow_log_error = between(slow_log_error, frames, parts, 2)
    # by inverse variance; the errors of both have much in common, so the mean is not surer than its parts
    share = 1 / (1 + np.exp(2 * (slow_log_error - log_error)))
    positions += share[..., None] * (slow_positions - positions)
    log_error += share * (slow_log_error - log_error)
    return positions, log_error


def _as_pose(keypoints: Pose2D, view: _View, camera: Floats, sigma: Floats, radii: Floats | None) -> Pose3D:
    """The networks' answer on the keypoints' skeleton."""
    root = place_root(camera, view.rays, view.score)
    positions, spread_sigma = spread(camera, sigma, keypoints, root)
    visible = keypoints.visible & (keypoints.score >= SEEN)
    return Pose3D(
        positions, keypoints.skeleton, belief(spread_sigma), visible, keypoints.fps, "root", root, spread_sigma,
        keypoints.name, origins(view.score >= SEEN, None, keypoints.skeleton), radii,
    )  # fmt: skip


def belief(sigma: Floats) -> Floats:
    """(T, J) score in (0, 1] from expected errors in metres: 1 for none, about a third at 10 cm."""
    return np.maximum(np.exp(-sigma / 0.1), 0.01)


def lift(pose2d: Pose2D, bundle: str | Path = "default") -> Pose3D:
    """3D pose of a person from 2D keypoints.

    Args:
        pose2d: Keypoints of any known skeleton; joints may be missing
            (score 0). Wants a camera or the image's width and height.
        bundle: ``"default"``, ``"research"`` or a folder.

    Returns:
        Root-relative pose in camera axes (x right, y down, z forward), metres,
        on the same skeleton, with the pelvis' place in ``root`` (its distance
        is only as good as the focal length and the assumed body size), the
        expected error of each joint in ``sigma`` and where it comes from
        (measured, or inferred as it was hidden) in ``provenance``.

    Raises:
        InputError: Nothing was detected, or the frame size is missing.
        BundleError: The model cannot be loaded.
    """
    return lift_with_view(pose2d, bundle).pose


def _checked(pose3d: Pose3D, fix_handedness: bool) -> Pose3D:
    known = pose3d.score > 0
    if not known.any():
        raise InputError("There is nothing to refine: every joint has score 0.")
    # the median over frames: a lifter that now and then answers with a giant is refined, not refused
    sizes = np.where(known[..., None], np.abs(pose3d.root_relative().positions), 0).max((1, 2))
    largest = float(np.median(sizes[known.any(1)]))
    if largest > LARGEST_BODY:
        raise InputError(
            f"Joints are up to {largest:.0f} m from the pelvis; that is no body in metres. "
            "Divide the positions by 1000 if they are millimetres."
        )
    if largest < 0.05:
        raise InputError(f"The whole body is only {largest * 1000:.0f} mm large. Positions are wanted in metres.")
    return check_handedness(pose3d, repair=fix_handedness)


_UPRIGHT = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)  # z-up world axes to camera axes (y down)


def refine(
    pose3d: Pose3D,
    pose2d: Pose2D | None = None,
    visible: NDArray[np.bool_] | None = None,
    bundle: str | Path = "default",
    fix_handedness: bool = False,
) -> Pose3D:
    """Repair the 3D pose of any lifter.

    Args:
        pose3d: Any known skeleton, any frame of reference, metres.
        pose2d: The keypoints it was made from, if there are any: same length
            and clock, any known skeleton. They tell most.
        visible: (T, J) which joints of ``pose3d`` were seen, if known.
        bundle: ``"default"``, ``"research"`` or a folder.
        fix_handedness: Exchange left and right when they are swapped, instead
            of refusing.

    Returns:
        The pose on the same skeleton, in the same frame of reference, with
        ``sigma`` and ``provenance`` (measured, repaired or inferred).

    Raises:
        InputError: Lengths differ, units are wrong, or there is nothing to do.
        HandednessError: Left and right are swapped.
        BundleError: The model cannot be loaded.
    """
    if visible is not None:
        pose3d = replace(pose3d, visible=np.asarray(visible))
    pose3d = _checked(pose3d, fix_handedness)
    lifted = None
    if pose2d is not None:
        if len(pose2d) != len(pose3d):
            raise InputError(
                f"The 3D pose has {len(pose3d)} frames and the keypoints have {len(pose2d)}. "
                "Both must be of the same clip, frame by frame."
            )
        lifted = lift_with_view(replace(pose2d, fps=pose3d.fps), bundle)
    return _refined(pose3d, lifted, bundle)


def refine_lifted(lifted: Lifted) -> Pose3D:
    """Refine a pose of posemend's own lifter: what it says stands, only its tremble goes.

    The lifter knows all that the refiner would be told, so there is nothing to repair.
    """
    return _as_lifted(lifted.pose, lifted)


def _repair(
    fps: float, parts: int, bundle: str | Path, raw: Floats, worth: Floats, lifted: Lifted | None
) -> tuple[Floats, Floats]:
    """The refiner's answer in the axes of ``raw``, with the evidence put together piece by piece."""
    rate = fps / parts

    def make(rows: Rows) -> tuple[Floats, Floats]:
        if lifted is None:
            return assemble(raw[rows], worth[rows], None, None, None, None, rate)
        view = lifted.view
        return assemble(
            raw[rows], worth[rows], view.joints[rows], view.clip[rows],
            lifted.positions[rows], lifted.log_error[rows], rate,
        )  # fmt: skip

    return _run("refine", bundle, parts, len(raw), make)


def _refined(pose3d: Pose3D, lifted: Lifted | None, bundle: str | Path) -> Pose3D:
    body = to_skeleton(pose3d.root_relative(), H36M_17).root_relative()
    raw = body.positions
    if pose3d.frame == "world":
        raw = raw @ _UPRIGHT.T
    ours = model(bundle, "refine").card.network["name"] == OURS
    foreign = None
    if lifted is None:
        rotation = np.broadcast_to(np.eye(3, dtype=np.float32), (len(raw), 3, 3))
        worth = trust(body.score, body.visible)
    else:
        if pose3d.frame == "world":
            raise InputError(
                "Keypoints help only a pose in camera axes, and this one is in world axes. "
                "Refine it without keypoints, or turn it into camera axes first."
            )
        if ours:
            foreign = _foreign(pose3d, body, lifted)
            if not foreign.any():
                return _as_lifted(pose3d, lifted)
        rotation = lifted.view.rotation
        raw = turn(raw, rotation)
        # what the keypoints say counts for more than the lifter's own belief, unless it knows nothing of a joint
        worth = trust(np.where(body.score > 0, lifted.view.score, 0), body.visible)
    positions, log_error = _repair(pose3d.fps, interleave(pose3d.fps), bundle, raw, worth, lifted)
    if lifted is not None and ours:
        positions = settled(positions, raw, lifted.positions, body.score > 0, worth >= SEEN, pose3d.fps)
    change = turn_back(positions - raw, rotation)
    if pose3d.frame == "world":
        change = change @ _UPRIGHT
    if lifted is None:
        sigma, radii = stated(bundle, "alone", log_error, worth >= SEEN, body.score == 0, 1.0)
    else:
        sigma, radii = stated(bundle, "keypoints", log_error, worth >= SEEN, lifted.view.score == 0, lifted.noise)
    return _changed(pose3d, change, sigma, radii, worth, foreign, calm=ours)


def _as_lifted(pose: Pose3D, lifted: Lifted) -> Pose3D:
    """A pose that our own lifter has made, without its tremble: on its skeleton, in its frame of reference."""
    _, sigma = carry(np.zeros_like(lifted.view.joints), lifted.sigma, pose.skeleton)
    seen = lifted.view.score >= SEEN
    calm = low_pass(pose.positions, pose.fps, TREMBLE).astype(np.float32)
    return replace(
        pose, positions=calm, sigma=sigma, score=belief(sigma), provenance=origins(seen, None, pose.skeleton),
        radii=lifted.pose.radii,
    )  # fmt: skip


def _foreign(pose: Pose3D, body: Pose3D, lifted: Lifted) -> Floats:
    """(T,) 0 where a pose is what our lifter says of the keypoints, 1 where it is another lifter's, and between.

    Args:
        pose: As it came.
        body: The same on Human3.6M's joints, root-relative.
        lifted: What our lifter says.
    """
    if pose.skeleton == lifted.pose.skeleton:
        here, there, score = pose.root_relative(), lifted.pose.root_relative(), pose.score
    else:
        here, there, score = body, to_skeleton(lifted.pose, H36M_17).root_relative(), body.score
    apart = np.where(score > 0, np.linalg.norm(here.positions - there.positions, axis=-1), 0)
    apart = apart.sum(1) / np.maximum((score > 0).sum(1), 1)
    return np.clip((apart - SAME) / (OTHER - SAME), 0, 1).astype(np.float32)


def _changed(
    pose: Pose3D, change: Floats, sigma: Floats, radii: Floats | None, worth: Floats, foreign: Floats | None,
    calm: bool = True,
) -> Pose3D:  # fmt: skip
    """Apply changes of the 17 joints, which were trusted as far as ``worth`` (T, 17), to a pose of any skeleton.

    ``foreign`` (T,) holds back changes of what is our own lifter's anyway.
    """
    moved, own_sigma = carry(change, sigma, pose.skeleton)
    if foreign is not None:
        moved = moved * foreign[:, None, None]
    positions = pose.positions + moved
    if calm:
        positions = _calmed(positions, moved, pose.fps, foreign)
    provenance = origins(worth >= SEEN, moved, pose.skeleton)
    result = replace(
        pose, positions=positions, sigma=own_sigma, score=belief(own_sigma), provenance=provenance, radii=radii
    )
    if pose.frame != "root":
        return result
    # the pelvis stays where it was said to be: at the origin
    drift = result.positions[:, list(pose.skeleton.root_indices)].mean(1, keepdims=True)
    before = pose.positions[:, list(pose.skeleton.root_indices)].mean(1, keepdims=True)
    return replace(result, positions=result.positions - drift + before)


def _calmed(refined: Floats, moved: Floats, fps: float, foreign: Floats | None) -> Floats:
    """A refined pose (T, J, 3) without the tremble of what was repaired.

    Where a joint was moved by more than a little, all its tremble goes; one that stays keeps its own quick movement,
    and only the tremble of the small repair goes.
    """
    size = low_pass(np.linalg.norm(moved, axis=-1, keepdims=True), fps, TREMBLE)
    share = np.clip(size / REPAIRED, 0, 1)
    if foreign is not None:  # our own lifter's pose: as in ``refine_lifted``
        share = np.maximum(share, 1 - foreign[:, None, None])
    whole = refined - low_pass(refined, fps, TREMBLE)
    repair = moved - low_pass(moved, fps, TREMBLE)
    return (refined - share * whole - (1 - share) * repair).astype(np.float32)
