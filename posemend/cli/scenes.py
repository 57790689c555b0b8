"""``data scene``, ``data label``, ``data picture``: made-up scenes with every joint labelled."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from posemend.cli import options, output

_MANY = Parameter(consume_multiple=True, negative=())
Packs = Annotated[Path | None, Parameter(help="Folder of motion packs (*.npz), where a scene names one.")]


def scene(
    *,
    preset: Annotated[str, Parameter(help="rig, rig-objects, surveillance, hand-held, close-up or crowd.")],
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder for the scene files.")],
    seed: Annotated[int, Parameter(help="Of all chance; scenes of one seed share their cameras.")] = 0,
    count: Annotated[int, Parameter(help="How many scenes.")] = 1,
    motions: Annotated[list[str] | None, _MANY] = None,
    packs: Packs = None,
    seconds: Annotated[float | None, Parameter(help="Length of a scene; the preset's if left out.")] = None,
    fps: Annotated[float, Parameter(help="Frames per second.")] = 50.0,
    soft_rays: Annotated[int, Parameter(help="Rays a joint for soft visibility, such as 16; 0 leaves it out.")] = 0,
    mesh: Annotated[list[Path] | None, _MANY] = None,
    detector: Annotated[
        str,
        Parameter(help="Whose keypoints labels hold: protocol, or one fitted to a real detector, such as mediapipe."),
    ] = "protocol",
    as_json: options.Json = False,
) -> None:
    """Draw scenes from a seed: people, things and cameras, one small readable file each.

    Args:
        motions: `procedural:everyday` (the default), `procedural` (floor work too), names of packs.
        mesh: Skinned meshes (.glb, .gltf) that people wear, one after another, in place of capsules.
    """
    from posemend.datasets import scene_presets
    from posemend.datasets.scene import to_toml
    from posemend.datasets.scene_files import write_whole
    from posemend.datasets.skins import read_skin
    from posemend.datasets.staging import Library
    from posemend.errors import InputError

    if not 1 <= count <= 100_000:
        raise InputError(f"--count wants 1 to 100000, got {count}.")
    library = Library(packs)
    for path in mesh or []:
        read_skin(path)  # rather now than when the scenes are labelled
    written = []
    with output.working("drawing scenes", as_json):
        for number in range(count):
            drawn = scene_presets.draw(
                preset, seed, number, library=library, sources=motions or ["procedural:everyday"], seconds=seconds,
                fps=fps, soft_rays=soft_rays,
            )  # fmt: skip
            drawn = _dressed(drawn, mesh or [], number, out)
            drawn = replace(drawn, detector=detector)
            path = out / f"{drawn.name}.toml"
            write_whole(path, to_toml(drawn).encode())
            written.append(path)
    if as_json:
        output.print_json({"verb": "data scene", "scenes": written})
    else:
        print(f"{out}: {len(written)} scenes. Label them with: posemend data label {out} -o DATA")


def _dressed(drawn: Any, meshes: list[Path], number: int, out: Path) -> Any:
    """The scene with meshes on its people, their paths as seen from ``out``."""
    if not meshes:
        return drawn
    paths = [Path(os.path.relpath(mesh.resolve(), out.resolve())).as_posix() for mesh in meshes]
    people = (replace(person, mesh=paths[(number + n) % len(paths)]) for n, person in enumerate(drawn.people))
    return replace(drawn, people=tuple(people))


def label(
    *scenes: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder of the data set.")],
    packs: Packs = None,
    format: Annotated[list[str] | None, _MANY] = None,
    depth: Annotated[str | None, Parameter(help="Also depth maps as of this sensor: itop, azure-kinect.")] = None,
    every: Annotated[int, Parameter(help="COCO images and depth maps of every so many frames.")] = 1,
    workers: Annotated[int, Parameter(help="Processes.")] = 1,
    as_json: options.Json = False,
) -> int:
    """Scenes to a labelled data set on disk; run again, it goes on with what is not done.

    Args:
        scenes: Scene files, or folders of them.
        format: Beside the project's own labels: `blendmimic3d` (the default), `coco`, or both.
    """
    from posemend.datasets.producing import Order, produce_all

    if out.is_file() or not out.parent.is_dir():
        from posemend.errors import InputError

        raise InputError(f"Cannot write to '{out}': wanted a folder, new or not, inside of a folder that exists.")
    order = Order(out, packs, tuple(format or ["blendmimic3d"]), depth, every)
    with output.counting("labelling", as_json) as tell:
        report = produce_all(scenes, order, workers, tell)
    failed = [row for row in report if not row["done"]]
    if as_json:
        output.print_json({"verb": "data label", "out": out, "scenes": report, "failed": len(failed)})
    else:
        for row in failed:
            output.note(f"{row['file']}: {row['error']}")
        new = sum(bool(row.get("new")) for row in report)
        print(f"{out}: {len(report) - len(failed)} of {len(report)} scenes ({new} now)")
    return 1 if failed else 0


def picture(
    *scenes: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Contact sheet to write, .png.")],
    packs: Packs = None,
    film: Annotated[Path | None, Parameter(help="Also a short film of the first scene: .gif, .webp or .mp4.")] = None,
    seconds: Annotated[float, Parameter(help="Length of the film.")] = 4.0,
    against: Annotated[
        Path | None, Parameter(help="Folder of BlendMimic3D: its histograms are drawn beside the scenes'.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Look at scenes: joints coloured by what hides them, and how long and how many at a time.

    Args:
        scenes: Scene files or folders; the first is drawn, the histograms count all.
    """
    from posemend.datasets import blendmimic3d
    from posemend.datasets.producing import scene_paths
    from posemend.datasets.scene import read_scene
    from posemend.datasets.staging import Library, label_stage, stage
    from posemend.occlusion.runs import counted, summary
    from posemend.viewer import pictures

    output.check_output(out, (".png",))
    if film is not None:
        output.check_output(film, pictures.FILMS)
    library = Library(packs)
    shots: list[pictures.Shot] = []
    hidden = []
    first: Any = None
    with output.working("labelling and drawing", as_json):
        for path in scene_paths(scenes):
            library.meshes = path.parent
            staged = stage(read_scene(path), library)
            seen = label_stage(staged)
            hidden += [one.labels.kind > 0 for one in seen]
            if first is None:
                first = staged.scene
                shots = [
                    pictures.Shot(
                        name, view, staged.solids, staged.people,
                        [one.labels.kind for one in seen if one.camera == name], seen[0].take.truth.skeleton,
                    )
                    for name, view in staged.views.items()
                ]  # fmt: skip
        counts = {"scenes": counted(hidden)}
        if against is not None:
            for subject in ("S1", "S2"):
                takes = blendmimic3d.read(against, [subject])
                counts[f"BlendMimic3D {subject}"] = counted([~take.truth.visible for take in takes])
        pictures.sheet(out, shots, counts, title=first.name)
        if film is not None:
            frames = min(first.frames, max(1, round(seconds * first.fps)), pictures.MOST_FRAMES)
            pictures.film(film, shots, first.fps, frames)
    facts = {name: summary(*value) for name, value in counts.items()}
    if as_json:
        output.print_json({"verb": "data picture", "sheet": out, "film": film, "counts": facts})
        return
    columns = ["", "runs", "median", "mean", "90 %", "hidden joints", "frames with any"]
    keys = ("runs", "run_median", "run_mean", "run_p90", "hidden_mean", "hidden_any")
    rows = [[name, *("-" if fact[k] is None else f"{fact[k]:.4g}" for k in keys)] for name, fact in facts.items()]
    output.print_table("hidden runs (frames) and hidden joints (per frame)", columns, rows)


def register(app: App) -> None:
    """Put the verbs of scenes into ``posemend data``."""
    app.command(scene)
    app.command(label)
    app.command(picture)
