"""The people that the depth chain is judged on, and what is done to their depth.

Bodies, rooms and the sensor are those of `posemend.occlusion.figure` and
`depth_sensor`, keypoints those of the evaluation's simulated detector; none of
them is used in training. With ITOP's files at hand the same of real depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17, ITOP_15
from posemend.body.convert import weights_matrix
from posemend.body.pose import Pose2D, Pose3D
from posemend.datasets.procedural import generate
from posemend.geometry.camera import Camera
from posemend.geometry.depth import DepthClip, project
from posemend.occlusion.depth_sensor import SENSORS, depth_map, sense
from posemend.occlusion.detector import OTHER, SELF, VISIBLE, simulate_arrays
from posemend.occlusion.figure import Build, figure, owned_parts
from posemend.occlusion.solids import Box, boxes, entries, together

FIRST_SEED = 900_000  # far from the seeds of training
FPS = 30.0
_TO_ITOP = weights_matrix(H36M_17, ITOP_15)[0]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """One made-up recording with truth: joints (T, 15, 3) in camera axes, hidden (T, 15)."""

    depth: DepthClip
    keypoints: Pose2D
    joints: Floats
    hidden: NDArray[np.bool_]


def clip(seed: int, frames: int) -> Clip:
    """One person for ``frames`` frames at 30 per second, behind one or two things, before an Xtion as in ITOP."""
    rng = np.random.default_rng([seed, 1])
    world = generate(FIRST_SEED + seed, frames / FPS + 4, FPS).positions[60 : 60 + frames].astype(np.float64)
    world[..., :2] -= 0.9 * (world[:, :1, :2] - world[:, :1, :2].mean(0))  # somebody who walks stays in the picture
    centre = world[:, 0].mean(0)
    angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(2.2, 3.4)
    towards = np.array([np.cos(angle), np.sin(angle), 0])
    eye = centre + towards * distance
    eye[2] = rng.uniform(0.9, 1.7)
    forward = centre + [0, 0, 0.05] - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    sensor = SENSORS["itop"]
    camera = sensor.camera(rotation, -rotation @ eye)
    things = []
    for _ in range(rng.integers(1, 3)):
        size = rng.uniform(0.15, 0.55, 3)
        spot = centre + towards * rng.uniform(0.55, 1.0) + right * rng.uniform(-0.4, 0.4)
        spot[2] = rng.uniform(0.2, 1.2)
        things.append(Box(tuple(spot.tolist()), tuple(size.tolist()), float(rng.uniform(0, np.pi))))
    build = Build(girth=float(rng.uniform(0.85, 1.25)), limbs=float(rng.uniform(0.85, 1.15)))
    scene = together([figure(world, build=build), boxes(things, frames, fps=FPS)])
    wall = distance + float(rng.uniform(0.6, 2.5))
    maps = np.stack(
        [sense(depth_map(scene, camera, frame, wall=wall).depth, sensor, rng) for frame in range(frames)]
    ).astype(np.float16)
    joints = np.einsum("kj,tjc->tkc", _TO_ITOP, camera.to_camera(world)).astype(np.float32)
    level = Camera(camera.focal, camera.centre, camera.width, camera.height)
    pixels = project(joints, level)
    outside = ~level.contains(pixels)
    kind = np.where(_covered(scene, camera, joints), SELF, VISIBLE)
    kind = np.where(_covered(scene, camera, joints, things_only=True) | outside, OTHER, kind).astype(np.int8)
    found, score = simulate_arrays(pixels, kind, float(level.width), FPS, ITOP_15, rng)
    keypoints = Pose2D(found, ITOP_15, score, fps=FPS, width=level.width, height=level.height, name=f"clip{seed}")
    return Clip(DepthClip(maps, level, 1.0, FPS), keypoints, joints, kind != VISIBLE)


def itop_clips(root: Path, side: str, people: int, frames: int) -> list[Clip]:
    """ITOP's test part in the same form: real depth, true joints, simulated keypoints."""
    from posemend.datasets.itop import Recording

    recording = Recording(root, side, "test")  # type: ignore[arg-type]
    found = []
    for person in recording.people()[:people]:
        take, depth = recording.clip(person)
        last = min([frames, *take.cuts])  # up to the first cut: time does not reach across one
        assert take.truth.root is not None
        joints = (take.truth.positions + take.truth.root[:, None])[:last]
        hidden = ~take.truth.visible[:last]
        pixels, score = simulate_arrays(
            project(joints, depth.camera), np.where(hidden, SELF, VISIBLE).astype(np.int8), 320.0, FPS, ITOP_15,
            np.random.default_rng(int(person)),
        )  # fmt: skip
        keypoints = Pose2D(pixels, ITOP_15, score, fps=FPS, width=320, height=240, name=f"ITOP {person}")
        found.append(Clip(depth[:last], keypoints, joints, hidden))
    return found


def _covered(scene: Any, camera: Camera, joints: Floats, things_only: bool = False) -> NDArray[np.bool_]:
    """(T, 15) joints with a solid before them that they do not lie in."""
    eye = np.tile(camera.to_world(np.zeros(3)), (len(joints), 1)).astype(np.float32)
    way = (camera.to_world(joints) - eye[:, None]).astype(np.float32)
    where = entries(scene, eye, way)  # (T, 15, N) share of the way
    slack = 1 - 0.04 / np.linalg.norm(way, axis=-1, keepdims=True)
    met = (where > 0) & (where < slack)
    body = owned_parts(ITOP_15).shape[1]
    own = np.zeros((15, scene.count), bool)
    own[:, :body] = owned_parts(ITOP_15)
    if things_only:
        own[:, :body] = True
    return (met & ~own).any(-1)


def holes(one: Clip, share: float) -> Clip:
    """Blocks of 16 x 16 pixels lost, each with this chance."""
    rng = np.random.default_rng(7)
    maps = np.array(one.depth.maps)
    for frame in range(len(maps)):
        coarse = rng.random((-(-maps.shape[1] // 16), -(-maps.shape[2] // 16))) < share
        lost = np.kron(coarse, np.ones((16, 16), bool))[: maps.shape[1], : maps.shape[2]]
        maps[frame][lost] = 0
    return replace(one, depth=replace(one.depth, maps=maps))


def late(one: Clip, frames: int) -> Clip:
    """Depth so many frames behind the keypoints (33 ms each)."""
    maps = np.concatenate([one.depth.maps[:1]] * frames + [one.depth.maps[:-frames]])
    return replace(one, depth=replace(one.depth, maps=maps))


def wrong_lens(one: Clip, factor: float) -> Clip:
    """Focal lengths that are too long by a factor."""
    camera = one.depth.camera
    wrong = replace(camera, focal=(camera.focal[0] * factor, camera.focal[1] * factor))
    return replace(one, depth=replace(one.depth, camera=wrong))


# what may be wrong with depth, from a little to a lot
SPOILED: dict[str, dict[str, Callable[[Clip], Clip]]] = {
    "holes": {f"{share:.0%}": partial(holes, share=share) for share in (0.25, 0.5, 0.75)},
    "late": {f"{33 * frames} ms": partial(late, frames=frames) for frames in (1, 2, 4)},
    "focal length": {f"{by:+.1%}": partial(wrong_lens, factor=1 + by) for by in (-0.1, -0.05, 0.05, 0.1)},
}


@dataclass(frozen=True)
class Faulty:
    """How somebody else's depth-based 3D errs. Chances are per frame that a run begins.

    Attributes:
        tremble: Spread of each coordinate, frame by frame, metres.
        aside: Spread of a shift that stays through the clip, metres.
        astray: Chance for wrists; half of it for elbows and ankles, a sixth for others.
        far: Least and largest distance of a joint astray, metres.
        run: Shortest and longest run astray, frames.
        swap: Chance of left and right exchanged in the whole body.
        swapped: Shortest and longest such run, frames.
    """

    tremble: float = 0.018
    aside: float = 0.015
    astray: float = 0.012
    far: tuple[float, float] = (0.25, 0.5)
    run: tuple[int, int] = (3, 15)
    swap: float = 0.004
    swapped: tuple[int, int] = (2, 7)


# as depth-based estimators are known to err; then other runs, magnitudes and swaps; then hardly at all
FAULTY = {
    "usual": Faulty(),
    "long runs": Faulty(run=(12, 40), far=(0.15, 0.8)),
    "flashes": Faulty(astray=0.05, run=(1, 2), far=(0.2, 1.0)),
    "swaps": Faulty(swap=0.015, swapped=(3, 20)),
    "trembling": Faulty(tremble=0.045, aside=0.03),
    "clean": Faulty(tremble=0.008, aside=0.008, astray=0, swap=0),
}


def estimated(one: Clip, seed: int, faulty: Faulty | None = None) -> Pose3D:
    """The truth as somebody else's depth-based estimator might give it: runs of far errors, hands worst, swaps."""
    how = faulty or Faulty()
    rng = np.random.default_rng([seed, 5])
    frames = len(one.joints)
    found = one.joints + rng.normal(0, how.tremble, one.joints.shape) + rng.normal(0, how.aside, (1, 15, 3))
    for joint, name in enumerate(ITOP_15.joints):
        chance = how.astray * (1 if "wrist" in name else 1 / 2 if name.endswith(("elbow", "ankle")) else 1 / 6)
        for start in np.flatnonzero(rng.random(frames) < chance):
            way = rng.normal(size=3)
            part = slice(start, start + rng.integers(how.run[0], how.run[1] + 1))
            found[part, joint] += way / np.linalg.norm(way) * rng.uniform(*how.far)
    for start in np.flatnonzero(rng.random(frames) < how.swap):
        part = slice(start, start + rng.integers(how.swapped[0], how.swapped[1] + 1))
        found[part] = found[part][:, list(ITOP_15.mirror)]
    return Pose3D(found.astype(np.float32), ITOP_15, fps=FPS, frame="camera")
