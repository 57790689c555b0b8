"""How well posemend's body and rays reproduce BlendMimic3D's occlusion flags.

    python -m benchmarks.flags --root BlendMimic3D -o results/flags.json

Its S1 has no objects, so all hiding is the body's. Three things are compared with the published flags, each on the
training actions (where everything was fitted) and on the validation actions (where nothing was):

- ``default``: the body as it comes, rule ``anatomy``;
- ``fitted``: thickness and slack chosen on the training actions (largest correlation of labels and flags);
- ``border``: BlendMimic3D calls a joint hidden when the first mesh part on the ray is not named like the joint's bone,
  and its joints lie where parts meet. Which part of its mesh lies where is not published, so it is learnt: from the
  training actions, the share of hidden flags by joint, by the part of *our* body that the ray meets first, and by how
  deep under that point the joint lies.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import record
from posemend.datasets import blendmimic3d
from posemend.occlusion.figure import PARTS, Build, figure, owned_parts
from posemend.occlusion.solids import entries

REPOSITORY = Path(__file__).resolve().parents[1]
DEPTHS = (0.06, 0.12, 0.2)  # metres under the skin that the ray meets
_STEPS = (0.8, 0.9, 1.12, 1.25)
NOTHING = len(PARTS)


@dataclass(frozen=True, eq=False)
class Clip:
    """One camera's view: world joints (T, 17, 3), the camera (3,), published flags (T, 17), True = hidden."""

    action: str
    world: NDArray[np.float64]
    eye: NDArray[np.float64]
    hidden: NDArray[np.bool_]


def read_clips(root: Path, subject: str, every: int) -> tuple[list[Clip], list[Clip], tuple[str, ...]]:
    """Training clips, validation clips, joint names."""
    train, held = [], []
    takes = blendmimic3d.read(root, [subject])
    for take in takes:
        camera = take.keypoints.camera
        assert camera is not None and take.truth.root is not None
        world = camera.to_world(take.truth.positions + take.truth.root[:, None])[::every]
        clip = Clip(take.action, world, camera.to_world(np.zeros(3)), ~take.truth.visible[::every])
        (held if take.action in blendmimic3d.VALIDATION_ACTIONS else train).append(clip)
    return train, held, takes[0].truth.skeleton.joints


def met(clips: Sequence[Clip], build: Build) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Entries (N, 17, parts) of all rays, and distances (N, 17) in metres."""
    found, far = [], []
    for clip in clips:
        way = clip.world - clip.eye
        eyes = np.broadcast_to(clip.eye, (len(way), 3))
        found.append(entries(figure(clip.world, build=build), eyes, way))
        far.append(np.linalg.norm(way, axis=-1))
    return np.concatenate(found), np.concatenate(far)


def flags(clips: Sequence[Clip]) -> NDArray[np.bool_]:
    """(N, 17)."""
    return np.concatenate([clip.hidden for clip in clips])


def anatomy(found: NDArray, far: NDArray, slack: float) -> NDArray[np.bool_]:
    """The engine's rule on entries: hidden by a part that the joint does not lie in."""
    from posemend.body.catalogue import H36M_17

    return ((found < (1 - slack / far)[..., None]) & ~owned_parts(H36M_17)).any(-1)


def cells(found: NDArray, far: NDArray) -> NDArray[np.int64]:
    """(N, 17) what the border model looks at: first part and depth, as one number."""
    first, share = found.argmin(-1), found.min(-1)
    depth = np.digitize((1 - np.where(share < 1, share, 1)) * far, DEPTHS)
    return np.where(share < 1, first, NOTHING) * (len(DEPTHS) + 1) + depth


def scores(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, Any]:
    """Agreement, balanced accuracy (null where one kind is missing), correlation, and shares hidden."""
    hit, right = (said & true).sum(), (~said & ~true).sum()
    some, none = true.sum(), (~true).sum()
    wide = float(said.sum()) * float((~said).sum()) * float(some) * float(none)
    return {
        "agreement": float((said == true).mean()),
        "balanced": float((hit / some + right / none) / 2) if some and none else None,
        "correlation": (float(hit) * float(right) - float((said & ~true).sum()) * float((~said & true).sum()))
        / wide**0.5 if wide else None,
        "hidden_said": float(said.mean()),
        "hidden_true": float(true.mean()),
    }  # fmt: skip


def fit_build(train: Sequence[Clip]) -> tuple[Build, float]:
    """Girth, limbs, trunk and slack with the largest correlation on the training clips, one at a time, three rounds."""
    true = flags(train)
    known: dict[tuple[float, ...], float] = {}

    def worth(values: tuple[float, ...]) -> float:
        if values not in known:
            girth, limbs, wide, deep, slack = values
            found, far = met(train, Build(girth=girth, limbs=limbs, trunk=(wide, deep)))
            known[values] = scores(anatomy(found, far, slack), true)["correlation"] or 0.0
        return known[values]

    best = (1.0, 1.0, 1.0, 1.0, 0.08)
    for _ in range(3):
        for place in range(5):
            for step in _STEPS:
                trial = tuple(round(v * step, 4) if n == place else v for n, v in enumerate(best))
                best = max(best, trial, key=worth)
    return Build(girth=best[0], limbs=best[1], trunk=(best[2], best[3])), best[4]


def fit_border(train: Sequence[Clip], build: Build) -> tuple[NDArray[np.bool_], float]:
    """(17, cells) which cells are called hidden, and the share from which on they are."""
    true = flags(train)
    cell = cells(*met(train, build))
    size = (NOTHING + 1) * (len(DEPTHS) + 1)
    seen, hidden = np.zeros((17, size)), np.zeros((17, size))
    joints = np.broadcast_to(np.arange(17), cell.shape)
    np.add.at(seen, (joints, cell), 1)
    np.add.at(hidden, (joints, cell), true)
    share = (hidden + 0.3) / (seen + 3)  # a cell hardly ever met counts as visible
    rows = np.arange(17)[None]
    at = max(np.arange(0.1, 0.6, 0.05), key=lambda t: scores((share > t)[rows, cell], true)["correlation"] or 0)
    return share > at, float(at)


def by_joint(said: NDArray[np.bool_], true: NDArray[np.bool_], joints: Sequence[str]) -> dict[str, Any]:
    """Scores of every joint."""
    return {name: scores(said[:, place], true[:, place]) for place, name in enumerate(joints)}


def measure(root: Path, every: int = 5) -> dict[str, Any]:
    """The record's own part."""
    train, held, joints = read_clips(root, "S1", every)
    build, slack = fit_build([Clip(c.action, c.world[::3], c.eye, c.hidden[::3]) for c in train])
    thick = Build(girth=round(build.girth, 4), limbs=build.limbs, trunk=build.trunk)
    # the border model starts at the skin that the ray meets: of the fitted bodies tried, the best on training actions
    trials = []
    for girth in (0.9, 1.0, 1.1, 1.2, 1.3):
        table, at = fit_border(train, Build(girth=girth))
        said = table[np.arange(17)[None], cells(*met(train, Build(girth=girth)))]
        trials.append((scores(said, flags(train))["correlation"], girth, table, at))
    _, girth, table, at = max(trials, key=lambda trial: trial[0])
    result: dict[str, Any] = {
        "settings": {"subject": "S1", "every": every, "training": sorted({c.action for c in train}),
                     "validation": sorted({c.action for c in held})},
        "fitted": {"girth": thick.girth, "limbs": thick.limbs, "trunk": list(thick.trunk), "slack_m": slack},
        "border": {"girth": girth, "threshold": at, "depths_m": list(DEPTHS), "cells_hidden": int(table.sum())},
        "scores": {},
    }  # fmt: skip
    for part, clips in (("training", train), ("validation", held)):
        true = flags(clips)
        plain, far = met(clips, Build())
        fitted, _ = met(clips, build)
        bordered, _ = met(clips, Build(girth=girth))
        said = {
            "nothing_hidden": np.zeros_like(true),
            "default": anatomy(plain, far, 0.08),
            "fitted": anatomy(fitted, far, slack),
            "border": table[np.arange(17)[None], cells(bordered, far)],
        }
        result["scores"][part] = {
            name: scores(values, true) | {"by_joint": by_joint(values, true, joints)} for name, values in said.items()
        }
        result["scores"][part]["joints"] = int(true.size)
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of BlendMimic3D")
    parser.add_argument("--every", type=int, default=5, help="use every so many frames")
    parser.add_argument("-o", "--output", type=Path, required=True)
    words = parser.parse_args()
    record.check_target(words.output)
    found = {"kind": "flags", "schema": record.SCHEMA, **record.facts(REPOSITORY, ("numpy",))}
    found |= measure(words.root, words.every)
    record.save(words.output, found)
    for part in ("training", "validation"):
        for name, score in found["scores"][part].items():
            if isinstance(score, dict):
                print(f"{part:10} {name:15} agreement {score['agreement']:.3f} balanced {score['balanced']:.3f} "
                      f"hidden {score['hidden_said']:.3f} of {score['hidden_true']:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
