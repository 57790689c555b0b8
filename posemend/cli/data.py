"""``data``: make the data that models are trained on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from posemend.cli import options, output, scenes

app = App(
    name="data",
    help="Make data to train on: motion packs from motion capture files, and made-up scenes labelled joint by joint.",
    help_format="plaintext",
    sort_key=20,  # after the other verbs
)


scenes.register(app)


@app.command
def build(
    *folders: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The pack to write, .npz.")],
    rate: Annotated[float, Parameter(help="Frames per second of the pack.")] = 50.0,
    fps: Annotated[float | None, Parameter(help="Frames per second of the files, where they are wrong.")] = None,
    skip: Annotated[
        int | None, Parameter(help="Leave out that many frames at each start; else a rest pose is found by itself.")
    ] = None,
    unit: Annotated[
        Literal["m", "cm", "mm", "in", "cmu"] | None,
        Parameter(help="Unit of the files; else found by the rig and the length of the legs."),
    ] = None,
    up: Annotated[Literal["y", "z"] | None, Parameter(help="The files' upward axis; else found.")] = None,
    shortest: Annotated[float, Parameter(help="Drop pieces shorter than that many seconds.")] = 0.6,
    licence: Annotated[str, Parameter(help="What may be done with the motions; written into the pack.")] = "not stated",
    names: Annotated[
        str | None, Parameter(help="Regular expression with groups subject and action, for the files' names.")
    ] = None,
    workers: Annotated[int | None, Parameter(help="Processes; as many as there are cores if left out.")] = None,
    report: Annotated[Path | None, Parameter(help="Where the report goes; else OUT.report.json.")] = None,
    as_json: options.Json = False,
) -> None:
    """Turn folders of BVH, ASF/AMC and C3D files into one motion pack, and report what was dropped and why.

    A build that was stopped goes on where it was when the same command is given again.

    Args:
        folders: Searched to any depth; single files are fine too.
    """
    from posemend.datasets import build as building
    from posemend.datasets.mocap import Settings
    from posemend.errors import InputError

    output.check_output(out, (".npz",), folders)
    if report is not None:
        output.check_output(report, (".json",))
    for name, value, least in (("rate", rate, 1.0), ("fps", fps, 1.0), ("skip", skip, 0), ("shortest", shortest, 0)):
        if value is not None and not least <= value <= 10_000:
            raise InputError(f"--{name} wants a number from {least:g} to 10000, got {value:g}.")
    count = os.cpu_count() or 1 if workers is None else workers
    if not 1 <= count <= 256:
        raise InputError(f"--workers wants 1 to 256 processes, got {count}.")
    settings = Settings(rate, fps, skip, unit, up, shortest)
    with output.counting("converting", as_json) as progress:
        found = building.build(
            folders, out, settings, licence=licence, names=names, workers=count, report=report, progress=progress
        )
    if as_json:
        output.print_json({"verb": "data build", "out": out} | found)
    else:
        _print(found, out, building.reasons(found))
        print(f"file by file: {out.with_suffix('.report.json') if report is None else report}")


def _print(found: dict[str, Any], out: Path, reasons: list[tuple[str, int, str]]) -> None:
    rigs: dict[str, list[int]] = {}
    for row in found["files"]:
        sums = rigs.setdefault(str(row.get("rig", "not read")), [0, 0, 0, 0])
        for place, value in enumerate((1, row["kept"], row.get("frames", 0), sum(row.get("pieces", [])))):
            sums[place] += value
    totals = found["totals"]
    title = f"{out}: {totals['sequences']} sequences, {totals['frames']} frames, {totals['seconds']:.0f} s"
    columns = ["rig", "files", "of them kept", "frames read", "frames written"]
    output.print_table(title, columns, [[rig, *map(str, sums)] for rig, sums in sorted(rigs.items())])
    if reasons:
        rows = [[why, str(times), example] for why, times, example in reasons]
        output.print_table("left out", ["why", "times", "first"], rows, numbers=False)
    remarks = sum(bool(row.get("remarks")) for row in found["files"])
    if remarks:
        print(f"{remarks} files were read with a remark, which the report has.")
