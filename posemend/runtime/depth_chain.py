"""RefiNet's chain, frame by frame: keypoints and maps in, joints on ITOP's skeleton after each step out.

Each step is a network on what `posemend.contract.depth` makes of maps and
joints. What happens between them is here: how far an offset is believed, which
joints depth does not know, what is asked again when depth contradicts the body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import ITOP_15
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D, Pose3D
from posemend.contract import depth as contract
from posemend.contract.codec import SEEN
from posemend.errors import InputError
from posemend.geometry.camera import Camera
from posemend.geometry.depth import DepthClip, register, scaled, unproject
from posemend.runtime.fusion import UNKNOWN
from posemend.runtime.session import model

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
_Lifted = tuple[Floats, Bools, Floats, Floats, Bools, Floats, Bools, Bools]

AT_ONCE = 32  # frames: maps, cut-outs and clouds of so many lie in memory
DOUBTED = 0.5  # a joint more surely hidden than this is not lifted by depth
AGAINST_THE_BODY = 0.12  # metres that depth may contradict the body, beside its own expected error
SEEN_DOUBT = 0.6  # of the body's expected error; the cloud's is at least that


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
        there: (T, 15) joints that have a keypoint.
        on_ray: (T, 15) joints that are seen but lie in a hole of the map.
        body, body_sigma: After module B.
        cloud, cloud_sigma: After module C.
    """

    raw: Floats
    raw_found: Bools
    pixels: Floats
    patched: Floats
    patched_found: Bools
    doubt: Floats
    there: Bools
    on_ray: Bools
    body: Floats
    body_sigma: Floats
    cloud: Floats
    cloud_sigma: Floats


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
        maps = depth.metres(rows)
        lifted = _lifted(maps, body.positions[rows], score[rows], depth.camera, bundle)
        parts.append((*lifted, *_believed(maps, *lifted[2:], depth.camera, bundle)))
    return Stages(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def lifted_raw(depth: DepthClip, keypoints: Pose2D) -> Pose3D:
    """What depth says at the keypoints, as it is: RefiNet's lifting, before anything is refined.

    Returns:
        ITOP's 15 joints in camera axes, metres; joints without depth have score 0.

    Raises:
        InputError: No joint of the keypoints is one of ITOP's.
    """
    body = to_skeleton(keypoints, ITOP_15)
    if not (body.score > 0).any():
        raise InputError("There is nothing to lift: no body joint was detected in any frame (all scores are 0).")
    positions, score = np.zeros((*body.score.shape, 3), np.float32), body.score.copy()
    for first in range(0, len(depth), AT_ONCE):
        rows = slice(first, min(first + AT_ONCE, len(depth)))
        positions[rows], found = contract.lift_raw(depth.metres(rows), body.positions[rows], depth.camera)
        score[rows] *= found
    return Pose3D(positions, ITOP_15, score, body.visible, depth.fps, "camera", name="lifted by depth")


def again(depth: DepthClip, found: Stages, doubt: Floats, bundle: str | Path = "depth") -> Stages:
    """Modules B and C once more, where something else says which joints are hidden.

    Args:
        depth: The maps that ``found`` is of.
        found: What was made of them.
        doubt: (T, 15) how surely each joint is hidden.
        bundle: As before.
    """
    parts = []
    for first in range(0, len(depth), AT_ONCE):
        rows = slice(first, min(first + AT_ONCE, len(depth)))
        given = found.pixels[rows], found.patched[rows], found.patched_found[rows], doubt[rows]
        marks = found.there[rows], found.on_ray[rows]
        parts.append(_believed(depth.metres(rows), *given, *marks, depth.camera, bundle))
    body, body_sigma, cloud, cloud_sigma = (np.concatenate(part) for part in zip(*parts, strict=True))
    return replace(found, doubt=doubt, body=body, body_sigma=body_sigma, cloud=cloud, cloud_sigma=cloud_sigma)


def _lifted(maps: Floats, pixels: Floats, score: Floats, camera: Camera, bundle: str | Path) -> _Lifted:
    """Module A and lifting: raw joints, moved pixels, joints lifted there, doubt, and which must lie on their rays."""
    there = score > 0
    raw, raw_found = contract.lift_raw(maps, pixels, camera)
    raw_found = raw_found & there
    step = contract.reference_step(camera)
    patches, layout = contract.patch_input(maps, pixels, score, camera)
    offset, log_error, hidden = _run(bundle, "depth-patch", patches=patches, layout=layout)
    moved = pixels + believed(offset, np.exp(log_error)) * step * there[..., None]
    doubt = cast(Floats, 1 / (1 + np.exp(-hidden)))
    lifted, found = contract.lift_fine(maps, moved, camera)
    found = found & there
    # what is lifted far off the body belongs to something else, whatever the cut-out looked like
    doubt = against_the_body(lifted, found, doubt, bundle, contract.keypoint_rays(moved, there, camera))
    on_ray = there & ~found & (score > SEEN)
    return raw, raw_found, moved.astype(np.float32), lifted, found, doubt, there, on_ray


def _believed(
    maps: Floats, pixels: Floats, lifted: Floats, found: Bools, doubt: Floats, there: Bools, on_ray: Bools,
    camera: Camera, bundle: str | Path,
) -> tuple[Floats, Floats, Floats, Floats]:  # fmt: skip
    """Modules B and C on lifted joints: joints and expected errors after each."""
    body, sigma = by_body(lifted, found, doubt, bundle, contract.keypoint_rays(pixels, there, camera))
    # a joint that is seen but has no depth lies on its ray, at the depth that the body says
    on_ray = on_ray & (body[..., 2] > 0.1)
    onto = unproject(np.where(on_ray[..., None], pixels, 0), body[..., 2], camera)
    body = np.where(on_ray[..., None], 0.5 * (body + onto), body)
    some = np.any(found, 1)
    cloud, cloud_sigma = by_clouds(maps, body, doubt, camera, bundle)
    sigma, cloud_sigma = (np.where(some[:, None], x, UNKNOWN).astype(np.float32) for x in (sigma, cloud_sigma))
    # points near a hidden joint are of something else; near a joint that is far off they are too, and the body's
    # own doubt stays in part
    hidden = doubt > DOUBTED
    cloud = np.where(hidden[..., None], body, cloud)
    cloud_sigma = np.where(hidden, sigma, np.maximum(cloud_sigma, SEEN_DOUBT * sigma)).astype(np.float32)
    return body, sigma, cloud, cloud_sigma


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


def by_body(
    lifted: Floats, given: Bools, doubt: Floats, bundle: str | Path, rays: Floats | None = None
) -> tuple[Floats, Floats]:
    """Module B: joints (T, 15, 3) in camera axes and expected errors (T, 15), metres."""
    features, centre = contract.body_input(lifted, given, doubt, rays)
    positions, log_error = _run(bundle, "depth-body", body=features, middle=centre)
    return positions + centre[:, None], np.exp(log_error)


def against_the_body(
    given: Floats, there: Bools, doubt: Floats, bundle: str | Path, rays: Floats | None = None
) -> Floats:
    """The doubt (T, 15), raised where a joint is farther from where the body wants it than may be."""
    body, sigma = by_body(given, there, doubt, bundle, rays)
    off = np.linalg.norm(given - body, axis=-1) > AGAINST_THE_BODY + 2 * sigma
    return np.where(there & off, np.maximum(doubt, 0.95), doubt).astype(np.float32)


def doubting_body(given: Floats, there: Bools, doubt: Floats, bundle: str | Path) -> tuple[Floats, Floats]:
    """Module B, asked again without the joints that contradict its first answer."""
    return by_body(given, there, against_the_body(given, there, doubt, bundle), bundle)


def by_clouds(maps: Floats, body: Floats, doubt: Floats, camera: Camera, bundle: str | Path) -> tuple[Floats, Floats]:
    """Module C: joints (T, 15, 3) in camera axes and expected errors (T, 15), metres."""
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
