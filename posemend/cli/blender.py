"""``blender extract`` and ``blender render``: labelled data out of Blender, and scenes of ours into it."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from posemend.cli import options, output

if TYPE_CHECKING:
    from posemend.datasets.bone_map import Body
    from posemend.datasets.bone_names import Rigged

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
    blend: Path,
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
) -> None:
    """3D, 2D, cameras and occlusion labels of every armature in a .blend file.

    Bones are told by the names of the usual rigs, by pieces of names or by the armature's shape; see what was found
    with `posemend blender bones`, and correct it with --bones. Four still cameras also give BlendMimic3D's published
    layout. Scripts in the file are not run.

    Args:
        blend: The file.
        armatures: By name; all if left out.
        cameras: By name; all if left out.
    """
    from posemend.blender import launch
    from posemend.body.catalogue import H36M_17
    from posemend.datasets.bone_parts import own_parts
    from posemend.datasets.extracted import finish
    from posemend.errors import InputError

    if not 0 <= slack <= 1:
        raise InputError(f"--slack wants 0 to 1 metres, got {slack}.")
    with (
        output.remarks(as_json) as said,
        tempfile.TemporaryDirectory() as folder,
        output.working(f"Blender reads {blend.name}", as_json),
    ):
        bodies, others, unit = _bodies(_blend(blend), bones, metres, armatures, first, last, blender)
        arrays = Path(folder) / "extracted.npz"
        job = {"blend": str(blend.resolve()), "out": str(arrays), "bodies": [body.as_job() for body in bodies],
               "others": others, "joints": H36M_17.joints, "own": own_parts(), "metres": unit, "cameras": cameras or [],
               "first": first, "last": last, "slack": slack}  # fmt: skip
        answer = launch.run("extract", job, blender)
        written = finish(arrays, out, name or blend.stem)
    if as_json:
        found = {body.armature: {"how": body.how, "joints": body.joints} for body in bodies}
        output.print_json(
            {"verb": "blender extract", "out": out, "files": written, "bones": found, "remarks": said, **answer}
        )
    else:
        print(f"{out}: {len(answer['people'])} people, {len(answer['cameras'])} cameras, {answer['frames']} frames, "
              f"{100 * answer['hidden']:.1f} % of the joints hidden")  # fmt: skip


@app.command(name="bones")
def list_bones(
    blend: Path, *, armatures: Armatures = None, bones: Bones = None, metres: Metres = None, blender: Program = None
) -> None:
    """Which bone of a .blend file's armatures is taken for which joint, as a file for --bones: correct it, fill it in.

    Args:
        blend: The file.
        armatures: By name; all that have a body's bones if left out.
    """
    from posemend.datasets.bone_file import read_bones
    from posemend.datasets.bone_map import is_body, toml

    given = read_bones(bones) if bones else None
    rigged = _named(_armatures(_blend(blend), metres, None, None, blender)[0], armatures)
    bodies = rigged if armatures else [one for one in rigged if is_body(one)] or rigged
    print("\n\n".join(toml(one, given.of(one.name) if given else None, len(bodies) > 1) for one in bodies))


def _blend(path: Path) -> Path:
    from posemend.errors import InputError

    if not path.is_file() or path.suffix.lower() != ".blend":
        raise InputError(f"Looked for a .blend file at '{path}', which is none.")
    return path


def _armatures(
    blend: Path, metres: float | None, first: int | None, last: int | None, blender: Path | None, wanted: bool = True
) -> tuple[list[Rigged], float]:
    """A file's armatures, in metres, and how many metres Blender's unit has."""
    import numpy as np

    from posemend.blender import launch
    from posemend.datasets.bone_names import Rigged
    from posemend.errors import InputError

    if metres is not None and not 1e-6 <= metres <= 1e6:
        raise InputError(f"--metres wants the size of Blender's unit in metres, got {metres}.")
    with tempfile.TemporaryDirectory() as folder:
        matrices = Path(folder) / "bones.npz"
        job = {"blend": str(blend.resolve()), "out": str(matrices), "first": first, "last": last, "wanted": wanted}
        answer = launch.run("bones", job, blender)
        unit = answer["metres"] if metres is None else metres
        scale = np.array([[unit], [unit], [unit], [1.0]])
        with np.load(matrices, allow_pickle=False) as arrays:
            found = [
                Rigged(
                    said["name"], tuple(said["bones"]), tuple(said["parents"]), np.array(said["deform"], bool),
                    arrays[f"length_{n}"], arrays[f"rest_{n}"] * scale, arrays[f"posed_{n}"] * scale,
                    tuple(said["meshes"]),
                )
                for n, said in enumerate(answer["armatures"])
            ]  # fmt: skip
    return found, unit


def _named(rigged: list[Rigged], names: list[str] | None) -> list[Rigged]:
    """Those of the armatures that were asked for."""
    from posemend.errors import InputError

    unknown = [name for name in names or [] if name not in {one.name for one in rigged}]
    if unknown:
        there = ", ".join(one.name for one in rigged)
        raise InputError(f"No armature is called {', '.join(unknown)}. There are: {there}.")
    return [one for one in rigged if not names or one.name in names]


def _bodies(
    blend: Path, bones: Path | None, metres: float | None, names: list[str] | None, first: int | None,
    last: int | None, blender: Path | None, wanted: bool = True,
) -> tuple[list[Body], list[str], float]:  # fmt: skip
    """Bodies of the armatures asked for, names of other people's, and the metres in Blender's unit.

    An armature that is no body is left out with a warning, unless it was named or there is no other.
    """
    from posemend.datasets.bone_file import read_bones
    from posemend.datasets.bone_map import NoBodyError, resolve
    from posemend.errors import InputError

    given = read_bones(bones) if bones else None
    rigged, unit = _armatures(blend, metres, first, last, blender, wanted)
    asked = _named(rigged, names)
    found, others, refused = [], [], []
    for one in rigged:
        try:
            body = resolve(one, given.of(one.name) if given else None)
        except NoBodyError as error:
            if one in asked:
                refused.append((one, error))
        except InputError:
            if one in asked:
                raise
            others.append(one.name)
        else:
            if one in asked:
                found.append(body)
            else:
                others.append(one.name)
    if refused and wanted and (names or not found):
        raise refused[0][1]
    for one, _ in refused:
        warnings.warn(f"armature '{one.name}' has no body's bones and is left out", stacklevel=2)
    for body in found:
        for remark in body.remarks:
            warnings.warn(remark, stacklevel=2)
    return found, others, unit


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
            bodies, _, unit = _bodies(scene, bones, metres, None, None, None, blender, wanted=False)
            job |= {"blend": str(scene.resolve()), "bodies": [body.as_job() for body in bodies], "metres": unit}
        else:
            from posemend.blender.exchange import write_exchange
            from posemend.body.catalogue import H36M_17
            from posemend.datasets.scene import read_scene
            from posemend.datasets.staging import Library, stage

            staged = stage(read_scene(scene), Library(packs))
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
