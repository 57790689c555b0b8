"""What was extracted from a .blend file, as files of a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posemend.body.catalogue import BLENDMIMIC3D_17, H36M_17
from posemend.datasets.archive import load_arrays
from posemend.datasets.blendmimic3d import ACTIONS
from posemend.datasets.scene_files import npz_bytes, write_whole
from posemend.errors import FormatError, InputError
from posemend.occlusion.labels import KINDS

_KEYS = ("positions_3d", "positions_2d", "kind", "K", "R", "t", "size", "fps", "joints", "cameras", "people")


def finish(arrays: Path, out: Path, name: str) -> list[Path]:
    """Write the labels, and BlendMimic3D's layout where four cameras stood still.

    Args:
        arrays: What ran inside of Blender left: P people, C cameras, T frames, 17 joints of Human3.6M.
        out: The data set's folder.
        name: Of the action.

    Returns:
        The files written.

    Raises:
        FormatError: The arrays do not fit together.
        InputError: The name is one of the published data set, or cannot be a file's.
    """
    found = load_arrays(arrays, _KEYS)
    people, cameras, frames, joints = found["kind"].shape
    if tuple(found["joints"]) != H36M_17.joints or found["positions_3d"].shape != (people, frames, joints, 3):
        raise FormatError("What Blender gave does not fit together. Is posemend installed in two versions?")
    if any(name in actions for actions in ACTIONS.values()) or not name or set(name) & set('/\\:*?"<>|'):
        raise InputError(f"'{name}' cannot be the action's name: it is BlendMimic3D's own, or no file's. Use --name.")
    written = [out / "labels" / f"{name}.npz"]
    kinds = np.array(sorted(KINDS, key=KINDS.__getitem__))
    still = (found["R"] == found["R"][:, :1]).all() and (found["t"] == found["t"][:, :1]).all()
    before_all = all((found["positions_3d"][p] @ r[0].T + t[0])[..., 2].min() > 0
                     for p in range(people) for r, t in zip(found["R"], found["t"], strict=True))  # fmt: skip
    if cameras == 4 and still and before_all and people <= 3:
        written += _blendmimic3d(found, out, name)
    write_whole(written[0], npz_bytes(compressed=True, **{key: found[key] for key in _KEYS}, kinds=kinds))
    return written


def _blendmimic3d(found: dict[str, np.ndarray], out: Path, name: str) -> list[Path]:
    order = [H36M_17.index(joint) for joint in BLENDMIMIC3D_17.joints]
    extrinsic = np.concatenate([found["R"][:, 0], found["t"][:, 0, :, None]], -1)
    written = []
    for person, world in enumerate(found["positions_3d"].astype(np.float64)):
        subject = f"S{person + 1}"
        matrices = out / subject / "Cameras" / f"matrices_{subject}.npz"
        content = npz_bytes(K=found["K"], RT=extrinsic, P=found["K"] @ extrinsic, fps=found["fps"])
        if matrices.is_file() and matrices.read_bytes() != content:
            raise InputError(f"{matrices.parent} holds other cameras. Write this file to another folder.")
        seen = {}
        for camera in range(4):
            points = world[:, order] @ extrinsic[camera, :, :3].T + extrinsic[camera, :, 3]
            flat = points @ found["K"][camera].T
            seen[f"Cam_{camera}"] = flat[..., :2] / flat[..., 2:]
        flags = {f"Cam_{c}": (found["kind"][person, c][:, order] == 0).astype(np.float64) for c in range(4)}
        for path, data in (
            (out / subject / "D3_Positions" / name / f"{name}.npz", npz_bytes(positions_3d=world[:, order])),
            (out / subject / "D2_Positions" / name / "2D_positions.npz", npz_bytes(**seen)),
            (out / subject / "Occlusions" / name / "occluded_kpt.npz", npz_bytes(**flags)),
            (matrices, content),
        ):
            write_whole(path, data)
            written.append(path)
    return written
