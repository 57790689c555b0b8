"""``blender extract`` and ``blender render``: labelled data out of Blender, and scenes of ours into it."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from posemend.cli import options, output, rigged

_MANY = Parameter(consume_multiple=True, negative=())
Program = Annotated[
    Path | None,
    Parameter(name="--blender", help="Blender, or a Python that has bpy; else POSEMEND_BLENDER, else 'blender'."),
]

Armatures = Annotated[list[str] | None, _MANY]
Bones = Annotated[
    Path | None, Parameter(help="File (TOML, JSON) that says which bone is which joint; others are guessed.")
]
Metres = Annotated[float | None, Parameter(help="Metres in Blender's unit; the file's unit scale if left out.")]

app = App(
    name="blender",
    help="To and from Blender: extract labelled data from a .blend file, render scenes.",
    help_format="plaintext",
    sort_key=21,
)


@app.command
def extract(
    blends: Annotated[list[Path], Parameter(name="BLEND", negative=())],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder of the data set.")],
    armatures: Armatures = None,
    cameras: Annotated[list[str] | None, _MANY] = None,
    first: Annotated[int | None, Parameter(help="First frame; the scene's if left out.")] = None,
    last: Annotated[int | None, Parameter(help="Last frame; the scene's if left out.")] = None,
    slack: Annotated[float, Parameter(help="Last metres before a joint in which the own body hides nothing.")] = 0.08,
    name: Annotated[str | None, Parameter(help="Name of the action; the file's if left out.")] = None,
    bones: Bones = None,
    metres: Metres = None,
    blender: Program = None,
    as_json: options.Json = False,
) -> int:
    """3D, 2D, cameras and occlusion labels of every armature in .blend files.

    Bones are told by the names of the usual rigs, by pieces of names or by the armature's shape; see what was found
    with `posemend blender bones`, and correct it with --bones. Four still cameras also give BlendMimic3D's published
    layout. Scripts in the files are not run. Of several files, one that cannot be used does not stop the others.

    Args:
        blends: The files.
        armatures: By name; all if left out.
        cameras: By name; all if left out.
    """
    from posemend.blender import launch
    from posemend.errors import InputError

    if not 0 <= slack <= 1:
        raise InputError(f"--slack wants 0 to 1 metres, got {slack}.")
    stems = [blend.stem for blend in blends]
    if len(blends) > 1 and (name is not None or len(set(stems)) < len(stems)):
        raise InputError("Several files are called after themselves: wanted no --name, and no two of one name.")
    launch.find(blender)
    done: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    with output.remarks(as_json) as said:
        for blend in blends:
            job = {"armatures": armatures, "first": first, "last": last}
            try:
                with output.working(f"Blender reads {blend.name}", as_json):
                    done.append(_extract(blend, job, cameras, slack, name, bones, metres, out, blender))
            except InputError as error:
                if len(blends) == 1:
                    raise
                failed[str(blend)] = str(error)
    if as_json:
        answer = done[0] if len(blends) == 1 else {"results": done, "failed": failed}
        output.print_json({"verb": "blender extract", "out": out, "remarks": said, **answer})
    for one in [] if as_json else done:
        print(f"{out}: {one['name']}: {len(one['people'])} people, {len(one['cameras'])} cameras, {one['frames']} "
              f"frames, {100 * one['hidden']:.1f} % of the joints hidden")  # fmt: skip
    for file, why in failed.items():
        output.note(f"error: {file}: {why}")
    return 2 if failed else 0


def _extract(
    blend: Path, asked: dict[str, Any], cameras: list[str] | None, slack: float, name: str | None, bones: Path | None,
    metres: float | None, out: Path, blender: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """One file."""
    from posemend.blender import launch
    from posemend.body.catalogue import H36M_17
    from posemend.datasets.bone_parts import own_parts
    from posemend.datasets.extracted import finish
    from posemend.occlusion.figure import PARTS

    frames = {"first": asked["first"], "last": asked["last"]}
    bodies, others, unit = rigged.bodies_of(
        rigged.blend_file(blend), bones, metres, asked["armatures"], **frames, blender=blender
    )
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "extracted.npz"
        job = {"blend": str(blend.resolve()), "out": str(arrays), "bodies": [body.as_job() for body in bodies],
               "others": others, "joints": H36M_17.joints, "own": own_parts(), "metres": unit, "cameras": cameras or [],
               "slack": slack, **frames}  # fmt: skip
        answer = launch.run("extract", job, blender)
        written = finish(arrays, out, name or blend.stem)
    found = {
        body.armature: {"how": body.how, "joints": body.joints,
                        "parts": {bone: PARTS[number - 1] for bone, number in body.parts.items()}}
        for body in bodies
    }  # fmt: skip
    return {"blend": blend, "name": name or blend.stem, "files": written, "bones": found, **answer}


@app.command(name="bones")
def list_bones(
    blend: Path,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="File to write; printed if left out.")] = None,
    armatures: Armatures = None,
    bones: Bones = None,
    metres: Metres = None,
    blender: Program = None,
) -> None:
    """Which bone of a .blend file's armatures is taken for which joint, as a file for --bones: correct it, fill it in.

    Args:
        blend: The file.
        armatures: By name; all that have a body's bones if left out.
    """
    from posemend.datasets.bone_file import read_bones
    from posemend.datasets.bone_map import is_body, toml

    if out is not None:
        output.check_output(out, [".toml"], [blend])
    given = read_bones(bones) if bones else None
    there = rigged.named(rigged.armatures_of(rigged.blend_file(blend), metres, None, None, blender)[0], armatures)
    bodies = there if armatures else [one for one in there if is_body(one)] or there
    text = "\n\n".join(toml(one, given.of(one.name) if given else None, len(bodies) > 1) for one in bodies) + "\n"
    if out is None:
        print(text, end="")
        return
    out.write_text(text, encoding="utf-8")
    output.note(f"wrote {out}")


@app.command
def render(
    scene: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder for the pictures, one a camera.")],
    packs: Annotated[Path | None, Parameter(help="Folder of motion packs, where a scene names one.")] = None,
    cameras: Annotated[list[str] | None, _MANY] = None,
    every: Annotated[int, Parameter(help="Every so many frames.")] = 1,
    most: Annotated[int, Parameter(help="At most so many pictures a camera.")] = 250,
    engine: Annotated[
        Literal["cycles", "workbench"],
        Parameter(help="cycles: also depth, objects and body parts; workbench: quicker."),
    ] = "cycles",
    samples: Annotated[int, Parameter(help="Rays a pixel, for cycles.")] = 16,
    film: Annotated[
        bool, Parameter(negative=(), help="Also films: CAMERA.mp4, with cycles CAMERA_depth.mp4 and CAMERA_parts.mp4.")
    ] = False,
    bones: Bones = None,
    metres: Metres = None,
    blender: Program = None,
    as_json: options.Json = False,
) -> None:
    """Render a scene of ours (.toml, .json) or a .blend file: pictures, with cycles also depth, objects and body parts.

    Args:
        scene: The scene, or somebody's .blend file.
        cameras: By name; all if left out.
    """
    from posemend.blender import launch
    from posemend.errors import InputError
    from posemend.occlusion.figure import PARTS

    if every < 1 or most < 1 or not 1 <= samples <= 4096:
        raise InputError(f"--every and --most want 1 or more, --samples 1 to 4096; got {every}, {most}, {samples}.")
    if not scene.is_file():
        raise InputError(f"Looked for a scene at '{scene}', which is not there.")
    job: dict[str, object] = {"out": str(out.resolve()), "cameras": cameras or [], "every": every, "most": most,
                              "engine": engine, "samples": samples, "metres": 1.0, "parts": PARTS}  # fmt: skip
    with (
        output.remarks(as_json) as said,
        tempfile.TemporaryDirectory() as folder,
        output.working("Blender renders", as_json),
    ):
        if scene.suffix.lower() == ".blend":
            bodies, _, unit = rigged.bodies_of(scene, bones, metres, None, None, None, blender, wanted=False)
            job |= {"blend": str(scene.resolve()), "bodies": [body.as_job() for body in bodies], "metres": unit}
        else:
            from posemend.blender.exchange import write_exchange
            from posemend.body.catalogue import H36M_17
            from posemend.datasets.scene import read_scene
            from posemend.datasets.staging import Library, stage

            staged = stage(read_scene(scene), Library(packs, scene.parent))
            exchange = Path(folder) / "scene.npz"
            job["exchange"] = str(exchange)
            write_exchange(exchange, staged.people, H36M_17, staged.solids, staged.views, staged.scene.fps, around=48)
        answer = launch.run("render", job, blender)
        for remark in answer.pop("remarks"):
            warnings.warn(remark, stacklevel=1)
        films = []
        for name in answer["cameras"] if film else []:
            films += _films(out / name, answer["fps"] / every)
    if as_json:
        output.print_json({"verb": "blender render", "out": out, "films": films, "remarks": said, **answer})
    else:
        print(f"{out}: {len(answer['frames'])} pictures of each of {len(answer['cameras'])} cameras")


def _films(folder: Path, rate: float) -> list[Path]:
    """One camera's pictures as a film beside its folder, and its depth and parts where there are any."""
    import numpy as np

    from posemend.viewer import maps, pictures

    made = [pictures.join(sorted(folder.glob("*.png")), folder.with_name(f"{folder.name}.mp4"), rate)]
    if (folder / "passes.npz").is_file():
        with np.load(folder / "passes.npz", allow_pickle=False) as arrays:
            shown = {"depth": maps.depth_pictures(arrays["depth"]),
                     "parts": maps.part_pictures(arrays["part"], arrays["owner"][arrays["index"]])}  # fmt: skip
        for kind, frames in shown.items():
            made.append(pictures.write_film(folder.with_name(f"{folder.name}_{kind}.mp4"), list(frames), rate))
    return made
