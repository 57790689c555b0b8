"""``adapt``: the shipped lifter, taught further on somebody's own keypoints."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from posemend.cli import options, output
from posemend.cli.run import everybody, two_d


def adapt(
    *files: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder of the bundle to write.")],
    minutes: Annotated[float, Parameter(help="About how long to learn.")] = 10.0,
    bundle: options.Bundle = "default",
    cameras: Annotated[
        Path | None,
        Parameter(help="Calibration, if the files are one per camera of the same moment: then several views teach."),
    ] = None,
    unit: Annotated[Literal["m", "cm", "mm"], Parameter(help="Unit of the calibration's translations.")] = "m",
    person: options.Person = None,
    seed: Annotated[int, Parameter(help="Seed of all chance.")] = 0,
    reading: options.Told = None,
    as_json: options.Json = False,
) -> None:
    """Teach the lifter on your own keypoints, which need no 3D labels (needs the extra 'train').

    The bundle is written only if it is not worse on a built-in check with truth.

    Args:
        files: Keypoints of any camera; with --cameras one file per camera of the same moment.
    """
    from posemend.errors import InputError, require

    require("torch", "train")
    from posemend.training.adapting import adapt as teach

    if not files:
        raise InputError("adapt wants at least one keypoint file.")
    if not out.parent.is_dir():
        raise InputError(f"Cannot write '{out}': there is no folder '{out.parent}'. Make it first.")
    with output.remarks(as_json) as remarks:
        with output.working("reading", as_json):
            people = [two_d(everybody(file, person, reading), file) for file in files]
            clips, moments = _together(people, cameras, unit) if cameras else ([p for one in people for p in one], [])
        with tempfile.TemporaryDirectory(prefix="posemend-adapt-") as folder:
            done = teach(clips, out, folder, minutes, bundle, moments, seed, show=not as_json)
    facts: dict[str, Any] = {
        "verb": "adapt", "bundle": out, "clips": len(clips), "steps": done.steps, "seconds": done.seconds,
        "share": done.share, "check_mm": done.check, "without_truth": done.clips, "warnings": remarks,
    }  # fmt: skip
    if as_json:
        output.print_json(facts)
        return
    rows = [[f"built-in check, {name}, mm", f"{done.check['before'][name]:.1f}", f"{done.check['after'][name]:.1f}"]
            for name in done.check["before"]]  # fmt: skip
    for key, label in _LABELS.items():
        before, after = done.clips["before"][key], done.clips["after"][key]
        rows.append([label, *("–" if value is None else f"{value:.3g}" for value in (before, after))])
    output.print_table(f"{done.steps} steps on {len(clips)} clips", ["", "before", "after"], rows)
    print(f"{out}: use it with --bundle {out}")


_LABELS = {
    "reprojection_px": "your clips: reprojection, px",
    "reprojection_percent": "your clips: reprojection, % of the person",
    "bone_change_mm": "your clips: change of bone lengths, mm",
    "height_spread": "your clips: disagreement of limbs on the height",
}


def _together(people: list[list[Any]], cameras: Path, unit: str) -> tuple[list[Any], list[int]]:
    """One person per camera of one moment, on undistorted pixels, each with its camera."""
    from posemend.formats.calibration import read_cameras
    from posemend.multiview import match_people, undistorted, viewpoints

    known = read_cameras(cameras, unit)
    chosen = match_people(people, known)
    views = viewpoints(chosen, known)
    return [undistorted(pose, view) for pose, view in zip(chosen, views, strict=True)], [0] * len(chosen)
