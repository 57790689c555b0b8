"""``blender extract`` and ``blender render``: labelled data out of Blender, and scenes of ours into it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from posemend.cli import options, output

_MANY = Parameter(consume_multiple=True, negative=())
Program = Annotated[
    Path | None,
    Parameter(name="--blender", help="Blender, or a Python that has bpy; else POSEMEND_BLENDER, else 'blender'."),
]

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
    armatures: Annotated[list[str] | None, _MANY] = None,
    cameras: Annotated[list[str] | None, _MANY] = None,
    first: Annotated[int | None, Parameter(help="First frame; the scene's if left out.")] = None,
    last: Annotated[int | None, Parameter(help="Last frame; the scene's if left out.")] = None,
    slack: Annotated[float, Parameter(help="Last metres before a joint in which the own body hides nothing.")] = 0.08,
    name: Annotated[str | None, Parameter(help="Name of the action; the file's if left out.")] = None,
    blender: Program = None,
    as_json: options.Json = False,
) -> None:
    """3D, 2D, cameras and occlusion labels of every armature in a .blend file.

    Four still cameras also give BlendMimic3D's published layout. Scripts in the file are not run.

    Args:
        blend: The file.
        armatures: By name; all if left out.
        cameras: By name; all if left out.
    """
    from posemend.blender import launch
    from posemend.datasets.extracted import finish
    from posemend.errors import InputError

    if not blend.is_file() or blend.suffix.lower() != ".blend":
        raise InputError(f"Looked for a .blend file at '{blend}', which is none.")
    if not 0 <= slack <= 1:
        raise InputError(f"--slack wants 0 to 1 metres, got {slack}.")
    with tempfile.TemporaryDirectory() as folder, output.working(f"Blender reads {blend.name}", as_json):
        arrays = Path(folder) / "extracted.npz"
        job = {"blend": str(blend.resolve()), "out": str(arrays), "armatures": armatures or [],
               "cameras": cameras or [], "first": first, "last": last, "slack": slack}  # fmt: skip
        answer = launch.run("extract", job, blender)
        written = finish(arrays, out, name or blend.stem)
    if as_json:
        output.print_json({"verb": "blender extract", "out": out, "files": written, **answer})
    else:
        print(f"{out}: {len(answer['people'])} people, {len(answer['cameras'])} cameras, {answer['frames']} frames, "
              f"{100 * answer['hidden']:.1f} % of the joints hidden")  # fmt: skip


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
        Literal["cycles", "workbench"], Parameter(help="cycles: also depth and objects; workbench: quicker.")
    ] = "cycles",
    samples: Annotated[int, Parameter(help="Rays a pixel, for cycles.")] = 16,
    film: Annotated[bool, Parameter(negative=(), help="Also put the pictures together, CAMERA.mp4.")] = False,
    blender: Program = None,
    as_json: options.Json = False,
) -> None:
    """Render a scene of ours (.toml, .json) or a .blend file: pictures, and with cycles depth and a map of objects.

    Args:
        scene: The scene, or somebody's .blend file.
        cameras: By name; all if left out.
    """
    from posemend.blender import launch
    from posemend.errors import InputError

    if every < 1 or most < 1 or not 1 <= samples <= 4096:
        raise InputError(f"--every and --most want 1 or more, --samples 1 to 4096; got {every}, {most}, {samples}.")
    if not scene.is_file():
        raise InputError(f"Looked for a scene at '{scene}', which is not there.")
    job: dict[str, object] = {"out": str(out.resolve()), "cameras": cameras or [], "every": every, "most": most,
                              "engine": engine, "samples": samples}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, output.working("Blender renders", as_json):
        fps = 25.0
        if scene.suffix.lower() == ".blend":
            job["blend"] = str(scene.resolve())
        else:
            from posemend.blender.exchange import write_exchange
            from posemend.body.catalogue import H36M_17
            from posemend.datasets.scene import read_scene
            from posemend.datasets.staging import Library, stage

            staged = stage(read_scene(scene), Library(packs, scene.parent))
            job["exchange"], fps = str(Path(folder) / "scene.npz"), staged.scene.fps
            write_exchange(
                Path(folder) / "scene.npz", staged.people, H36M_17, staged.solids, staged.views, fps, around=48
            )
        answer = launch.run("render", job, blender)
    films = []
    if film:
        from posemend.viewer.pictures import join

        for name in answer["cameras"]:
            films.append(join(sorted((out / name).glob("*.png")), out / f"{name}.mp4", fps / every))
    if as_json:
        output.print_json({"verb": "blender render", "out": out, "films": films, **answer})
    else:
        print(f"{out}: {len(answer['frames'])} pictures of each of {len(answer['cameras'])} cameras")
