"""What the depth networks are shown, the same in training and in use.

All three work on ITOP's 15 joints, in camera axes and metres, one frame at a
time. A map of another resolution is looked at in steps of the same angle as
ITOP's pixels (``reference_step``), so that one network fits every sensor.

Offsets are *added*: ``refined = given + offset`` (RefiNet subtracts).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import ITOP_15
from posemend.geometry.camera import Camera
from posemend.geometry.depth import clouds, lift, patches

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

JOINTS = len(ITOP_15)
ITOP_FOCAL = 1 / 0.0035  # pixels
ITOP_CAMERA = Camera((ITOP_FOCAL, ITOP_FOCAL), (160.5, 120.5), 320, 240)  # middles of pixels: see geometry.depth
HOLE = -99.0  # in cut-outs: no depth here
PATCH = 40  # samples per side, each of ITOP's pixel angle: 42 cm at 3 m
HALF = 0.15  # metres, half the cube's edge
GRID = 12  # samples per side of the cube's face
# x, y in patches from the middle of the body, score, lifted z - body's z, lifted at all, body's z - 3 m
LAYOUT_FEATURES = 6
# position from the body's middle (3), given at all, doubt, the joint's ray where it passes the middle's distance, from
# the middle (2), the ray's slopes (2)
BODY_FEATURES = 9
CONTEXT_FEATURES = 5  # position from the body's middle (3), share of the cloud filled, doubt
LIFT_WINDOW, LIFT_QUANTILE = 5, 0.3  # after patches are refined
RAW_WINDOW, RAW_QUANTILE = 9, 0.5  # RefiNet's: the median of what is not 0 among 9 x 9
DEFAULT_DEPTH = 3.0  # metres, where no joint has depth
FARTHEST = 1.5  # metres from the body's middle; lifted joints are clipped here


def reference_step(camera: Camera) -> float:
    """Pixels between samples that make them as wide as ITOP's pixels."""
    return float(np.sqrt(camera.focal[0] * camera.focal[1]) / ITOP_FOCAL)


def lift_raw(depth: Floats, pixels: Floats, camera: Camera) -> tuple[Floats, Bools]:
    """RefiNet's lifting: (T, J, 3) and where there is depth."""
    return lift(depth, pixels, camera, RAW_WINDOW, RAW_QUANTILE, reference_step(camera))


def lift_fine(depth: Floats, pixels: Floats, camera: Camera) -> tuple[Floats, Bools]:
    """Lifting after the 2D was refined: a smaller window, and the nearer part of it."""
    return lift(depth, pixels, camera, LIFT_WINDOW, LIFT_QUANTILE, reference_step(camera))


def middle(values: Floats, counted: Bools) -> tuple[Floats, Bools]:
    """Median over joints of what counts: (T, J, ...) and (T, J) to (T, ...), 0 where nothing counts, and (T,)."""
    mask = counted if values.ndim == 2 else counted[..., None]
    ordered = np.sort(np.where(mask, values, np.inf), axis=1)
    number = counted.sum(1)
    place = np.maximum(number - 1, 0) // 2
    if values.ndim == 3:
        place = place[:, None]
    picked = np.take_along_axis(ordered, place[:, None], 1)[:, 0]
    some = number > 0
    return np.where(some if values.ndim == 2 else some[:, None], picked, 0).astype(np.float32), some


def patch_input(
    depth: Floats, pixels: Floats, score: Floats, camera: Camera, size: int = PATCH
) -> tuple[Floats, Floats]:
    """What module A is shown.

    Args:
        depth: (T, H, W) metres.
        pixels: (T, 15, 2) keypoints; those with score 0 are not looked at.
        score: (T, 15).
        camera: Of the maps.
        size: Samples per side.

    Returns:
        Cut-outs (T, 15, size, size) in metres from the body's distance, NaN-free, ``HOLE`` where there is no
        depth; and the layout (T, 15, 6).
    """
    step = reference_step(camera)
    there = score > 0
    lifted, found = lift_fine(depth, pixels, camera)
    found &= there
    z, some = middle(lifted[..., 2], found)
    z = np.where(some, z, DEFAULT_DEPTH).astype(np.float32)
    cut = patches(depth, np.where(there[..., None], pixels, -1e6), size, step)
    near = np.where(cut > 0, cut - z[:, None, None, None], HOLE)
    centre, _ = middle(pixels.astype(np.float32), there)
    layout = np.zeros((*score.shape, LAYOUT_FEATURES), np.float32)
    layout[..., :2] = np.clip((pixels - centre[:, None]) / (PATCH * step), -6, 6) * there[..., None]
    layout[..., 2] = score
    layout[..., 3] = np.clip(lifted[..., 2] - z[:, None], -FARTHEST, FARTHEST) * found
    layout[..., 4] = found
    layout[..., 5] = np.clip(z - DEFAULT_DEPTH, -3, 6)[:, None]
    return near.astype(np.float32), layout


def body_input(lifted: Floats, given: Bools, doubt: Floats, rays: Floats | None = None) -> tuple[Floats, Floats]:
    """What module B is shown.

    A hidden joint's distance is not known, but its keypoint still says on which
    ray it lies; so rays stand beside positions.

    Args:
        lifted: (T, 15, 3) metres in camera axes.
        given: (T, 15) which joints have a position at all.
        doubt: (T, 15) 0 = surely the joint, 1 = surely something else.
        rays: (T, 15, 2) x/z and y/z of the keypoints in camera axes, NaN where there is none; ``None`` where positions
            were not lifted from keypoints.

    Returns:
        Features (T, 15, 9), and the body's middle (T, 3) that positions are relative to.
    """
    centre, some = middle(lifted, given)
    features = np.zeros((*given.shape, BODY_FEATURES), np.float32)
    features[..., :3] = np.clip(lifted - centre[:, None], -FARTHEST, FARTHEST) * given[..., None]
    features[..., 3] = given
    features[..., 4] = doubt * given
    if rays is not None:
        known = np.isfinite(rays).all(-1, keepdims=True) & some[:, None, None]
        slopes = np.where(known, rays, 0)
        across = slopes * centre[:, None, 2:] - centre[:, None, :2]
        features[..., 5:7] = np.where(known, np.clip(across, -FARTHEST, FARTHEST), 0)
        features[..., 7:9] = np.clip(slopes, -2, 2)
    return features, centre


def keypoint_rays(pixels: Floats, there: Bools, camera: Camera) -> Floats:
    """(T, 15, 2) x/z and y/z of pixels (T, 15, 2), NaN where ``there`` (T, 15) is false."""
    rays = camera.rays(np.where(there[..., None], pixels, 0))[..., :2]
    return np.where(there[..., None], rays, np.nan).astype(np.float32)


def cloud_input(
    depth: Floats, body: Floats, doubt: Floats, camera: Camera, half: float = HALF, grid: int = GRID
) -> tuple[Floats, Floats, Floats]:
    """What module C is shown.

    Args:
        depth: (T, H, W) metres.
        body: (T, 15, 3) the pose so far, camera axes.
        doubt: (T, 15) how surely a joint is hidden.
        camera: Of the maps.
        half: Half the cube's edge, metres.
        grid: Samples per side of the cube's face.

    Returns:
        Points (T, 15, N, 3) metres from the joint, mask (T, 15, N) 1 or 0, and context (T, 15, 5).
    """
    points, mask = clouds(depth, body, camera, half, grid)
    centre, _ = middle(body, np.ones(body.shape[:2], bool))
    context = np.zeros((*body.shape[:2], CONTEXT_FEATURES), np.float32)
    context[..., :3] = np.clip(body - centre[:, None], -FARTHEST, FARTHEST)
    context[..., 3] = mask.mean(-1)
    context[..., 4] = doubt
    return points, mask.astype(np.float32), context
