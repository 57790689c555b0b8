"""How wrong the depth chain is after each of its steps, on people that no network has seen: ``--table depth``.

Errors are of *absolute* joints in camera axes, on ITOP's 15 joints, as ITOP's
are; a joint that has no depth counts at the middle of the body. Several sets of
the modules (one for each seed of training) give means and spreads over them;
published forms of modules take their module's place in turn, on the same data.
``curves`` says what becomes of the result as depth gets worse, and what the
result says of itself.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import ITOP_15
from posemend.body.pose import Pose2D, Pose3D
from posemend.cli.depth_table import Deep
from posemend.contract.card import DEPTH_TASKS
from posemend.contract.depth import lift_raw, middle
from posemend.datasets.depth_people import FAULTY, SPOILED, Clip, clip, estimated, itop_clips
from posemend.errors import InputError
from posemend.geometry.depth import DepthClip, project
from posemend.runtime import depth as chain

__all__ = ["Clip", "clip", "errors", "estimated", "filled", "measured", "table", "whole"]

UPPER = np.arange(15) <= 7  # ITOP's
STEPS = ("raw", "patch", "lift", "body", "cloud", "weighed", "chain")
Floats = NDArray[np.float32]


def errors(found: Sequence[NDArray[np.floating]], clips: list[Clip]) -> dict[str, Any]:
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
    """Errors after each step; ``weighed`` is the mean of chain and lifter, smoothed, that module D begins with."""
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
        known = [chain.gathered(*_level(one), None, bundle)[0] for one in clips]
        rows["weighed"] = errors([one.estimate for one in known], clips)
        rows["chain"] = whole_chain(clips, bundle)
    return rows


def whole_chain(clips: list[Clip], bundle: str | Path = "depth") -> dict[str, Any]:
    """Errors of the whole chain, and the errors that it expects."""
    final = [chain.refine_depth(one.depth, one.keypoints, bundle=bundle) for one in clips]
    return errors([pose.positions for pose in final], clips) | {"expected_mm": _expected(final, clips)}


def by_joint(clips: list[Clip], bundle: str | Path = "depth") -> dict[str, Any]:
    """Errors of the whole chain for each joint, visible and hidden apart; ``None`` where there is none of a kind."""
    final = [chain.refine_depth(one.depth, one.keypoints, bundle=bundle) for one in clips]
    pairs = zip(final, clips, strict=True)
    off = np.concatenate([np.linalg.norm(a.positions - b.joints, axis=-1) for a, b in pairs]) * 1000
    hidden = np.concatenate([one.hidden for one in clips])
    rows: dict[str, Any] = {}
    for joint, name in enumerate(ITOP_15.joints):
        for part, chosen in (("visible", ~hidden[:, joint]), ("hidden", hidden[:, joint])):
            some = off[chosen, joint]
            rows.setdefault(name, {})[part] = None if not len(some) else {
                "mean_mm": round(float(some.mean()), 2), "map10": round(float((some < 100).mean() * 100), 2)
            }  # fmt: skip
    return rows


def without_depth(clips: list[Clip]) -> dict[str, Any]:
    """The same of the picture alone. What it expects is of joints from the pelvis, so these errors stand beside."""
    final = [chain.refine_depth(None, replace(one.keypoints, camera=one.depth.camera)) for one in clips]
    placed = [pose.positions + pose.root[:, None] for pose in final if pose.root is not None]
    hips = list(ITOP_15.root_indices)
    centred = [replace(one, joints=one.joints - one.joints[:, hips].mean(1, keepdims=True)) for one in clips]
    own = errors([pose.positions for pose in final], centred)
    return errors(placed, clips) | {"from_pelvis": own | {"expected_mm": _expected(final, clips)}}


def at_true_distance(clips: list[Clip]) -> dict[str, Any]:
    """What the keypoints alone cost: each at its joint's true distance. A bound for whoever believes the keypoints."""
    rays = [one.depth.camera.rays(one.keypoints.positions.astype(np.float64)) for one in clips]
    placed = [ray / ray[..., 2:] * one.joints[..., 2:] for ray, one in zip(rays, clips, strict=True)]
    return errors(placed, clips)


def curves(clips: list[Clip], bundle: str | Path = "depth") -> dict[str, Any]:
    """The whole chain as depth gets worse."""
    return {
        kind: {much: whole_chain([spoil(one) for one in clips], bundle) for much, spoil in steps.items()}
        for kind, steps in SPOILED.items()
    }


def over_seeds(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and spreads (standard deviations) over trainings, after each step."""
    found: dict[str, Any] = {}
    for step in STEPS:
        for part in ("all", "visible", "hidden"):
            for key in ("mean_mm", "map10"):
                values = [row[step][part][key] for row in rows]
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
                found.setdefault(step, {}).setdefault(part, {})[key] = {
                    "mean": round(float(np.mean(values)), 2), "spread": None if spread is None else round(spread, 2),
                }  # fmt: skip
    return found


def table(found: dict[str, Any]) -> str:
    """The record as tables in Markdown."""

    def line(name: str, row: dict[str, Any]) -> str:
        said = row.get("expected_mm", {"visible": "", "hidden": ""})
        cells = [f"{row[p]['mean_mm']:.0f} | {row[p]['map10']:.0f} % | {said[p]}" for p in ("visible", "hidden")]
        return f"| {name} | " + " | ".join(cells) + " |"

    head = ["| | visible, mm | within 10 cm | expected | hidden, mm | within 10 cm | expected |", "|---|" + "---|" * 6]
    lines = ["", "After each step", "", *head]
    lines += [line(step, row) for step, row in found["stages"]["plain"].items()]
    lines.append(line("no depth", found["depth off"]))
    lines.append(line("no depth, from the pelvis", found["depth off"]["from_pelvis"]))
    lines.append(line("keypoints at their true distance", found["true distance"]))
    lines += [line(f"{kind} {much}", row) for kind, steps in found["curves"].items() for much, row in steps.items()]
    if found["seeds_of_training"] > 1:
        lines += ["", f"{found['seeds_of_training']} trainings: all joints, mm", ""]
        for step, parts in found["over_seeds"].items():
            lines.append(f"- {step}: {parts['all']['mean_mm']['mean']} +- {parts['all']['mean_mm']['spread']}")
    lines += ["", "Module B alone, on others' 3D", ""]
    lines += ["| errors | before, mm | within 10 cm | after, mm | within 10 cm |", "|---|---|---|---|---|"]
    for kind, rows in found["body_alone"]["kinds"].items():
        cells = [f"{rows[when]['all']['mean_mm']:.0f} | {rows[when]['all']['map10']:.1f} %" for when in rows]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    for task, rows in found["published"].items():
        step = task.removeprefix("depth-")
        lines += ["", f"Instead of {task} its published form", "", *head, line(step, rows[step])]
        lines.append(line("chain", rows["chain"]))
    return "\n".join(lines)


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


def body_alone(clips: list[Clip], bundle: str | Path = "depth") -> dict[str, Any]:
    """Module B and time as a refiner of somebody else's 3D, without depth, for each way to err."""
    rows = {}
    for kind, faulty in FAULTY.items():
        given = [estimated(one, number, faulty) for number, one in enumerate(clips)]
        after = [chain.refine_body(pose, bundle).positions for pose in given]
        rows[kind] = {"before": errors([pose.positions for pose in given], clips), "after": errors(after, clips)}
    return rows["usual"] | {"kinds": rows}


def speed(one: Clip, threads: int, bundle: str | Path = "depth", repeats: int = 3) -> dict[str, Any]:
    """Frames per second of the whole chain, lifter and refiner included."""
    os.environ["POSEMEND_THREADS"] = str(threads)
    chain.refine_depth(one.depth, one.keypoints, bundle=bundle)
    seconds = []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        chain.refine_depth(one.depth, one.keypoints, bundle=bundle)
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
            rows[task] = measured(clips, place)
    return rows


def whole(asked: Deep, seed: int, itop: Path | None = None) -> dict[str, Any]:
    """The whole record, but for where it was made.

    Raises:
        InputError: Clips or frames make no table.
    """
    if asked.clips < 1 or asked.frames < 10:
        raise InputError(f"A depth table wants clips and at least 10 frames, got {asked.clips} and {asked.frames}.")
    sets: list[str] = asked.sets or ["depth"]
    if itop is not None:
        clips = itop_clips(itop, asked.side, asked.clips, asked.frames)
    else:
        clips = [clip(seed * 1000 + number, asked.frames) for number in range(asked.clips)]
    seeds = [measured(clips, bundle) for bundle in sets]
    return {
        "kind": "depth",
        "settings": {"clips": asked.clips, "frames": asked.frames, "seed": seed, "quick": len(clips) < 4,
                     "data": "made up" if itop is None else f"ITOP {asked.side} test"},
        "hidden_percent": round(100 * float(np.mean([one.hidden.mean() for one in clips])), 1),
        "stages": {"plain": seeds[0]},
        "seeds": seeds, "over_seeds": over_seeds(seeds), "seeds_of_training": len(seeds),
        "joints": by_joint(clips, sets[0]),
        "depth off": without_depth(clips), "true distance": at_true_distance(clips),
        "curves": curves(clips, sets[0]),
        "body_alone": body_alone(clips, sets[0]),
        "published": against_published(clips, asked.published) if asked.published else {},
        "speed": speed(clips[0], asked.threads, sets[0]),
    }  # fmt: skip
