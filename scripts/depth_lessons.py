"""What module D learns from: films of made-up people, taken through the depth chain up to it.

    python scripts/depth_lessons.py recipes/depth-time.toml --bundle runs/depth-set-1 --files 400 -o runs/depth-lessons

The chain is that of use, with the set of modules that is named; each file holds
eight films. Some films have late maps, a wrong focal length or holes, so that
the expected error learns what they look like. A file that is there is not made
again. ``depth.lessons`` of the recipe names the folder.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from posemend.body.catalogue import ITOP_15
from posemend.body.pose import Pose2D
from posemend.contract.depth_time import Held, time_input
from posemend.errors import InputError
from posemend.geometry.depth import DepthClip
from posemend.runtime.depth import aligned, gathered
from posemend.training import recipe as recipes
from posemend.training.depth import scene_maker
from posemend.training.depth_films import FPS, Film, films

EACH, FRAMES = 8, 64


def spoiled(film: Film, rng: np.random.Generator) -> DepthClip:
    """The film's maps and camera; in most films something is not as it should be."""
    maps, camera = film.looks.depth.astype(np.float16), film.looks.camera
    worse = rng.random(3) < (0.3, 0.35, 0.25)
    if worse[0]:
        lag = int(rng.choice([-2, -1, 1, 2, 3, 4]))
        maps = maps[np.clip(np.arange(len(maps)) - lag, 0, len(maps) - 1)]
    if worse[1]:
        factor = float(np.exp(rng.uniform(-0.12, 0.12)))
        camera = replace(camera, focal=(camera.focal[0] * factor, camera.focal[1] * factor))
    if worse[2]:
        size, share = int(rng.integers(6, 24)), rng.uniform(0.1, 0.8)
        coarse = rng.random((len(maps), -(-240 // size), -(-320 // size))) < share
        maps = np.where(coarse.repeat(size, 1).repeat(size, 2)[:, :240, :320], 0, maps)
    return DepthClip(maps, camera, 1.0, FPS)


def lesson(film: Film, bundle: str, rng: np.random.Generator) -> tuple[np.ndarray, ...] | None:
    """Features, faults, offsets that would be right, and which joints are hidden; ``None`` if nothing can be seen."""
    keypoints = Pose2D(film.pixels, ITOP_15, film.score, fps=FPS, width=320, height=240)
    try:
        keypoints, depth = aligned(keypoints, spoiled(film, rng), None)
        known: Held = gathered(depth, keypoints, None, bundle)[0]
    except InputError:  # a thing right before the lens, or nobody in the picture
        return None
    features, told = time_input(known)
    return features.astype(np.float16), told, film.looks.joints - known.estimate, film.looks.hidden


def main() -> None:
    """Make the files that are missing."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("recipe", type=Path)
    reader.add_argument("changes", nargs="*", help="of the recipe: section.key=value")
    reader.add_argument("--bundle", default="depth")
    reader.add_argument("--files", type=int, default=400, help="to learn from; a tenth as many of people held out")
    reader.add_argument("--part", type=int, nargs=2, default=(0, 1), help="K N: every N-th file from K")
    reader.add_argument("-o", "--output", type=Path, required=True)
    asked = reader.parse_intermixed_args()
    recipe = recipes.load(asked.recipe, asked.changes)
    asked.output.mkdir(parents=True, exist_ok=True)
    for kind, held_out in (("held", True), ("learn", False)):
        maker = scene_maker(recipe, held_out)
        for number in range(max(1, asked.files // 10) if held_out else asked.files):
            path = asked.output / f"{kind}-{number:04d}.npz"
            if path.exists() or number % asked.part[1] != asked.part[0]:
                continue
            started = time.monotonic()
            rng = np.random.default_rng([recipe.seed, held_out, number])
            made = [lesson(film, asked.bundle, rng) for film in films(maker, rng, EACH, FRAMES)]
            rows = [one for one in made if one is not None]
            names = ("evidence", "faults", "target", "hidden")
            fresh = path.with_name(f".{path.name}.new.npz")
            np.savez(fresh, **{name: np.stack(part) for name, part in zip(names, zip(*rows, strict=True), strict=True)})
            fresh.rename(path)
            print(f"{path.name}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
