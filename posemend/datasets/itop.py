"""ITOP (Haque et al., ECCV 2016): people before and below an Asus Xtion, with 15 joints.

Eight HDF5 files in the published layout, ``ITOP_{side|top}_{train|test}_
{depth_map|labels}.h5``: ``id`` (bytes ``PP_FFFFF``: person and frame), ``data``
half floats (n, 240, 320) in metres, ``is_valid``, ``visible_joints``,
``image_coordinates`` and ``real_world_coordinates`` (metres, y up). Frames
that are not valid have no labels worth the name and are left out; a frame
missing in between makes a cut. Maps stay in the file until they are asked for.

Intrinsics are the data set's own formula, x = (u - 160) 0.0035 z. Needs the
extra ``depth``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import ITOP_15
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.contract.depth import ITOP_CAMERA
from posemend.errors import FormatError, InputError, require
from posemend.geometry.depth import DepthClip, cleaned

FPS = 30.0
VALIDATION_PEOPLE = ("04", "05")  # of the training part, as RefiNet has it
Floats = NDArray[np.float32]


class Frames(NamedTuple):
    """Some frames: maps (N, 240, 320) metres, joints (N, 15, 3) metres in camera axes, seen (N, 15)."""

    depth: Floats
    joints: Floats
    visible: NDArray[np.bool_]


class Recording:
    """One of the four parts: side or top, train or test.

    Attributes:
        person: Number of each frame's person, as text.
        frame: Number of each frame in its person's recording.
        rows: Rows of the files that are valid, in order.

    Raises:
        InputError: A file is not there.
        FormatError: A file is damaged, or the files do not belong together.
    """

    def __init__(self, root: str | Path, side: Literal["side", "top"] = "side", part: str = "train") -> None:
        h5py = require("h5py", "depth")
        self.camera = ITOP_CAMERA
        self.label = f"{side}/{part}"
        self._files = {}
        for what in ("depth_map", "labels"):
            path = Path(root) / f"ITOP_{side}_{part}_{what}.h5"
            if not path.is_file():
                raise InputError(f"Looked for {path}, which is not there. Unpack ITOP's .h5.gz files into one folder.")
            try:
                self._files[what] = h5py.File(path, "r")
            except OSError as error:
                raise FormatError(f"'{path}' cannot be read as HDF5: {error}.") from None
        labels, depth = self._files["labels"], self._files["depth_map"]
        wanted = ("id", "is_valid", "visible_joints", "image_coordinates", "real_world_coordinates")
        lost = [name for name in wanted if name not in labels] + [name for name in ("id", "data") if name not in depth]
        if lost:
            raise FormatError(f"ITOP {self.label}: the files lack {', '.join(lost)}.")
        names = [_text(name) for name in labels["id"][:]]
        if names != [_text(name) for name in depth["id"][:]]:
            raise FormatError(f"ITOP {self.label}: depth maps and labels are of different frames (their ids differ).")
        if depth["data"].shape[1:] != (240, 320) or labels["real_world_coordinates"].shape[1:] != (15, 3):
            raise FormatError(
                f"ITOP {self.label}: wanted maps (n, 240, 320) and joints (n, 15, 3), got {depth['data'].shape} and "
                f"{labels['real_world_coordinates'].shape}."
            )
        parts = [name.split("_") for name in names]
        if any(len(part) != 2 or not part[1].isdigit() for part in parts):
            raise FormatError(f"ITOP {self.label}: ids want the form PP_FFFFF, got '{names[0]}'.")
        valid = np.asarray(labels["is_valid"][:]) == 1
        self.rows = np.flatnonzero(valid)
        self.person = np.array([part[0] for part in parts])[valid]
        self.frame = np.array([int(part[1]) for part in parts])[valid]
        if not len(self.rows):
            raise FormatError(f"ITOP {self.label}: no frame is marked valid.")
        joints = np.asarray(labels["real_world_coordinates"][:], np.float32)[valid]
        joints[..., 1] *= -1  # y is up there
        if not np.isfinite(joints).all():
            raise FormatError(f"ITOP {self.label}: joints of valid frames are not finite.")
        self.joints = joints
        self.visible = np.asarray(labels["visible_joints"][:])[valid] == 1
        self.pixels = np.asarray(labels["image_coordinates"][:], np.float32)[valid] + 0.5

    def __len__(self) -> int:
        return len(self.rows)

    def people(self) -> tuple[str, ...]:
        """Who is in it."""
        return tuple(sorted(set(self.person.tolist())))

    def frames(self, chosen: Sequence[int] | NDArray[np.integer]) -> Frames:
        """Valid frames by their number among the valid ones, in any order."""
        chosen = np.asarray(chosen, np.int64)
        order, back = np.unique(chosen, return_inverse=True)  # HDF5 wants rows in rising order
        maps = self._files["depth_map"]["data"][self.rows[order]][back]
        return Frames(cleaned(np.asarray(maps), 1.0), self.joints[chosen], self.visible[chosen])

    def clip(self, person: str) -> tuple[Take, DepthClip]:
        """One person's frames in order, with truth and depth.

        Raises:
            InputError: Nobody of that number.
        """
        chosen = np.flatnonzero(self.person == person)
        if not len(chosen):
            raise InputError(f"ITOP {self.label} has no person '{person}'. It has: {', '.join(self.people())}.")
        chosen = chosen[np.argsort(self.frame[chosen], kind="stable")]
        cuts = tuple(int(cut) for cut in np.flatnonzero(np.diff(self.frame[chosen]) != 1) + 1)
        joints, visible = self.joints[chosen], self.visible[chosen]
        keypoints = Pose2D(
            self.pixels[chosen], ITOP_15, visible=visible, fps=FPS, width=320, height=240, camera=self.camera,
            name=f"ITOP {person}",
        )  # fmt: skip
        root = joints[:, list(ITOP_15.root_indices)].mean(1)
        truth = Pose3D(joints - root[:, None], ITOP_15, visible=visible, fps=FPS, root=root, name=keypoints.name)
        maps = _Rows(self._files["depth_map"]["data"], self.rows[chosen])
        return Take(keypoints, truth, person, "ITOP", self.label, cuts), DepthClip(maps, self.camera, 1.0, FPS)


class _Rows:
    """Some rows of an HDF5 array, loaded when asked for."""

    def __init__(self, data: Any, rows: NDArray[np.int64]) -> None:
        self._data, self._rows = data, rows
        self.shape, self.dtype = (len(rows), *data.shape[1:]), data.dtype

    def __getitem__(self, part: int | slice) -> Any:
        if isinstance(part, int):
            return self._data[int(self._rows[part])]
        order, back = np.unique(self._rows[part], return_inverse=True)
        return self._data[order][back] if len(order) else np.zeros((0, *self.shape[1:]), self.dtype)


def _text(name: Any) -> str:
    return name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
