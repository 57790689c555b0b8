"""How wrong the depth chain is after each of its steps, on made-up people that no network has seen.

    python -m benchmarks.depth --output results/depth.json [--published FOLDER] [--clips 8]

Bodies, rooms and the sensor are those of `posemend.occlusion.figure` and
`depth_sensor`, keypoints those of the evaluation's simulated detector; none of
them is used in training. Errors are of *absolute* joints in camera axes, on
ITOP's 15 joints, as ITOP's are; a joint that has no depth counts at the
middle of the body. ``--published`` names a folder with bundles ``depth-patch``,
``depth-body`` or ``depth-cloud`` of the published forms: each takes its
module's place in turn, on the same data.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import record
from posemend.body.catalogue import H36M_17, ITOP_15
from posemend.body.convert import weights_matrix
from posemend.body.pose import Pose2D, Pose3D
from posemend.contract.card import DEPTH_TASKS
from posemend.contract.depth import lift_raw, middle
from posemend.datasets.procedural import generate
from posemend.geometry.camera import Camera
from posemend.geometry.depth import DepthClip, project
from posemend.occlusion.depth_sensor import SENSORS, depth_map, sense
from posemend.occlusion.detector import OTHER, SELF, VISIBLE, simulate_arrays
from posemend.occlusion.figure import Build, figure, owned_parts
from posemend.occlusion.solids import Box, boxes, entries, together
from posemend.runtime import depth as chain

FIRST_SEED = 900_000  # far from the seeds of training
FPS = 30.0
UPPER = np.arange(15) <= 7  # ITOP's
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


def errors(found: list[Floats], clips: list[Clip]) -> dict[str, Any]:
    """Mean error in mm and share within 10 cm, by kind of joint."""
    off = np.concatenate([np.linalg.norm(a - b.joints, axis=-1) for a, b in zip(found, clips, strict=True)]) * 1000
    hidden = np.concatenate([one.hidden for one in clips])
    upper = np.broadcast_to(UPPER, hidden.shape)
    parts = {"all": hidden | True, "visible": ~hidden, "hidden": hidden, "upper": upper, "lower": ~upper}
    return {
        name: {"mean_mm": round(float(off[part].mean()), 2), "map10": round(float((off[part] < 100).mean() * 100), 2)}
        for name, part in parts.items()
    }


def filled(positions: Floats, found: NDArray[np.bool_]) -> Floats:
    """Joints without depth at the middle of those that have some."""
    centre, _ = middle(positions, found)
    return np.where(found[..., None], positions, centre[:, None])


def measured(clips: list[Clip], bundle: str | Path = "depth", last: bool = True) -> dict[str, Any]:
    """Errors after each step."""
    steps = [chain.stages(*_level(one), bundle) for one in clips]
    rows = {
        "raw": errors([filled(step.raw, step.raw_found) for step in steps], clips),
        "patch": errors([_lifted(one, step.pixels) for one, step in zip(clips, steps, strict=True)], clips),
        "lift": errors([filled(step.patched, step.patched_found) for step in steps], clips),
        "body": errors([step.body for step in steps], clips),
        "cloud": errors([step.cloud for step in steps], clips),
    }
    rows["raw"]["pixels"] = _pixels([one.keypoints.positions for one in clips], clips)
    rows["patch"]["pixels"] = _pixels([step.pixels for step in steps], clips)
    told = np.concatenate([step.doubt > 0.5 for step in steps])
    truth = np.concatenate([one.hidden for one in clips])
    rows["patch"]["told_apart_percent"] = round(50 * float(told[truth].mean() + (~told[~truth]).mean()), 2)
    if last:
        final = [chain.refine_depth(one.depth, one.keypoints, bundle=bundle) for one in clips]
        rows["chain"] = errors([pose.positions for pose in final], clips)
        rows["chain"]["expected_mm"] = _expected(final, clips)
    return rows


def _lifted(one: Clip, pixels: Floats) -> Floats:
    """Lifted with RefiNet's window, so that rows differ by the pixels alone."""
    there = one.keypoints.score > 0
    found = [
        lift_raw(one.depth.metres(slice(f, f + 1)), pixels[f : f + 1], one.depth.camera) for f in range(len(pixels))
    ]
    return filled(np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found]) & there)


def _pixels(found: list[Floats], clips: list[Clip]) -> dict[str, float]:
    """Mean distance from the true pixel."""
    off = np.concatenate(
        [np.linalg.norm(a - project(b.joints, b.depth.camera), axis=-1) for a, b in zip(found, clips, strict=True)]
    )
    hidden = np.concatenate([one.hidden for one in clips])
    return {"visible": round(float(off[~hidden].mean()), 3), "hidden": round(float(off[hidden].mean()), 3)}


def _level(one: Clip) -> tuple[DepthClip, Pose2D]:
    keypoints, depth = chain.aligned(one.keypoints, one.depth, None)
    return depth, keypoints


def _expected(final: list[Pose3D], clips: list[Clip]) -> dict[str, float]:
    """What the poses say of their own errors, mm."""
    sigma = np.concatenate([pose.sigma for pose in final if pose.sigma is not None]) * 1000
    hidden = np.concatenate([one.hidden for one in clips])
    return {"visible": round(float(sigma[~hidden].mean()), 2), "hidden": round(float(sigma[hidden].mean()), 2)}


def holes(one: Clip, share: float) -> Clip:
    """Blocks of the map lost until ``share`` of the pixels near the person are."""
    rng = np.random.default_rng(7)
    maps = np.array(one.depth.maps)
    for frame in range(len(maps)):
        coarse = rng.random((15, 20)) < share
        maps[frame][np.kron(coarse, np.ones((16, 16), bool))] = 0
    return replace(one, depth=replace(one.depth, maps=maps))


def late(one: Clip) -> Clip:
    """Depth one frame (33 ms) behind the keypoints."""
    maps = np.concatenate([one.depth.maps[:1], one.depth.maps[:-1]])
    return replace(one, depth=replace(one.depth, maps=maps))


def wrong_lens(one: Clip, factor: float = 1.05) -> Clip:
    """Focal lengths that are too long by a twentieth."""
    camera = one.depth.camera
    wrong = replace(camera, focal=(camera.focal[0] * factor, camera.focal[1] * factor))
    return replace(one, depth=replace(one.depth, camera=wrong))


SPOILED: dict[str, Callable[[Clip], Clip]] = {
    "holes 50 %": lambda one: holes(one, 0.5), "33 ms late": late, "focal length 5 % off": wrong_lens,
}  # fmt: skip


def estimated(one: Clip, seed: int) -> Pose3D:
    """The truth as somebody else's depth-based estimator might give it: runs of far errors, hands worst, swaps."""
    rng = np.random.default_rng([seed, 5])
    frames = len(one.joints)
    found = one.joints + rng.normal(0, 0.018, one.joints.shape) + rng.normal(0, 0.015, (1, 15, 3))
    for joint, name in enumerate(ITOP_15.joints):
        chance = 0.012 if "wrist" in name else 0.006 if name.endswith(("elbow", "ankle")) else 0.002
        for start in np.flatnonzero(rng.random(frames) < chance):
            way = rng.normal(size=3)
            found[start : start + rng.integers(3, 16), joint] += way / np.linalg.norm(way) * rng.uniform(0.25, 0.5)
    for start in np.flatnonzero(rng.random(frames) < 0.004):
        part = slice(start, start + rng.integers(2, 8))
        found[part] = found[part][:, list(ITOP_15.mirror)]
    return Pose3D(found.astype(np.float32), ITOP_15, fps=FPS, frame="camera")


def body_alone(clips: list[Clip]) -> dict[str, Any]:
    """Module B and time as a refiner of somebody else's 3D, without depth."""
    given = [estimated(one, number) for number, one in enumerate(clips)]
    return {
        "before": errors([pose.positions for pose in given], clips),
        "after": errors([chain.refine_body(pose).positions for pose in given], clips),
    }


def speed(one: Clip, threads: int, repeats: int = 3) -> dict[str, Any]:
    """Frames per second of the whole chain, lifter and refiner included."""
    os.environ["POSEMEND_THREADS"] = str(threads)
    chain.refine_depth(one.depth, one.keypoints)
    seconds = []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        chain.refine_depth(one.depth, one.keypoints)
        seconds.append((time.perf_counter() - started, time.process_time() - used))
    wall, cpu = (min(column) for column in zip(*seconds, strict=True))
    frames = len(one.depth)
    cost = round(cpu / frames * 1000, 2)
    return {"frames": frames, "threads": threads, "fps": round(frames / wall, 1), "cpu_ms_per_frame": cost}


def against_published(clips: list[Clip], folder: Path) -> dict[str, Any]:
    """Each module exchanged for its published form, one at a time."""
    rows = {}
    for task in DEPTH_TASKS:
        if not (folder / task / "card.json").is_file():
            continue
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / task).symlink_to((folder / task).resolve())
            rows[task] = measured(clips, place, last=False)
    return rows


def main() -> None:
    """Measure and write."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--output", type=Path, required=True)
    reader.add_argument("--published", type=Path)
    reader.add_argument("--clips", type=int, default=8)
    reader.add_argument("--frames", type=int, default=120)
    reader.add_argument("--seed", type=int, default=1)
    reader.add_argument("--threads", type=int, default=2)
    reader.add_argument("--itop", type=Path, help="ITOP's folder: measure on its test part instead")
    reader.add_argument("--side", choices=("side", "top"), default="side")
    asked = reader.parse_args()
    record.check_target(asked.output)
    if asked.itop is not None:
        clips = itop_clips(asked.itop, asked.side, asked.clips, asked.frames)
    else:
        clips = [clip(asked.seed * 1000 + number, asked.frames) for number in range(asked.clips)]
    stages = {"plain": measured(clips)}
    for name, spoil in SPOILED.items():
        stages[name] = measured([spoil(one) for one in clips])
    off = [chain.refine_depth(None, replace(one.keypoints, camera=one.depth.camera)) for one in clips]
    found = {
        "schema": record.SCHEMA, "kind": "depth",
        "settings": {"clips": asked.clips, "frames": asked.frames, "seed": asked.seed, "quick": len(clips) < 4,
                     "data": "made up" if asked.itop is None else f"ITOP {asked.side} test"},
        "hidden_percent": round(100 * float(np.mean([one.hidden.mean() for one in clips])), 1),
        "stages": stages,
        "depth off": errors([pose.positions + pose.root[:, None] for pose in off if pose.root is not None], clips),
        "body_alone": body_alone(clips),
        "published": against_published(clips, asked.published) if asked.published else {},
        "speed": speed(clips[0], asked.threads), "seeds_of_training": 1,
        **record.facts(record.Path(__file__).resolve().parents[1], ("numpy", "onnxruntime")),
    }  # fmt: skip
    record.save(asked.output, found)
    for name, row in stages["plain"].items():
        print(f"{name:6}", {part: row[part] for part in ("all", "visible", "hidden")})


if __name__ == "__main__":
    main()
