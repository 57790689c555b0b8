"""Motion packs: many motion-capture sequences in one small file.

One ``.npz`` holds ``root`` float32 (N, 3), the pelvis in metres, z up;
``joints_delta`` int16 (N, 16, 3), the other 16 joints relative to the pelvis
in 0.1 mm, the first frame of each sequence absolute and later ones as
differences to the frame before, with 16-bit wrap-around; ``length`` (S,)
frames per sequence; ``fps``; ``subject``, ``action`` and ``name`` (S,); the 17
``joints`` in Human3.6M order; ``licence`` and ``source``.

Left out: per-sequence rates and licences. What differs in them goes into packs
of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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


def write(path: str | Path, motions: Sequence[Motion], source: str | None = None) -> None:
    """Write sequences of one frame rate and one licence as a pack; the same motions give the same bytes.

    Positions are rounded to 0.1 mm relative to the pelvis. The file appears
    whole or not at all.

    Args:
        path: A ``.npz``.
        motions: In the order in which they are to lie in the pack.
        source: Where they come from; the file's stem if left out.

    Raises:
        InputError: Nothing to write, another skeleton, frame rates or licences
            that differ, positions that are not finite or further than 3.27 m from the pelvis.
        OSError: The file cannot be written.
    """
    path = Path(path)
    if not motions:
        raise InputError(f"There is no motion to write to {path}.")
    for what in ("fps", "licence"):
        found = sorted({str(getattr(motion, what)) for motion in motions})
        if len(found) > 1:
            raise InputError(f"One pack has one {what}, got {', '.join(found)}. Write one pack for each.")
    deltas = []
    for motion in motions:
        if motion.skeleton.joints != H36M_17.joints or motion.positions.shape[1:] != (17, 3) or not len(motion):
            raise InputError(f"'{motion.name}': packs hold at least one frame of {H36M_17.name}'s 17 joints.")
        positions = motion.positions.astype(np.float64)
        counts = np.rint((positions[:, 1:] - positions[:, :1]) / UNIT)
        if not np.isfinite(positions).all() or np.abs(counts).max() > np.iinfo(np.int16).max:
            raise InputError(f"'{motion.name}': positions want to be finite and within 3.27 m of the pelvis.")
        whole = counts.astype(np.int64)
        deltas.append(np.concatenate([whole[:1], np.diff(whole, axis=0)]).astype(np.int16))  # wraps around on purpose
    pack: dict[str, Any] = {
        "root": np.concatenate([motion.positions[:, 0] for motion in motions]).astype(np.float32),
        "joints_delta": np.concatenate(deltas),
        "length": np.array([len(motion) for motion in motions], np.int64),
        "fps": np.float32(motions[0].fps),
        "subject": np.array([motion.subject for motion in motions]),
        "action": np.array([motion.action for motion in motions]),
        "name": np.array([motion.name for motion in motions]),
        "joints": np.array(H36M_17.joints),
        "licence": np.array(motions[0].licence),
        "source": np.array(source or path.stem),
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **pack)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
