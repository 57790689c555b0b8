"""``demo``: the whole job on the built-in clip, whose truth is known.

The clip is made by the program itself: a procedural person who walks, turns,
reaches and sits behind obstacles, seen through a simulated detector.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from posemend.cli import options, output
from posemend.cli.run import PAGE_SUFFIXES

ROWS = (
    ("all joints, mm", "mpjpe_mm", "all"),
    ("visible joints, mm", "mpjpe_mm", "visible"),
    ("hidden joints, mm", "mpjpe_mm", "hidden"),
    ("all joints after alignment, mm", "p_mpjpe_mm", "all"),
    ("velocity, mm/frame", "mpjve_mm", None),
)


def demo(
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The page to write.")] = Path("posemend-demo.html"),
    bundle: options.Bundle = "default",
    seed: Annotated[int, Parameter(help="Seed of the simulated detector.")] = 0,
    as_json: options.Json = False,
) -> None:
    """The main job on the built-in clip: a table of errors, and a page to look at."""
    from posemend.datasets.procedural import demo_clip
    from posemend.filters import fill_gaps
    from posemend.occlusion.hide import keypoints_for
    from posemend.runtime import pipeline
    from posemend.viewer import Layer, Scene, write_html

    output.check_output(out, PAGE_SUFFIXES)
    with output.working("making the clip", as_json):
        take = demo_clip()
        keypoints = keypoints_for(take, "detector", seed)
    started = time.perf_counter()
    with output.working("lifting and refining", as_json):
        result = pipeline.run([keypoints], bundle=bundle, refine=True)[0]
    seconds = time.perf_counter() - started
    blind = pipeline.run([fill_gaps(keypoints)], bundle=bundle, refine=False)[0].lifted
    poses = {"blind": blind, "raw": result.lifted, "refined": result.refined}
    errors = {name: _errors(take, pose, seed) for name, pose in poses.items()}
    layers = [
        Layer(blind, "occlusion handling off", "raw"), Layer(result.refined, "refined", "refined"),
        Layer(take.truth, "truth", "truth"),
    ]  # fmt: skip
    with output.working("drawing", as_json):
        write_html(out, [Scene(layers, keypoints, "posemend demo: without occlusion handling, refined, true")])
    hidden = float(1 - take.truth.visible.mean())
    if as_json:
        facts = {"verb": "demo", "bundle": bundle, "frames": len(take.truth), "hidden_share": hidden}
        output.print_json(facts | errors | {"html": out.resolve(), "seconds": round(seconds, 3)})
        return
    title = f"Errors on the built-in clip ({len(take.truth)} frames, {hidden:.0%} of joints hidden)"
    output.print_table(title, ["", "handling off", "raw", "refined", "change"], [_row(errors, *row) for row in ROWS])
    print(f"Lifted and refined in {seconds:.1f} s. See it in a browser:")
    print(out.resolve())


def _errors(take: Any, pose: Any, seed: int) -> dict[str, Any]:
    from posemend.evaluation.protocol import evaluate

    found = evaluate([take], lambda keypoints: pose, on="demo", split="demo", input="detector", seed=seed)
    return {key: found[key] for key in ("mpjpe_mm", "p_mpjpe_mm", "mpjve_mm")}


def _row(errors: dict[str, dict[str, Any]], label: str, key: str, part: str | None) -> list[str]:
    found = [errors[name][key] if part is None else errors[name][key][part] for name in ("blind", "raw", "refined")]
    if None in found or not found[0]:
        return [label, "–", "–", "–", "–"]
    return [label, *(f"{value:.1f}" for value in found), f"{found[2] / found[0] - 1:+.0%}"]
