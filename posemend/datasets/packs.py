"""Motion packs: many motion-capture sequences in one small file.

One ``.npz`` holds ``root`` float32 (N, 3), the pelvis in metres, z up;
``joints_delta`` int16 (N, 16, 3), the other 16 joints relative to the pelvis
in 0.1 mm, the first frame of each sequence absolute and later ones as
differences to the frame before, with 16-bit wrap-around; ``length`` (S,)
frames per sequence; ``fps``; ``subject``, ``action`` and ``name`` (S,); the 17
``joints`` in Human3.6M order; ``licence`` and ``source``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.skeleton import Skeleton
from posemend.datasets.archive import load_arrays
from posemend.errors import FormatError, InputError

UNIT = 1e-4  # metres per count of joints_delta

_ARRAYS = ("root", "joints_delta", "length", "fps", "subject", "action", "name", "joints")


@dataclass(frozen=True, eq=False)
class Motion:
    """One person moving, without a camera.

    Attributes:
        positions: (T, 17, 3) float32 metres, world axes, z up.
        skeleton: Always Human3.6M's 17 joints.
        fps: Frames per second.
        subject: Who moved.
        action: What was done.
        name: Name of the sequence in its source.
        source: Stem of the file that it came from.
        licence: What may be done with it.
    """

    positions: NDArray[np.float32]
    skeleton: Skeleton
    fps: float
    subject: str
    action: str
    name: str
    source: str
    licence: str

    def __len__(self) -> int:
        return len(self.positions)


def read(path: str | Path) -> list[Motion]:
    """All sequences of one pack, or of all packs (``*.npz``) of a folder, in order of name.

    Raises:
        FormatError: A file is damaged, lacks a key, or its shapes do not fit together.
        InputError: The path is not there, or the folder holds no ``.npz``.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob("*.npz"))
        if not files:
            raise InputError(f"Looked for motion packs (*.npz) in {path}; there are none.")
        return [motion for file in files for motion in read(file)]
    if not path.is_file():
        raise InputError(f"Looked for a motion pack or a folder of packs at {path}, which is not there.")
    pack = load_arrays(path, _ARRAYS, optional=("licence",))
    _check(path, pack)
    licence = str(pack["licence"]) if "licence" in pack else "not stated"
    fps = float(pack["fps"])
    ends = np.cumsum(pack["length"])
    motions = []
    for place, (start, end) in enumerate(zip(ends - pack["length"], ends, strict=True)):
        # The sum stays in int16 on purpose: that undoes the wrap-around of the differences.
        counts = np.cumsum(pack["joints_delta"][start:end], axis=0, dtype=np.int16)
        root = pack["root"][start:end, None].astype(np.float32)
        positions = np.concatenate([root, root + counts * np.float32(UNIT)], axis=1)
        positions.flags.writeable = False
        subject, action, name = (str(pack[key][place]) for key in ("subject", "action", "name"))
        motions.append(Motion(positions, H36M_17, fps, subject, action, name, path.stem, licence))
    return motions


def _check(path: Path, pack: dict[str, NDArray[Any]]) -> None:
    """Raise FormatError unless keys, types and shapes fit together."""
    length = pack["length"]
    if length.ndim != 1 or not np.issubdtype(length.dtype, np.integer) or length.size == 0 or (length < 1).any():
        raise FormatError(f"{path}: 'length' wants at least one whole number above 0 per sequence.")
    frames, sequences = int(length.sum()), len(length)
    wanted: dict[str, tuple[int, ...]] = {
        "root": (frames, 3),
        "joints_delta": (frames, 16, 3),
        "joints": (17,),
        "fps": (),
    }
    wanted |= dict.fromkeys(("subject", "action", "name"), (sequences,))
    for key, shape in wanted.items():
        if pack[key].shape != shape:
            raise FormatError(
                f"{path}: '{key}' wants shape {shape} for {sequences} sequences of {frames} frames in all, "
                f"got {pack[key].shape}."
            )
    if pack["joints_delta"].dtype != np.int16:
        raise FormatError(f"{path}: 'joints_delta' wants int16, got {pack['joints_delta'].dtype}.")
    if pack["root"].dtype.kind != "f" or not np.isfinite(pack["root"]).all():
        raise FormatError(f"{path}: 'root' wants finite floating-point metres.")
    if pack["fps"].dtype.kind not in "fiu" or not 0 < float(pack["fps"]) <= 10_000:
        raise FormatError(f"{path}: 'fps' wants a number between 0 and 10000, got {pack['fps']}.")
    joints = tuple(str(joint) for joint in pack["joints"])
    if joints != H36M_17.joints:
        raise FormatError(f"{path}: 'joints' wants {', '.join(H36M_17.joints)}; got {', '.join(joints)}.")
