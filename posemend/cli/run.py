"""``run``, ``lift`` and ``refine``: the main job, whole and in its two halves."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from posemend.cli import options, output

if TYPE_CHECKING:
    from posemend.body.pose import Pose2D, Pose3D

PAGE_SUFFIXES = (".html", ".htm")


def run(
    file: Path,
    *,
    out: options.Out,
    person: options.Person = None,
    bundle: options.Bundle = "default",
    html: options.Html = None,
    refine: bool = True,
    fix_handedness: options.FixHandedness = False,
    reading: options.Told = None,
    as_json: options.Json = False,
) -> None:
    """2D keypoints in, 3D that survives occlusion out.

    Args:
        file: Keypoints of a detector, a file or a folder; `docs/formats.md` lists the kinds.
        refine: Take the tremble out of the lifter's pose; with --no-refine it is as the network says.
    """
    started = time.perf_counter()
    check_targets(out, html, [file])
    with output.remarks(as_json) as remarks:
        with output.working(f"reading {file.name}", as_json):
            people = _keypoints(file, person, reading)
        with output.counting("lifting and refining" if refine else "lifting", as_json) as progress:
            results = _three_d(people, bundle, refine, fix_handedness, progress)
        poses = [result.refined for result in results]  # the lifted ones where nothing was to be refined
        written = save(out, poses)
        if html is not None:
            _page(html, results, refine, file.name)
    _report("run" if refine else "lift", bundle, poses, written, html, remarks, started, as_json)


def lift(
    file: Path,
    *,
    out: options.Out,
    person: options.Person = None,
    bundle: options.Bundle = "default",
    html: options.Html = None,
    fix_handedness: options.FixHandedness = False,
    reading: options.Told = None,
    as_json: options.Json = False,
) -> None:
    """2D keypoints in, the lifter's 3D out: the first half of `run`.

    Args:
        file: Keypoints of a detector, a file or a folder.
    """
    run(
        file,
        out=out,
        person=person,
        bundle=bundle,
        html=html,
        refine=False,
        fix_handedness=fix_handedness,
        reading=reading,
        as_json=as_json,
    )


def refine(
    pose: Path | None = None,
    *,
    out: options.Out,
    keypoints: Annotated[
        Path | None, Parameter(help="The 2D that the pose was made from: says which joints were hidden.")
    ] = None,
    kind: Annotated[str | None, Parameter(help="Kind of the pose file, where its content does not tell.")] = None,
    skeleton: Annotated[str | None, Parameter(help="Skeleton of the pose, where the file does not say.")] = None,
    fps: Annotated[float | None, Parameter(help="Frames per second, where the files do not say.")] = None,
    key: Annotated[str | None, Parameter(help="Which array of a bare .npz holds the pose.")] = None,
    keypoints_kind: Annotated[str | None, Parameter(help="Kind of the keypoint file.")] = None,
    keypoints_skeleton: Annotated[str | None, Parameter(help="Skeleton of the keypoint file.")] = None,
    width: Annotated[int | None, Parameter(help="Image width in pixels, where the keypoints do not say.")] = None,
    height: Annotated[int | None, Parameter(help="Image height in pixels, where the keypoints do not say.")] = None,
    trust: Annotated[bool, Parameter(negative=(), help="Also read object arrays; only data is let in.")] = False,
    depth: options.Depth = None,
    person: options.Person = None,
    bundle: options.Bundle = "default",
    html: options.Html = None,
    fix_handedness: options.FixHandedness = False,
    as_json: options.Json = False,
) -> None:
    """Repair the 3D of any lifter; the second half of `run`. With --depth, from keypoints and depth maps.

    Args:
        pose: The lifter's pose: our own .npz, or .npy/.npz of shape (T, J, 3) in metres with --skeleton. With
            --depth and --keypoints it may be left out.
    """
    from posemend.cli import depth as with_depth

    started = time.perf_counter()
    asked = depth is not None and depth.depth is not None
    with_depth.check_asked(pose, keypoints, asked)
    check_targets(out, html, [path for path in (pose, keypoints, depth.depth if depth else None) if path is not None])
    told = options.Reading(kind, skeleton, fps, width, height, key, trust)
    with output.remarks(as_json) as remarks:
        with output.working(f"reading {(pose or keypoints).name}", as_json):  # type: ignore[union-attr]
            raw = None if pose is None else _raw_pose(pose, person, told)
            seen = None
            if keypoints is not None:
                told = replace(told, kind=keypoints_kind, skeleton=keypoints_skeleton, key=None)
                seen = two_d([one_person(keypoints, person, told)], keypoints)[0]
        with output.working("refining", as_json):
            if asked or with_depth.is_depth_set(bundle):
                raw, seen, clip, repaired = with_depth.repaired(raw, seen, depth, bundle, fps)
            else:
                from posemend.runtime.apply import refine as repair

                assert raw is not None
                clip, repaired = None, repair(raw, seen, bundle=bundle, fix_handedness=fix_handedness)
        written = save(out, [repaired])
        if html is not None:
            from posemend import view

            title = (pose or keypoints).name  # type: ignore[union-attr]
            before = "lifted by depth" if pose is None else "raw"
            layers = [repaired] if raw is None else [replace(raw, name=before), replace(repaired, name="refined")]
            view(html, *layers, keypoints=seen, title=title, depth=clip)
    _report("refine", bundle, [repaired], written, html, remarks, started, as_json)


def check_targets(out: Path, html: Path | None, inputs: Sequence[Path]) -> None:
    """Refuse impossible outputs before any work is done."""
    from posemend.formats import WRITERS

    output.check_output(out, tuple(WRITERS), inputs)
    if html is not None:
        output.check_output(html, PAGE_SUFFIXES, inputs)


def everybody(file: Path, person: str | None, reading: options.Told) -> list[Any]:
    """All people of a file, or the one that was asked for."""
    from posemend.formats import read, read_people

    told = (reading or options.Reading()).told()
    return list(read_people(file, **told)) if person is None else [read(file, person=person, **told)]


def one_person(file: Path, person: str | None, reading: options.Told) -> Any:
    """The person of a file. Where there is but one, ``person`` is meant for another file of the same call."""
    from posemend.formats import read, read_people

    told = (reading or options.Reading()).told()
    people = read_people(file, **told)
    return people[0] if len(people) == 1 else read(file, person=person, **told)


def two_d(people: Sequence[Any], file: Path) -> list[Pose2D]:
    """The people of a file, which must be keypoints."""
    from posemend.body.pose import Pose2D
    from posemend.errors import InputError

    if not all(isinstance(one, Pose2D) for one in people):
        raise InputError(f"'{file}' holds a 3D pose; 2D keypoints are wanted. For 3D use: posemend refine {file}")
    return list(people)


def _keypoints(file: Path, person: str | None, reading: options.Told) -> list[Pose2D]:
    return two_d(everybody(file, person, reading), file)


def _raw_pose(file: Path, person: str | None, reading: options.Told) -> Pose3D:
    from posemend.body.pose import Pose3D
    from posemend.errors import InputError

    pose = one_person(file, person, reading)
    if not isinstance(pose, Pose3D):
        raise InputError(f"'{file}' holds 2D keypoints; a 3D pose is wanted. For 2D use: posemend run {file}")
    return pose


def _three_d(
    people: list[Pose2D], bundle: str, refine: bool, fix: bool, progress: Callable[[int, int], None] | None
) -> list[Any]:
    """Lifted and refined people.

    One view does not prove that 2D keypoints are mirrored, so what was lifted
    from them is judged, and doubt is a remark and not a refusal.
    """
    from posemend.body.handedness import handedness
    from posemend.runtime import pipeline

    results = pipeline.run(people, bundle=bundle, refine=refine, progress=progress)
    for place, (person, result) in enumerate(zip(people, results, strict=True)):
        if handedness(result.lifted).verdict != "mirrored":
            continue
        label = person.name or f"person {place}"
        if fix:
            results[place] = pipeline.run([swapped(person)], bundle=bundle, refine=refine)[0]
            warnings.warn(f"{label}: left and right were exchanged.", stacklevel=2)
        else:
            warnings.warn(
                f"{label}: left and right look swapped in the 2D keypoints. "
                "Name the file's true skeleton (--skeleton), or repair with --fix-handedness.",
                stacklevel=2,
            )
    return results


def swapped(person: Pose2D) -> Pose2D:
    """Keypoints with left and right exchanged; positions stay where they are."""
    order = list(person.skeleton.mirror)
    return replace(
        person,
        positions=person.positions[:, order],
        score=person.score[:, order],
        visible=person.visible[:, order],
    )


def _page(path: Path, results: Sequence[Any], refine: bool, title: str) -> None:
    """All people of a run on one page, what was lifted beside what was refined."""
    from posemend.viewer import Layer, Scene, write_html

    scenes = []
    for place, result in enumerate(results):
        layers = [Layer(result.lifted, "raw", "raw")]
        if refine:
            layers.append(Layer(result.refined, "refined", "refined"))
        name = result.keypoints.name or (f"person {place}" if len(results) > 1 else "")
        scenes.append(Scene(layers, result.keypoints, f"{title} {name}".strip()))
    write_html(path, scenes)


def save(out: Path, poses: Sequence[Pose2D | Pose3D]) -> list[Path]:
    """Write everybody, all or none."""
    from posemend.formats import write_people

    return [Path(path) for path in write_people(out, poses)]


def summary(pose: Pose2D | Pose3D) -> dict[str, Any]:
    """What a program wants to know about one written pose."""
    return {
        "name": pose.name,
        "frames": len(pose),
        "fps": pose.fps,
        "skeleton": pose.skeleton.name,
        "hidden_share": float(1 - pose.visible.mean()),
    }


def _report(
    verb: str, bundle: str, poses: Sequence[Pose3D], written: Sequence[Path], html: Path | None,
    remarks: Sequence[str], started: float, as_json: bool,
) -> None:  # fmt: skip
    seconds = time.perf_counter() - started
    people = [summary(pose) | {"file": path} for pose, path in zip(poses, written, strict=True)]
    if as_json:
        facts = {"verb": verb, "bundle": bundle, "people": people, "html": html, "warnings": list(remarks)}
        output.print_json(facts | {"seconds": round(seconds, 3)})
        return
    for one in people:
        print(f"{one['file']}: {one['frames']} frames, {one['skeleton']}, {one['hidden_share']:.0%} of joints hidden")
    if html is not None:
        print(f"{html}: open it in a browser")
