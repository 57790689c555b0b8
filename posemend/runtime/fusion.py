"""Several estimates of one joint over time to one, weighted by how sure each is.

Two estimates with expected errors s and t are averaged with weights 1/s² and
1/t²; where they contradict each other by more than they allow, the less sure
one counts for less. Over time a joint is a mass with random accelerations (a
Kalman filter, then Rauch, Tung and Striebel's backward pass, 1965): a moment
without any estimate is bridged, and the expected error grows in the gap.

Expected errors are mean distances in metres, as the networks give them; inside
they are spreads along each axis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

PER_AXIS = 0.627  # spread along each axis of a 3D normal error whose mean length is 1 (Maxwell)
MEMORY = 1.6  # neighbouring frames err alike: each counts for this much less, as a spread
LASTING = 0.85  # share of an expected error that stays the same from frame to frame
AGREE = 2.5  # estimates may differ by this many spreads of their difference
UNKNOWN = 3.0  # metres; an expected error of this says that nothing is known
NEAR_ENOUGH = 0.25  # metres; joints that are surer than this say where the body is
SIZES = (0.85, 1.2)  # a lifter's idea of a stature is right within this
STATURES = 0.065  # of the distance: what a picture's idea of it errs by, as statures differ


def combine(first: Floats, s: Floats, second: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Weighted mean of two estimates.

    Args:
        first, second: (T, J, 3) metres.
        s, t: (T, J) expected errors; ``UNKNOWN`` or more for no estimate.

    Returns:
        Positions (T, J, 3) and expected errors (T, J).
    """
    s, t = np.minimum(s, UNKNOWN).astype(np.float64), np.minimum(t, UNKNOWN).astype(np.float64)
    apart = np.linalg.norm(first.astype(np.float64) - second, axis=-1)
    too_far = np.maximum(apart / (AGREE * np.sqrt(s * s + t * t)), 1.0)
    less_sure = s >= t
    s, t = np.where(less_sure, s * too_far, s), np.where(less_sure, t, t * too_far)
    w, v = 1 / (s * s), 1 / (t * t)
    position = (first * w[..., None] + second * v[..., None]) / (w + v)[..., None]
    # both come from the same keypoints, so their errors hang together: no surer than the mean of the two
    return position.astype(np.float32), np.minimum((w * s + v * t) / (w + v), UNKNOWN).astype(np.float32)


def smooth(positions: Floats, sigma: Floats, fps: float, acceleration: Floats) -> tuple[Floats, Floats]:
    """Each joint's way through its estimates.

    Args:
        positions: (T, J, 3) metres; looked at where ``sigma`` is below ``UNKNOWN``.
        sigma: (T, J) expected errors.
        fps: Frames per second.
        acceleration: (J,) typical accelerations, m/s².

    Returns:
        Positions (T, J, 3) and expected errors (T, J).
    """
    frames, joints = sigma.shape
    if frames == 1:
        return positions, sigma
    dt = 1.0 / fps
    step = np.array([[1, dt], [0, 1]])
    drive = (
        np.array([[dt**4 / 4, dt**3 / 2], [dt**3 / 2, dt**2]]) * (acceleration.astype(np.float64) ** 2)[:, None, None]
    )
    known = sigma < UNKNOWN
    spread = np.where(known, sigma, UNKNOWN).astype(np.float64) * PER_AXIS * MEMORY
    noise = np.where(known, spread**2, 1e6)
    at = _first(positions, known)
    state = np.zeros((joints, 2, 3))
    state[:, 0] = at
    cover = np.tile(np.diag([UNKNOWN**2, 25.0]), (joints, 1, 1))
    states, covers = np.empty((frames, joints, 2, 3)), np.empty((frames, joints, 2, 2))
    before, before_cover = np.empty_like(states), np.empty_like(covers)
    seen = positions.astype(np.float64)
    for frame in range(frames):
        if frame:
            state = step @ state
            cover = step @ cover @ step.T + drive
        before[frame], before_cover[frame] = state, cover
        gain = cover[:, :, 0] / (cover[:, :1, 0] + noise[frame, :, None])  # (J, 2)
        state = state + gain[..., None] * (seen[frame] - state[:, 0])[:, None] * known[frame, :, None, None]
        gain = gain * known[frame, :, None]
        cover = cover - gain[..., None] * cover[:, :1]
        states[frame], covers[frame] = state, cover
    for frame in range(frames - 2, -1, -1):
        back = covers[frame] @ step.T @ np.linalg.inv(before_cover[frame + 1])
        states[frame] += back @ (states[frame + 1] - before[frame + 1])
        covers[frame] += back @ (covers[frame + 1] - before_cover[frame + 1]) @ np.swapaxes(back, -1, -2)
    error = np.sqrt(np.maximum(covers[:, :, 0, 0], 1e-10)) / PER_AXIS
    # time takes trembling away, not what an estimate gets wrong in every frame
    error = np.where(known, np.maximum(error, LASTING * sigma), error)
    return states[:, :, 0].astype(np.float32), np.minimum(error, UNKNOWN).astype(np.float32)


def _first(positions: Floats, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(J, 3) the first known place of each joint, 0 where there is none."""
    when = known.argmax(0)
    place = positions[when, np.arange(positions.shape[1])].astype(np.float64)
    return np.where(np.any(known, 0)[:, None], place, 0)


def place(
    pose: Floats, s: Floats, seen: Floats, t: Floats, fps: float, guess: Floats | None = None
) -> tuple[Floats, Floats]:
    """Lay a pose of unknown place and size on joints whose place is known.

    The size is one number for the clip (a lifter's idea of a stature does not
    change from frame to frame). Each frame's shift is a weighted median over
    joints, averaged with the place that the picture alone suggests (which
    decides where no joint is seen, and counts where few are), and is
    smoothed, and bridged where nothing is known, like a joint.

    Args:
        pose: (T, J, 3) metres, relative to anything.
        s: (T, J) its expected errors.
        seen: (T, J, 3) metres, camera axes.
        t: (T, J) expected errors; ``UNKNOWN`` or more where nothing is known.
        fps: Frames per second.
        guess: (T, 3) metres, where the pose's origin is if it has the size that it says; ``None`` if nobody says.

    Returns:
        The pose in camera axes (T, J, 3) and its expected errors there (T, J).
    """
    weight = np.where((t < NEAR_ENOUGH) & (s < 0.4), 1 / (s * s + t * t + 1e-4), 0).astype(np.float64)
    number = (weight > 0).sum(1)
    total = np.maximum(weight.sum(1, keepdims=True), 1e-9)
    many = number >= 5
    if many.any():
        a = pose - ((pose * weight[..., None]).sum(1) / total)[:, None]
        b = seen - ((seen * weight[..., None]).sum(1) / total)[:, None]
        w = weight[many][..., None]
        size = np.sqrt((w * b[many] ** 2).sum((1, 2)) / np.maximum((w * a[many] ** 2).sum((1, 2)), 1e-9))
        factor = np.float32(np.clip(np.median(size), *SIZES))
        pose = pose * factor
        guess = None if guess is None else guess * factor  # somebody larger is farther away in the same picture
    shift = np.stack([_median(seen[..., axis] - pose[..., axis], weight) for axis in range(3)], -1)
    # errors of a pose's joints hang together, so many joints tell a place only a little better than a few
    unsure = np.where(number > 0, 0.3 * np.sqrt(number / total[:, 0]) + 0.05 / np.maximum(number, 1), UNKNOWN)
    shift, unsure = shift[:, None].astype(np.float32), unsure[:, None].astype(np.float32)
    if guess is not None:
        guessed = np.where(guess[:, 2] > 0, STATURES * guess[:, 2], UNKNOWN).astype(np.float32)
        shift, unsure = combine(shift, unsure, guess[:, None], guessed[:, None])
    shift, unsure = smooth(shift, unsure, fps, np.array([3.0], np.float32))
    return (pose + shift).astype(np.float32), np.minimum(np.hypot(s, unsure), UNKNOWN).astype(np.float32)


def _median(values: Floats, weight: NDArray[np.float64]) -> Floats:
    """(T,) weighted medians over joints (T, J)."""
    order = np.argsort(values, 1)
    ordered, heavy = np.take_along_axis(values, order, 1), np.take_along_axis(weight, order, 1).cumsum(1)
    middle = (heavy >= heavy[:, -1:] / 2).argmax(1)
    return np.take_along_axis(ordered, middle[:, None], 1)[:, 0]
