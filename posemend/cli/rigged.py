"""The armatures of a .blend file, asked of Blender, and the bodies among them."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posemend.datasets.bone_map import Body
    from posemend.datasets.bone_names import Rigged


def blend_file(path: Path) -> Path:
    from posemend.errors import InputError

    if not path.is_file() or path.suffix.lower() != ".blend":
        raise InputError(f"Looked for a .blend file at '{path}', which is none.")
    return path


def armatures_of(
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


def named(rigged: list[Rigged], names: list[str] | None) -> list[Rigged]:
    """Those of the armatures that were asked for."""
    from posemend.errors import InputError

    unknown = [name for name in names or [] if name not in {one.name for one in rigged}]
    if unknown:
        there = ", ".join(one.name for one in rigged)
        raise InputError(f"No armature is called {', '.join(unknown)}. There are: {there}.")
    return [one for one in rigged if not names or one.name in names]


def bodies_of(
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
    rigged, unit = armatures_of(blend, metres, first, last, blender, wanted)
    asked = named(rigged, names)
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
