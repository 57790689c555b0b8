"""Made-up people filmed by a depth camera for seconds, with keypoints as detectors give them over time.

Each film has its own person, room, things and camera, which stay what they
are. Keypoints err as detectors' do: by amounts, memories and shares that are
drawn afresh for each film, so that nothing fits the simulated detector of the
evaluation in particular.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from posemend.body.catalogue import ITOP_15
from posemend.contract.depth import ITOP_CAMERA, reference_step
from posemend.geometry.camera import Camera
from posemend.occlusion.depthmap import PARTS, Scenes, capsules_of, cast, owned
from posemend.training.depth_scenes import TO_ITOP, Looks, SceneMaker, furnished, heights
from posemend.training.vary import vary

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

FPS = 30.0
SLACK = 0.04  # metres; what is nearer by less is the joint's own skin
_ARMS, _LEGS = (
    np.array([name.endswith(part) for name in ITOP_15.joints])
    for part in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
)


@dataclass(frozen=True)
class Film:
    """One recording: frames as a depth camera sees them, and keypoints.

    Attributes:
        looks: Truth and maps, frame by frame.
        pixels: (T, 15, 2) keypoints.
        score: (T, 15), 0 = not found.
    """

    looks: Looks
    pixels: Floats
    score: Floats


def films(maker: SceneMaker, rng: np.random.Generator, count: int, frames: int) -> list[Film]:
    """``count`` recordings of ``frames`` frames, 30 a second."""
    windows = maker.pool.windows(rng, count, frames, FPS)
    positions, path = vary(windows, replace(maker.variety, definition=0.0), rng)
    half = frames // 2
    stays = rng.uniform(0.1, 0.7, (count, 1, 1)) * np.array([1, 1, 0]) + [0, 0, 1]  # people stay in the picture
    moved = positions + ((path - path[:, half : half + 1]) * stays)[:, :, None].astype(np.float32)
    zoom = float(np.exp(rng.normal(0, 0.06)))
    camera = replace(ITOP_CAMERA, focal=(ITOP_CAMERA.focal[0] * zoom, ITOP_CAMERA.focal[1] * zoom))
    turn, shift = maker.place(count, camera, rng)
    seen = np.matmul(moved, np.swapaxes(turn, -1, -2)[:, None]) + shift[:, None, None]
    seen[..., 2] += np.maximum(0.7 - seen[..., 2].min((1, 2)), 0)[:, None, None]
    rooms = furnished(seen[:, half], moved[:, half], turn, maker.boxes, rng)
    return [_film(seen[row], rooms, row, camera, maker.sensor, rng) for row in range(count)]


def _film(seen: Floats, rooms: Scenes, row: int, camera: Camera, sensor: str, rng: np.random.Generator) -> Film:
    frames = len(seen)
    start, end, _ = capsules_of(seen, np.full(frames, heights(seen).mean()), np.ones(PARTS))
    still = {
        name: np.repeat(getattr(rooms, name)[row : row + 1], frames, 0)
        for name in ("radius", "box_centre", "box_axes", "box_half", "normal", "offset")
    }
    scenes = Scenes(start=start, end=end, **still)
    joints = np.einsum("kj,tjc->tkc", TO_ITOP, seen).astype(np.float32)
    looks = Looks(camera, joints, np.zeros(joints.shape[:2], bool), None, scenes, sensor, int(rng.integers(2**31)))
    z, owner = cast(scenes, (joints[..., :2] / joints[..., 2:]).astype(np.float32))
    body = (owner >= 0) & (owner < PARTS)
    mine = owned(ITOP_15)[np.arange(15), np.where(body, owner, 0)] & body
    before = (z < joints[..., 2] - SLACK) & ~mine
    outside = ~camera.contains(looks.pixels)
    looks = replace(looks, hidden=before | outside)
    return Film(looks, *detected(looks.pixels, before & body & ~outside, before & ~body | outside, joints, camera, rng))


def detected(
    truth: Floats, own: Bools, other: Bools, joints: Floats, camera: Camera, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Keypoints (T, 15, 2) and scores (T, 15) of a made-up detector.

    Args:
        truth: (T, 15, 2) exact pixels.
        own: (T, 15) joints behind the own body.
        other: (T, 15) joints behind something else, or outside.
        joints: (T, 15, 3) metres, camera axes.
        camera: Of the pixels.
        rng: Source of chance.
    """
    frames = len(truth)
    scale = reference_step(camera) * 3.0 / max(float(joints[..., 2].mean()), 0.5)
    amount = np.exp(rng.uniform(np.log(0.7), np.log(4.0))) * scale
    worse = np.where(own, np.exp(rng.uniform(0.1, 1.2)), np.where(other, np.exp(rng.uniform(0.6, 2.2)), 1.0))
    keep = np.exp(-1 / (FPS * np.exp(rng.uniform(np.log(0.05), np.log(0.6)))))
    found = truth + (amount * worse)[..., None] * _wander(truth.shape, keep, rng)
    gross = _runs((frames, 15), rng.uniform(0, 0.05), rng)
    found += gross[..., None] * np.cumsum(rng.normal(0, 1.0, truth.shape), 0) * scale
    found += gross[..., None] * rng.normal(0, 22, (1, 15, 2)) * scale
    for part in (_ARMS, _LEGS):
        rows = np.flatnonzero(_runs((frames, 1), rng.uniform(0, 0.03), rng)[:, 0])
        found[rows[:, None], np.flatnonzero(part)] = found[rows][:, list(ITOP_15.mirror)][:, part]
    hidden = own | other
    level = rng.normal(1.0, 0.4) - rng.uniform(0.5, 2.5) * hidden - 1.0 * gross
    score = 1 / (1 + np.exp(-(level + 0.9 * _wander((frames, 15), keep, rng) + rng.normal(0, 0.4, (frames, 15)))))
    if rng.random() < 0.3:  # some detectors leave out what they cannot see
        score[hidden & _runs((frames, 15), rng.uniform(0.1, 0.6), rng)] = 0
    return found.astype(np.float32), score.astype(np.float32)


def _wander(shape: tuple[int, ...], keep: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Unit normal noise along the first axis that remembers a share ``keep`` of itself."""
    drive = rng.standard_normal(shape)
    drive[1:] *= np.sqrt(1 - keep * keep)
    return lfilter([1.0], [1.0, -keep], drive, axis=0)


def _runs(shape: tuple[int, int], share: float, rng: np.random.Generator) -> Bools:
    """(T, K) runs of 1 to 10 frames that cover about a share of all."""
    begins = rng.random(shape) < share / 4
    found = np.zeros(shape, bool)
    for frame, column in zip(*np.nonzero(begins), strict=True):
        found[frame : frame + rng.geometric(0.25), column] = True
    return found
