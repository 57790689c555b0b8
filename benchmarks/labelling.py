"""How fast joints are labelled, against Embree and against Blender's own ray casting, and batches against training.

    python -m benchmarks.labelling --blender BLENDER -o results/labelling.json

All times are processor seconds of one thread (``time.process_time``), the median of the repeats, so that a busy machine
does not lend or take speed; bodies are built anew in each. A triple is one joint, camera and frame.

- labels of scenes of several presets, and with 16 soft rays a joint;
- Embree (package embreex): first hits on the same scene as triangles, the tree built anew for every frame as a moving
  body needs it;
- Blender: a loop over ``scene.ray_cast`` on the same triangles, frame after frame, all vertices set as an armature
  would set them; its labels are compared with ours, joint by joint;
- training batches of the default lifter's recipe with hiding by random spans and by rays, against one training step.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import record
from posemend.body.catalogue import H36M_17
from posemend.datasets.scene_presets import draw
from posemend.datasets.staging import Library, Stage, stage
from posemend.occlusion.figure import Build, figure
from posemend.occlusion.labels import Labels, label_joints
from posemend.occlusion.meshes import first_hits, tessellate
from posemend.occlusion.solids import entries, together

REPOSITORY = Path(__file__).resolve().parents[1]


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median processor seconds, and what came out last; once before to warm up."""
    found, seconds = work(), []
    for _ in range(repeats):
        started = time.process_time()
        found = work()
        seconds.append(time.process_time() - started)
    return median(seconds), found


def label_all(staged: Stage) -> list[list[Labels]]:
    """Bodies and labels of a scene, for every camera."""
    scene = staged.scene
    bodies = [
        figure(world, build=Build(girth=person.girth), owner=n)
        for n, (world, person) in enumerate(zip(staged.people, scene.people, strict=True))
    ]
    things = np.flatnonzero(staged.solids.owner < 0)
    solids = together([*bodies, _boxes(staged)] if len(things) else bodies)
    return [
        label_joints(staged.people, H36M_17, solids, view, rule=scene.rule, soft_rays=scene.soft_rays,
                     slack=scene.slack)  # type: ignore[arg-type]
        for view in staged.views.values()
    ]  # fmt: skip


def _boxes(staged: Stage) -> Any:
    from posemend.occlusion.solids import boxes

    things = [box for thing in staged.scene.obstacles for box in thing.boxes()]
    velocity = [(*thing.velocity, 0.0) for thing in staged.scene.obstacles for _ in thing.boxes()]
    return boxes(things, staged.scene.frames, velocity, staged.scene.fps)


def labels(seconds: float, repeats: int) -> dict[str, Any]:
    """Speed on scenes of several presets."""
    found = {}
    for name in ("rig", "rig-objects", "crowd", "rig soft"):
        scene = draw(name.split()[0], 1, 0, seconds=seconds)
        if name.endswith("soft"):
            scene = replace(scene, soft_rays=16)
        staged = stage(scene, Library())
        spent, _ = timed(lambda staged=staged: label_all(staged), repeats)
        triples = len(staged.people) * 17 * len(staged.views) * scene.frames
        found[name] = {"people": len(staged.people), "solids": staged.solids.count, "triples": triples,
                       "median_cpu_s": spent, "per_second": triples / spent}  # fmt: skip
    return found


def embree(frames: int, repeats: int) -> tuple[dict[str, Any], float]:
    """Speed of first hits by Embree, and how often the first solid is the same as ours."""
    staged = stage(draw("rig-objects", 1, 0, seconds=frames / 50), Library())
    views = list(staged.views.values())

    def work() -> list[Any]:
        meshes = tessellate(staged.solids)
        found = []
        for frame in range(frames):
            # one tree a frame serves all cameras: their rays start elsewhere, so they are shot one by one
            for view in views:
                found.append(first_hits(meshes, frame, view.eyes[frame], staged.people[0][frame] - view.eyes[frame])[0])
        return found

    spent, hits = timed(work, repeats)
    same = []
    for place, view in enumerate(views):
        met = entries(staged.solids, view.eyes, staged.people[0] - view.eyes[:, None])
        ours = np.where(np.isfinite(met.min(-1)), met.argmin(-1), -1)
        theirs = np.stack(hits[place :: len(views)])
        same.append((ours == theirs).mean())
    triples = frames * len(views) * 17
    return {"triples": triples, "median_cpu_s": spent, "per_second": triples / spent}, float(np.mean(same))


def blender(program: Path, frames: int, repeats: int) -> dict[str, Any]:
    """Blender's labels of the same scenes, by both rules: speed, and equality with ours."""
    from posemend.blender import exchange, launch

    rows = []
    for preset, rule in (("rig-objects", "first-part"), ("rig-objects", "anatomy"), ("crowd", "anatomy")):
        scene = replace(draw(preset, 1, 0, seconds=frames / 50), rule=rule)
        staged = stage(scene, Library())
        spent, ours = timed(lambda staged=staged: label_all(staged), repeats)
        with tempfile.TemporaryDirectory() as folder:
            put, got = Path(folder) / "scene.npz", Path(folder) / "blocker.npz"
            exchange.write_exchange(put, staged.people, H36M_17, staged.solids, staged.views, scene.fps, around=48)
            answer = launch.run(
                "scene",
                {"exchange": str(put), "out": str(got), "slack": scene.slack, "rule": rule},
                program,
            )
            with np.load(got) as archive:
                theirs = archive["blocker"]
        mine = np.stack([np.concatenate([one.blocker for one in camera], 1) for camera in ours])
        rows.append({
            "preset": preset, "rule": rule, "blender": answer["blender"], "triples": answer["triples"],
            "cpu_s": answer["cpu_s"], "casting_cpu_s": answer["casting_cpu_s"], "ours_cpu_s": spent,
            "ratio": answer["cpu_s"] / spent, "ratio_casting_alone": answer["casting_cpu_s"] / spent,
            "equal": float(((mine >= 0) == (theirs >= 0)).mean()), "same_blocker": float((mine == theirs).mean()),
            "hidden": float((theirs >= 0).mean()),
        })  # fmt: skip
    whole = sum(row["triples"] for row in rows)
    return {
        "rows": rows,
        "triples": whole,
        "per_second": whole / sum(row["cpu_s"] for row in rows),
        "equal": float(np.average([row["equal"] for row in rows], weights=[row["triples"] for row in rows])),
        "ratio": sum(row["cpu_s"] for row in rows) / sum(row["ours_cpu_s"] for row in rows),
    }


def batches(repeats: int) -> dict[str, Any]:
    """Processor seconds of a batch and of a training step, one thread each."""
    import torch

    from posemend.training import loop
    from posemend.training.recipe import load
    from posemend.training.sources import source

    torch.set_num_threads(1)
    made = {}
    for name, share in (("spans", 0.0), ("rays", 1.0)):
        recipe = load(
            REPOSITORY / "recipes" / "lift-default.toml",
            ["data.packs={procedural=1.0}", "data.procedural_minutes=4", f"rays.share={share}"],
        )
        maker = source(recipe)
        numbers = iter(range(1000))
        made[name], batch = timed(lambda maker=maker, numbers=numbers: maker.batch(next(numbers)), repeats)
    step = loop._begin(recipe)
    spent, _ = timed(lambda: loop._learn(batch, 0, recipe, step), repeats)
    return {
        "samples": recipe.optim.batch, "frames": recipe.optim.frames, "bfloat16": step.bfloat16,
        "spans_cpu_s": made["spans"], "rays_cpu_s": made["rays"], "step_cpu_s": spent,
        # of two cores one trains and the other makes batches: how far ahead that one runs
        "ahead": spent / made["rays"],
    }  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blender", type=Path, required=True, help="Blender, or a Python that has bpy")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the labelled scenes")
    parser.add_argument("--frames", type=int, default=100, help="frames that Embree and Blender label")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, required=True)
    words = parser.parse_args()
    record.check_target(words.output)
    packages = ("numpy", "embreex", "trimesh", "torch")
    found: dict[str, Any] = {"kind": "labelling", "schema": record.SCHEMA, **record.facts(REPOSITORY, packages)}
    found["settings"] = {"seconds": words.seconds, "frames": words.frames, "repeats": words.repeats}
    found["labels"] = labels(words.seconds, words.repeats)
    found["embree"], same = embree(words.frames, words.repeats)
    found["agreement"] = {"embree": same}
    found["ratio_to_embree"] = found["labels"]["rig-objects"]["per_second"] / found["embree"]["per_second"]
    found["blender"] = blender(words.blender, words.frames, words.repeats)
    found["ratio_to_blender"] = found["blender"]["ratio"]
    found["batches"] = batches(words.repeats)
    record.save(words.output, found)
    for name, row in found["labels"].items():
        print(f"{name:12} {row['per_second'] / 1e6:6.2f} million triples a second")
    print(f"Embree       {found['embree']['per_second'] / 1e6:6.3f} million; first solid the same {same:.4f}")
    shown = found["blender"]
    print(f"Blender      {shown['per_second'] / 1e6:6.3f} million; labels equal {shown['equal']:.5f}; "
          f"ours {shown['ratio']:.0f} times as fast")  # fmt: skip
    print(f"a step {found['batches']['step_cpu_s']:.3f} s, a batch by rays {found['batches']['rays_cpu_s']:.3f} s, "
          f"by spans {found['batches']['spans_cpu_s']:.3f} s")  # fmt: skip


if __name__ == "__main__":
    main()
