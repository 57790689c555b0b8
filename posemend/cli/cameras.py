"""``triangulate``: several calibrated cameras to one 3D pose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from posemend.cli import options, output
from posemend.cli.run import check_targets, everybody, save, summary


def triangulate(
    *files: Path,
    out: options.Out,
    cameras: Annotated[
        Path | None,
        Parameter(help="Calibration: Pose2Sim's .toml, posemend's camera .json, or .npz with K and RT."),
    ] = None,
    views: Annotated[
        list[str] | None,
        Parameter(consume_multiple=True, negative=(), help="Names of the files' cameras, in the files' order."),
    ] = None,
    unit: Annotated[Literal["m", "cm", "mm"], Parameter(help="Unit of the calibration's translations.")] = "m",
    tolerance: Annotated[
        float, Parameter(help="Metres beside a joint from which a camera contradicts the others and is left out.")
    ] = 0.1,
    person: options.Person = None,
    reading: options.Told = None,
    as_json: options.Json = False,
) -> None:
    """3D from the keypoints of several calibrated cameras, frame by frame; no model is needed.

    Of several people in a file, the one is taken whom the other cameras mean.

    Args:
        files: Keypoints, one file or folder per camera, in the calibration's order.
    """
    from posemend.errors import InputError
    from posemend.formats.calibration import read_cameras
    from posemend.multiview import match_people
    from posemend.multiview import triangulate as from_views

    check_targets(out, None, list(files))
    with output.remarks(as_json) as remarks:
        with output.working("reading", as_json):
            known = None if cameras is None else _chosen(read_cameras(cameras, unit), views)
            people = [everybody(file, person, reading) for file in files]
        if not tolerance > 0:
            raise InputError(f"--tolerance wants metres above 0, got {tolerance}.")
        with output.working("triangulating", as_json):
            found = from_views(match_people(people, known, tolerance), known, tolerance)
        written = save(out, [found.pose])
    report = found.report()
    if as_json:
        facts = {"verb": "triangulate", "people": [summary(found.pose) | {"file": written[0]}]}
        output.print_json(facts | {"tolerance": tolerance, "reprojection": report, "warnings": remarks})
        return
    for title, part in (("camera", report["cameras"]), ("joint", report["joints"])):
        rows = [[name, *(_cell(line, key) for key in _COLUMNS)] for name, line in part.items()]
        output.print_table(f"Reprojection by {title}, medians", [title, *_COLUMNS.values()], rows)
    print(f"{written[0]}: {len(found.pose)} frames, {_cell(report['all'], 'found')} of the joints found")


_COLUMNS = {"pixels": "px", "mm": "mm", "used": "used", "found": "found", "sigma_mm": "expected error, mm"}


def _cell(line: dict[str, Any], key: str) -> str:
    value = line.get(key)
    if value is None:
        return "–"
    return f"{value:.0%}" if key in ("used", "found") else f"{value:.1f}"


def _chosen(cameras: list[Any], names: list[str] | None) -> list[Any]:
    """The cameras of those names, in that order; all of them if none is named."""
    from posemend.errors import InputError

    if not names:
        return cameras
    by_name = {view.name: view for view in cameras}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise InputError(f"The calibration has no camera '{missing[0]}'. It has: {', '.join(by_name)}.")
    return [by_name[name] for name in names]
