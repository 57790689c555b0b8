"""What is done to keypoints before networks and to poses after them: filling gaps, and smoothing.

The three smoothers are the ones that people reach for: a Butterworth low pass
run forwards and backwards (Winter, "Biomechanics and Motor Control of Human
Movement"), Savitzky and Golay's moving polynomial (Anal. Chem. 1964), and the
one-euro filter (Casiez et al., CHI 2012), which sees no future frame. They know
nothing of bodies and nothing of occlusion: a baseline for refiners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Pose2D, Pose3D
from posemend.errors import InputError

Floats = NDArray[np.float64]

BUTTERWORTH_ORDER = 2  # applied twice, so the fall-off is that of order 4
SAVGOL_DEGREE = 3


def fill_gaps(pose: Pose2D) -> Pose2D:
    """Keypoints with every joint in every frame, as tools want them that know nothing of occlusion.

    Absent joints (score 0) are put on a straight line in time between the
    frames that have them, held at the ends, and put amid the others if no
    frame has them. Scores become 1 and flags True: this is the habit of
    occlusion-blind tools, kept to compare with.

    Raises:
        InputError: No joint is present at all.
    """
    positions = pose.positions.copy()
    present = pose.score > 0
    if not present.any():
        raise InputError("No joint is present in any frame. Wanted at least one score above 0.")
    seen = present.any(0)
    for joint in np.flatnonzero(seen & ~present.all(0)):
        positions[:, joint] = bridged(positions[:, joint], present[:, joint])
    positions[:, ~seen] = positions[:, seen].mean(1, keepdims=True)
    return replace(pose, positions=positions, score=np.ones_like(pose.score), visible=np.ones_like(pose.visible))


def bridged(path: NDArray[np.floating], present: NDArray[np.bool_]) -> NDArray[np.floating]:
    """(T, C) with straight lines where ``present`` (T,) is false; held at the ends. Some frame must be present."""
    time, at = np.arange(len(path)), np.flatnonzero(present)
    return np.stack([np.interp(time, at, path[at, axis]) for axis in range(path.shape[1])], 1)


def smooth(
    pose: Pose3D, method: str = "butterworth", *, strength: float | None = None, cuts: Iterable[int] = ()
) -> Pose3D:
    """A pose whose joints move smoothly; frames, clock, scores and stated errors stay.

    Args:
        pose: Any 3D pose. Joints that are absent in some frames are bridged for
            the filter's sake and stay absent.
        method: ``"butterworth"``, ``"savitzky-golay"`` or ``"one-euro"``.
        strength: Cut-off in Hz for ``butterworth`` (6 by default), window in
            seconds for ``savitzky-golay`` (0.3), slowest cut-off in Hz for
            ``one-euro`` (2; it opens by 5 Hz for each metre per second).
        cuts: Frame numbers where new motion starts; nothing is smoothed across one.

    Raises:
        InputError: No such method, or an impossible strength.
    """
    if method not in METHODS:
        raise InputError(f"No smoothing is called '{method}'. There are: {', '.join(METHODS)}.")
    filtered, usual = METHODS[method]
    amount = usual if strength is None else strength
    if not (np.isfinite(amount) and amount > 0):
        raise InputError(f"Smoothing wants a strength above 0, got {amount}.")
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(pose)}), len(pose)]
    positions = pose.positions.astype(np.float64)
    root = None if pose.root is None else pose.root.astype(np.float64)
    for start, end in pairwise(bounds):
        part = positions[start:end]
        present = pose.score[start:end] > 0
        for joint in np.flatnonzero(present.any(0) & ~present.all(0)):
            part[:, joint] = bridged(part[:, joint], present[:, joint])
        positions[start:end] = filtered(part, pose.fps, amount)
        if root is not None:
            root[start:end] = filtered(root[start:end], pose.fps, amount)
    return replace(pose, positions=positions.astype(np.float32), root=None if root is None else root.astype(np.float32))


def low_pass(x: NDArray[np.floating], fps: float, cutoff: float) -> NDArray[np.floating]:
    """Zero-lag Butterworth low pass along axis 0 (time).

    Args:
        x: (T, ...) anything that moves; without gaps.
        fps: Frames per second.
        cutoff: Hz at which half of the amplitude is left.

    Returns:
        (T, ...) filtered; as it is where the cut-off lies beyond the clock or the clip has fewer than 4 frames.
    """
    from scipy.signal import butter, sosfiltfilt

    if cutoff >= 0.5 * fps or len(x) < 4:
        return x
    sections = butter(BUTTERWORTH_ORDER, cutoff, fs=fps, output="sos")
    reach = min(len(x) - 1, max(3 * (2 * len(sections) + 1), round(fps / cutoff)))
    return sosfiltfilt(sections, x, axis=0, padtype="odd", padlen=reach)


def _savitzky_golay(x: Floats, fps: float, seconds: float) -> Floats:
    """Moving cubic along axis 0; as it is where the window would hold no more frames than the cubic needs."""
    from scipy.signal import savgol_filter

    odd = len(x) if len(x) % 2 else len(x) - 1
    window = min(2 * round(seconds * fps / 2) + 1, odd)
    if window <= SAVGOL_DEGREE + 1:
        return x
    return savgol_filter(x, window, SAVGOL_DEGREE, axis=0, mode="interp")


def _one_euro(x: Floats, fps: float, slowest: float, opening: float = 5.0, speed_cutoff: float = 1.0) -> Floats:
    """Casiez' filter along axis 0: a low pass whose cut-off (Hz) rises with the smoothed speed (m/s) of each joint."""

    def share(cutoff: Floats | float) -> Floats | float:
        turn = 2 * np.pi * cutoff / fps
        return turn / (turn + 1)

    result = x.copy()
    speed = np.zeros_like(x[:1])[0]
    for frame in range(1, len(x)):
        # speed is that of the new value against the last answer
        speed = speed + share(speed_cutoff) * ((x[frame] - result[frame - 1]) * fps - speed)
        cutoff = slowest + opening * np.linalg.norm(speed, axis=-1, keepdims=True)
        result[frame] = result[frame - 1] + share(cutoff) * (x[frame] - result[frame - 1])
    return result


METHODS: dict[str, tuple[Callable[[Floats, float, float], NDArray[np.floating]], float]] = {
    "butterworth": (low_pass, 6.0),
    "savitzky-golay": (_savitzky_golay, 0.3),
    "one-euro": (_one_euro, 2.0),
}
"""Smoothers with their usual strengths."""
