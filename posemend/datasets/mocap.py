"""One raw motion file (BVH, AMC, C3D) to clean pieces of motion on Human3.6M's 17 joints: metres, z up, one clock.

In this order: read; find the joints by name; find the unit and the up axis;
leave out the rest pose at the start; cut at frames that are no numbers and
where the whole body jumps; drop what is too short, does not move, or is no
body; resample each piece with a cubic spline from its own first frame.

Nothing is smoothed and no gap longer than `Settings.fill` is filled: what is
cut is reported, never repaired.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.handedness import handedness
from posemend.body.pose import Pose3D
from posemend.datasets import cmu, markers, rigs
from posemend.errors import InputError
from posemend.formats import asf_amc, bvh, c3d

Floats = NDArray[np.float64]

SUFFIXES = (".bvh", ".amc", ".c3d")
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "cmu": rigs.CMU_UNIT}
LEGS = (0.5, 1.1)  # metres from hip over knee to ankle that are believed
USUAL_LEG = 0.8
SHORTEST_BONE = 0.01  # metres
REST_SPEED = 15.0  # m/s; a joint that is faster from the first frame to the second comes out of a rest pose
JUMP, JUMP_RATE = 0.045, 50.0  # metres; m/s^2. How far half the joints may leave a straight path in one frame
MARGIN = 3  # frames left out on both sides of a jump
BELOW_FLOOR = -0.3  # metres; a body lower than that has no floor of its own and is put on ours
ANKLE = 0.08  # metres above the floor
STILL = 0.01  # metres; where no joint strays further from its place, nobody moves


@dataclass(frozen=True)
class Settings:
    """What one build asks for; the same for all of its files.

    Attributes:
        rate: Frames per second of the result.
        fps: Frames per second of the files, where they are wrong or do not say.
        skip: Frames to leave out at the start of every file; found by itself if ``None``.
        unit: Unit of the files (`UNITS`); found from the rig and the length of the legs if ``None``.
        up: The files' upward axis, ``"y"`` or ``"z"``; found by itself if ``None``.
        shortest: Seconds below which a piece is dropped.
        fill: Seconds of missing markers that are bridged by a straight line.
    """

    rate: float = 50.0
    fps: float | None = None
    skip: int | None = None
    unit: str | None = None
    up: str | None = None
    shortest: float = 0.6
    fill: float = 0.1


@dataclass
class Converted:
    """What became of one file.

    Attributes:
        pieces: (T, 17, 3) metres, z up, at the asked rate.
        facts: What was found in it, for the report.
        dropped: ``{"frames", "why"}`` of everything left out.
        remarks: What was read all the same.
    """

    pieces: list[Floats] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def drop(self, first: int, last: int, why: str) -> None:
        """Note that frames ``first`` to ``last`` (inclusive, from 0) were left out."""
        self.dropped.append({"frames": [int(first), int(last)], "why": why})


def convert(path: str | Path, settings: Settings) -> Converted:
    """One file to pieces of motion.

    Raises:
        FormatError: The file cannot be read.
        SkeletonError: Its joints or markers are not known.
        InputError: It holds no usable person: no unit makes it bodily, a bone
            has no length, left and right are swapped, no clock.
        MissingExtra: A C3D file, and ezc3d is not installed.
    """
    path = Path(path)
    result = Converted()
    if path.suffix.lower() == ".c3d":
        positions, fps, rest_frames = _from_markers(path, settings, result)
    else:
        positions, fps, rest_frames = _from_rig(path, settings, result)
    result.facts |= {"frames": len(positions), "fps": fps}
    start = _start(positions, fps, rest_frames, settings, result)
    usable = _usable(positions, fps, start, result)
    if usable.any():
        _check_body(positions[usable], fps, path)
        low = float(np.percentile(positions[usable][..., 2].min(axis=1), 5))
        if low < BELOW_FLOOR:
            positions = positions + np.array([0.0, 0.0, ANKLE - low])
            result.remarks.append(f"stood {-low:.2f} m below the floor and was put on it")
    for first, last in _runs(usable):
        _piece(positions, first, last, fps, settings, result)
    return result


def _from_rig(path: Path, settings: Settings, result: Converted) -> tuple[Floats, float, int]:
    motion = bvh.read(path) if path.suffix.lower() == ".bvh" else asf_amc.read(path)
    result.remarks += motion.remarks
    fit = rigs.recognise(motion)
    hip = rigs.plain_name(motion.joints[fit.joints["l_hip"]])
    people = sum(rigs.plain_name(name) == hip for name in motion.joints)
    if people > 1:
        result.remarks.append(f"holds {people} people; the first alone was read")
    metres = _metres(rigs.leg_length(motion, fit), motion.metres or fit.rig.metres, settings, path)
    positions, remarks = rigs.to_h36m(motion, fit, metres)
    result.remarks += remarks
    result.facts |= {"rig": fit.rig.name, "metres_per_unit": metres}
    up = {"y": (1, 1), "z": (2, 1)}.get(settings.up or fit.rig.up or "") or _upwards(positions, result)
    return _z_up(positions, up), _rate(path, motion.fps, fit.rig.cmu, settings, result), fit.rig.rest_frames


def _from_markers(path: Path, settings: Settings, result: Converted) -> tuple[Floats, float, int]:
    recording = c3d.read(path)
    result.remarks += recording.remarks
    positions = markers.to_h36m(recording)
    fps = settings.fps or recording.fps
    filled = _bridge(positions, round(settings.fill * fps))
    if filled:
        result.remarks.append(f"{filled} missing joint positions were bridged by straight lines")
    scale = 1.0 if settings.unit is None else UNITS[settings.unit] / 0.001
    result.facts |= {"rig": "plug_in_gait markers", "metres_per_unit": None}
    up = {"y": (1, 1), "z": (2, 1)}.get(settings.up or "") or recording.up or _upwards(positions, result)
    return _z_up(positions * scale, up), fps, 0


def _metres(legs: float, told: float | None, settings: Settings, path: Path) -> float:
    """Metres per unit: as asked, as told, or the unit that makes the legs as long as legs are."""
    if settings.unit is not None:
        return UNITS[settings.unit]
    if told is not None and LEGS[0] <= legs * told <= LEGS[1]:
        return told
    fitting = [metres for metres in UNITS.values() if LEGS[0] <= legs * metres <= LEGS[1]]
    if not fitting:
        raise InputError(
            f"'{path}': legs of {legs:.4g} units are {LEGS[0]} to {LEGS[1]} m in no known unit "
            f"({', '.join(UNITS)}). Give it with --unit."
        )
    return min(fitting, key=lambda metres: abs(np.log(legs * metres / USUAL_LEG)))


def _upwards(positions: Floats, result: Converted) -> tuple[int, int]:
    """Axis and sign of "up": y, as BVH has it, unless the body stands along another one."""
    ankles = positions[:, [H36M_17.index("l_ankle"), H36M_17.index("r_ankle")]].mean(axis=1)
    body = np.nanmean(positions[:, H36M_17.index("thorax")] - ankles, axis=0)
    axis = int(np.argmax(np.abs(body)))
    if axis == 1 or abs(body[axis]) < 2 * abs(body[1]):
        axis = 1
    sign = 1 if body[axis] > 0 or axis == 1 and abs(body[1]) < 0.3 else -1
    if (axis, sign) != (1, 1):
        result.remarks.append(f"the body stands along {'-' if sign < 0 else ''}{'xyz'[axis]}, which was taken for up")
    return axis, sign


def _z_up(positions: Floats, up: tuple[int, int]) -> Floats:
    """Turned (never mirrored) so that ``up`` becomes z; y up becomes (x, -z, y)."""
    axis, sign = up
    x, y, z = positions[..., 0], positions[..., 1], positions[..., 2]
    turned = ((y, z, x), (x, -z, y), (x, y, z))[axis]
    if sign < 0:  # half a turn about x
        turned = (turned[0], -turned[1], -turned[2])
    return np.stack(turned, axis=-1)


def _rate(path: Path, told: float | None, of_cmu: bool, settings: Settings, result: Converted) -> float:
    """True frames per second. CMU's files say 120 or nothing, whatever is true."""
    if settings.fps is not None:
        return settings.fps
    number = cmu.trial(path.stem) if of_cmu else None
    if number is not None and told in (None, cmu.RATE):
        true = cmu.frame_rate(*number)
        if told is not None and told != true:
            result.remarks.append(f"says {told:g} frames per second; CMU's index says {true:g}")
        return true
    if told is None:
        raise InputError(f"'{path}' does not say how many frames it has per second. Give it with --fps.")
    return told


def _start(positions: Floats, fps: float, rest_frames: int, settings: Settings, result: Converted) -> int:
    """First frame after a rest pose."""
    start = settings.skip
    if start is None:
        start = 0
        if len(positions) > 1 and np.isfinite(positions[:2]).all():
            step = np.linalg.norm(positions[1] - positions[0], axis=-1).max() * fps
            start = rest_frames if step > REST_SPEED else 0
    start = min(start, len(positions))
    if start:
        result.drop(0, start - 1, "rest pose at the start" if settings.skip is None else "skipped as asked")
    return start


def _usable(positions: Floats, fps: float, start: int, result: Converted) -> NDArray[np.bool_]:
    """(T,) frames after the start that are numbers and not at a jump of the whole body."""
    lost: NDArray[np.bool_] = np.logical_not(np.isfinite(positions).all(axis=(1, 2)))
    lost[:start] = False
    for first, last in _runs(lost):
        result.drop(first, last, "positions are missing or no numbers")
    good = np.logical_not(lost)
    good[:start] = False
    bend = np.linalg.norm(np.diff(positions, n=2, axis=0), axis=-1)  # frames without numbers give NaN: no jump
    jumps = 1 + np.flatnonzero(np.median(bend, axis=1) > JUMP + JUMP_RATE / fps**2)
    jumped = np.zeros(len(positions), bool)
    for place in jumps[(jumps > start) & (jumps < len(positions) - 1)]:
        jumped[max(place - MARGIN, start) : place + MARGIN + 1] = True
    for first, last in _runs(jumped):
        result.drop(first, last, "the whole body jumps")
    return good & ~jumped


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last place of every run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


def _bridge(positions: Floats, longest: int) -> int:
    """Fill gaps of at most ``longest`` frames in place, joint by joint; how many positions were filled."""
    count = 0
    for joint in range(positions.shape[1]):
        lost: NDArray[np.bool_] = np.logical_not(np.isfinite(positions[:, joint]).all(axis=-1))
        for first, last in _runs(lost):
            if first > 0 and last < len(lost) - 1 and last - first < longest:
                share = np.arange(1, last - first + 2)[:, None] / (last - first + 2)
                before, after = positions[first - 1, joint], positions[last + 1, joint]
                positions[first : last + 1, joint] = before + share * (after - before)
                count += last - first + 1
    return count


def _check_body(positions: Floats, fps: float, path: Path) -> None:
    """Refuse what is no body.

    Raises:
        InputError: A bone has no length, or left and right are swapped.
    """
    leg = positions[:, [H36M_17.index(f"l_{joint}") for joint in ("hip", "knee", "ankle")]]
    legs = float(np.median(np.linalg.norm(np.diff(leg, axis=1), axis=-1).sum(axis=1)))
    if not LEGS[0] / 2 <= legs <= LEGS[1] * 2:
        raise InputError(f"'{path}': legs of {legs:.3g} m are nobody's. Check --unit.")
    for parent, child in H36M_17.bone_indices:
        length = float(np.median(np.linalg.norm(positions[:, child] - positions[:, parent], axis=-1)))
        if length < SHORTEST_BONE:
            names = f"{H36M_17.joints[parent]} to {H36M_17.joints[child]}"
            raise InputError(f"'{path}': the bone from {names} is {length * 1000:.1f} mm long: zero-length bone.")
    pose = Pose3D(positions.astype(np.float32), H36M_17, fps=fps, frame="world")
    if handedness(pose).verdict == "mirrored":
        raise InputError(f"'{path}': knees and elbows bend the wrong way: left and right are swapped or mirrored.")


def _piece(positions: Floats, first: int, last: int, fps: float, settings: Settings, result: Converted) -> None:
    """Resample frames ``first`` to ``last`` and keep them, or say why not."""
    piece = positions[first : last + 1]
    if len(piece) < 4 or len(piece) / fps < settings.shortest - 1e-9:
        result.drop(first, last, f"shorter than {settings.shortest:g} s")
        return
    around = piece - piece[:, :1]
    stray = np.linalg.norm(around - around.mean(axis=0), axis=-1).max()
    if max(stray, np.linalg.norm(piece[:, 0] - piece[:, 0].mean(axis=0), axis=-1).max()) < STILL:
        result.drop(first, last, "nothing moves")
        return
    result.pieces.append(resample(piece, fps, settings.rate))


def resample(positions: Floats, fps: float, rate: float) -> Floats:
    """A cubic spline through all frames, read off at a new rate from the first frame up to, not at, the last.

    Args:
        positions: (T, J, 3), at least four frames.
        fps: Its frames per second; where it is the rate already, nothing is done.
        rate: Those wanted.
    """
    from scipy.interpolate import CubicSpline

    if fps == rate:
        return positions
    count = int(np.ceil((len(positions) - 1) * rate / fps - 1e-6))
    return np.asarray(CubicSpline(np.arange(len(positions)), positions)(np.arange(count) * fps / rate))
