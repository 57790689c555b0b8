"""``convert`` and ``view``: other people's files and eyes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from posemend.cli import options, output
from posemend.cli.run import PAGE_SUFFIXES, check_targets, everybody, one_person, save, summary


def convert(
    file: Path,
    out: Path,
    *,
    to: Annotated[str | None, Parameter(help="Skeleton to change to, joint by name; as it is if left out.")] = None,
    person: options.Person = None,
    reading: options.Told = None,
    as_json: options.Json = False,
) -> None:
    """One file format or skeleton to another, 2D or 3D.

    Args:
        file: What to read.
        out: What to write: .npz, .json or .csv. Several people: OUT.p0.npz, ...
    """
    import posemend

    check_targets(out, None, [file])
    target = None if to is None else posemend.skeleton(to)
    with output.remarks(as_json) as remarks:
        with output.working(f"reading {file.name}", as_json):
            people = everybody(file, person, reading)
            converted = people if target is None else [posemend.convert(one, target) for one in people]
        written = save(out, converted)
    facts = [summary(one) | {"file": path} for one, path in zip(converted, written, strict=True)]
    if as_json:
        output.print_json({"verb": "convert", "people": facts, "warnings": remarks})
        return
    for one in facts:
        print(f"{one['file']}: {one['frames']} frames, {one['skeleton']}")


def view(
    *files: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The page to write, .html.")],
    truth: Annotated[Path | None, Parameter(help="The true pose, for error curves.")] = None,
    person: options.Person = None,
    reading: options.Told = None,
    depth: options.Depth = None,
    open_page: Annotated[bool, Parameter(name="--open", negative=(), help="Open the page in a browser.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write one HTML page that shows poses in 3D, offline, in any browser.

    Args:
        files: 3D poses of one person, drawn side by side, the last as the refined one; at most one 2D file. With
            --depth the last one is drawn among the points of the maps, and must say where it is.
    """
    import posemend
    from posemend.cli.depth import opened
    from posemend.errors import InputError

    output.check_output(out, PAGE_SUFFIXES, [*files] if truth is None else [*files, truth])
    with output.remarks(as_json) as remarks, output.working("reading and drawing", as_json):
        loaded: list[tuple[Path, Any]] = [(file, one_person(file, person, reading)) for file in files]
        true_pose = None if truth is None else one_person(truth, person, reading)
        seen = [pose for _, pose in loaded if isinstance(pose, posemend.Pose2D)]
        poses = [replace(pose, name=file.stem) for file, pose in loaded if isinstance(pose, posemend.Pose3D)]
        if not poses or len(seen) > 1 or isinstance(true_pose, posemend.Pose2D):
            raise InputError(
                f"view wants at least one 3D pose, at most one 2D file, and a truth in 3D; got {len(poses)} 3D and "
                f"{len(seen)} 2D. For 2D alone: posemend run FILE -o OUT.npz --html {out.name}"
            )
        maps = None if depth is None or depth.depth is None else opened(depth, poses[-1].fps)[0]
        posemend.view(
            out, *poses, truth=true_pose, keypoints=seen[0] if seen else None, title=poses[-1].name, depth=maps
        )
    if as_json:
        facts = {"verb": "view", "html": out, "poses": [summary(pose) for pose in poses], "warnings": remarks}
        output.print_json(facts)
    else:
        print(f"{out}: open it in a browser")
    if open_page:
        import webbrowser

        webbrowser.open(out.resolve().as_uri())
