"""Many scenes to one labelled data set: in worker processes, resumable, one bad scene never stopping the rest.

A scene's files depend on the scene alone, so any number of workers gives the
same bytes; the scene's ``labels`` file is written last and holds the scene, so
a killed run goes on with what is not done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from posemend.datasets import scene_files
from posemend.datasets.scene import Scene, read_scene
from posemend.datasets.staging import Library, label_stage, stage
from posemend.datasets.workers import spread
from posemend.errors import InputError, PosemendError
from posemend.occlusion.depth_sensor import SensorModel


@dataclass(frozen=True)
class Order:
    """What is to be written for each scene.

    Attributes:
        out: The data set's folder.
        packs: Folder of motion packs, or ``None``.
        formats: Of `scene_files.FORMATS`.
        depth: Name of a depth sensor, or ``None`` for no depth maps.
        every: Depth maps and COCO images of every so many frames.
    """

    out: Path
    packs: Path | None = None
    formats: tuple[str, ...] = ("blendmimic3d",)
    depth: str | None = None
    every: int = 1

    def __post_init__(self) -> None:
        unknown = set(self.formats) - set(scene_files.FORMATS)
        if unknown:
            raise InputError(f"No format is called {', '.join(sorted(unknown))}. There are: "
                             f"{', '.join(scene_files.FORMATS)}.")  # fmt: skip
        if self.every < 1:
            raise InputError(f"--every wants 1 or more, got {self.every}.")
        if self.depth is not None:
            SensorModel.preset(self.depth)


def scene_paths(given: Sequence[Path]) -> list[Path]:
    """Scene files of files and folders, in order of name within a folder.

    Raises:
        InputError: A path is not there, a folder holds no scene, or nothing was given.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in (".toml", ".json") and p.name != "report.json")
            if not inside:
                raise InputError(f"Looked for scenes (*.toml) in {path}; there are none.")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"Looked for a scene at {path}, which is not there.")
    if not found:
        raise InputError("Name at least one scene file. Make some with: posemend data scene --preset rig --out SCENES")
    return found


def rig_of(scene: Scene) -> tuple[Any, ...]:
    """What scenes of one folder in BlendMimic3D's layout have in common."""
    return (scene.fps, *scene.cameras)


def produce(path: Path, order: Order, rig: tuple[Any, ...] | None = None) -> dict[str, Any]:
    """Write one scene; what went wrong is said, not raised.

    Args:
        path: The scene file.
        order: What to write.
        rig: `rig_of` the first scene of the folder, which BlendMimic3D's layout wants of all.
    """
    try:
        scene = read_scene(path)
        if scene_files.is_done(order.out, scene, order.formats, order.depth is not None):
            return {"scene": scene.name, "file": path.name, "done": True, "new": False}
        if "blendmimic3d" in order.formats and rig is not None and rig_of(scene) != rig:
            raise InputError(
                f"Scene '{scene.name}' has other cameras or another clock than the first one. A folder of "
                "BlendMimic3D's layout has one rig: write it to another folder, or use --format coco."
            )
        staged = stage(scene, Library(order.packs, path.parent))
        seen = label_stage(staged)
        if "blendmimic3d" in order.formats:
            scene_files.write_blendmimic3d(order.out, staged, seen)
        if "coco" in order.formats:
            scene_files.write_coco(order.out, staged, seen, order.every)
        if order.depth is not None:
            scene_files.write_depth(order.out, staged, order.depth, order.every)
        scene_files.write_labels(order.out, staged, seen)
        hidden = sum(float((one.labels.kind > 0).mean()) for one in seen) / len(seen)
        return {"scene": scene.name, "file": path.name, "done": True, "new": True, "people": len(staged.people),
                "cameras": len(staged.views), "frames": scene.frames, "hidden": round(hidden, 4)}  # fmt: skip
    except (PosemendError, OSError) as error:
        return {"file": path.name, "done": False, "error": str(error)}
    except MemoryError:
        return {"file": path.name, "done": False, "error": "does not fit into memory"}
    except Exception as error:  # whatever a file does to its reader, the others go on
        return {"file": path.name, "done": False, "error": f"broke off ({type(error).__name__}: {error})"}


def produce_all(
    given: Sequence[Path], order: Order, workers: int = 1, tell: Callable[[int, int], None] | None = None
) -> list[dict[str, Any]]:
    """Write all scenes; ``report.json`` in the folder says how each went.

    Args:
        given: Scene files, or folders of them.
        order: What to write.
        workers: Processes.
        tell: Called with (done, in all).

    Returns:
        One entry per scene, in the order given.

    Raises:
        InputError: Nothing to do, two scenes of one name, or an impossible number of workers.
    """
    if not 1 <= workers <= 256:
        raise InputError(f"--workers wants 1 to 256, got {workers}.")
    paths = scene_paths(given)
    rig = _checked_names(paths)
    order.out.mkdir(parents=True, exist_ok=True)
    for stale in order.out.rglob(".*.part"):  # of a build that was killed
        stale.unlink(missing_ok=True)
    found: dict[Path, dict[str, Any]] = {}
    for number, (path, result) in enumerate(_each(paths, order, rig, workers), 1):
        found[path] = result
        if tell is not None:
            tell(number, len(paths))
    report = [found[path] for path in paths]
    lasting = [
        {key: value for key, value in row.items() if key in ("file", "scene", "done", "error")} for row in report
    ]
    scene_files.write_whole(order.out / "report.json", json.dumps(lasting, indent=1, ensure_ascii=False).encode())
    return report


def _checked_names(paths: Sequence[Path]) -> tuple[Any, ...] | None:
    """The first readable scene's rig; raise InputError where two scenes would write the same files."""
    names: dict[str, Path] = {}
    rig = None
    for path in paths:
        try:
            scene = read_scene(path)
        except PosemendError:
            continue  # said when its turn comes
        if scene.name in names and names[scene.name] != path:
            raise InputError(f"Two scenes are called '{scene.name}': {names[scene.name]} and {path}. Rename one.")
        names[scene.name] = path
        rig = rig or rig_of(scene)
    return rig


def _each(
    paths: Sequence[Path], order: Order, rig: tuple[Any, ...] | None, workers: int
) -> Iterator[tuple[Path, dict[str, Any]]]:
    if workers == 1 or len(paths) == 1:
        for path in paths:
            yield path, produce(path, order, rig)
        return
    for place, result in spread(partial(produce, order=order, rig=rig), paths, workers):
        died = {"file": paths[place].name, "done": False, "error": "Its process was ended from outside: out of memory?"}
        yield paths[place], died if result is None else result
