"""A simulated 2D detector: the ``detector`` input of the evaluation protocol.

Per 1000 px of image width, mean distance from the truth: 6.1 px for visible
joints and 11.5 px for joints behind the own body (both: CPN measured on
BlendMimic3D), 40 px for joints hidden otherwise or out of the frame. The
errors wander with a memory of a quarter of a second. On top of them come gross
errors (2 % of all joint-frames: a joint somewhere else for a moment) and swaps
of left and right (2 % of all frames: both legs or both arms exchanged), in
short runs. Each joint has a noisy score; score against true visibility has an
area under the curve near 0.85. Nobody says which joints are hidden.

Left out on purpose: scores that know how large their error is, and joints that
are missing altogether.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Pose2D, Take
from posemend.body.skeleton import Skeleton
from posemend.errors import InputError

VISIBLE, SELF, OTHER = 0, 1, 2  # values of hidden_kind

SELF_OCCLUSION_SUBJECTS = ("S1",)

_LEG = ("hip", "knee", "ankle", "heel", "toe", "foot")
_ARM = ("shoulder", "elbow", "wrist", "hand")


@dataclass(frozen=True)
class Detector:
    """How bad the detector is.

    Attributes:
        visible_px: Mean error of visible joints, px per 1000 px of image width.
        self_px: The same for joints behind the own body.
        other_px: The same for joints hidden otherwise or out of the frame.
        memory_s: Time constant of the errors, seconds.
        gross_share: Share of joint-frames with a gross error.
        gross_px: Least and largest gross error, px per 1000 px of width.
        swap_share: Share of frames in which legs or arms are exchanged.
        run_s: Mean length of a run of gross errors or swaps, seconds.
        score_gap: Distance of the score's two distributions in standard
            deviations; 1.466 gives an area under the curve of 0.85.
    """

    visible_px: float = 6.1
    self_px: float = 11.5
    other_px: float = 40.0
    memory_s: float = 0.25
    gross_share: float = 0.02
    gross_px: tuple[float, float] = (30.0, 300.0)
    swap_share: float = 0.02
    run_s: float = 0.12
    score_gap: float = 1.466


def hidden_kind(take: Take) -> NDArray[np.int8]:
    """(T, J) ``VISIBLE``, ``SELF`` or ``OTHER``, by a rule, as no data set says it.

    A hidden joint outside the image is ``OTHER``. Inside the image it is
    ``SELF`` for BlendMimic3D's S1, whose scenes hold no objects, and ``OTHER``
    for everybody else: S2 and S3 are hidden by objects as well as by
    themselves, and the harsher of the two is taken.
    """
    keypoints = take.keypoints
    inside_kind = SELF if take.subject in SELF_OCCLUSION_SUBJECTS else OTHER
    kind = np.where(keypoints.visible, VISIBLE, inside_kind).astype(np.int8)
    if keypoints.width is not None and keypoints.height is not None:
        size = np.array([keypoints.width, keypoints.height])
        outside = ((keypoints.positions < 0) | (keypoints.positions > size)).any(-1)
        kind[outside & ~keypoints.visible] = OTHER
    return kind


def simulate(take: Take, rng: np.random.Generator, setting: Detector | None = None) -> Pose2D:
    """What the detector says about a take: pixels and scores, no flags.

    Joints of the take with score 0 stay absent. Pieces between the take's cuts
    have independent errors.

    Raises:
        InputError: The image width is not known.
    """
    keypoints = take.keypoints
    if keypoints.width is None:
        raise InputError(f"The simulated detector needs the image width of '{take.name}'. Give width and height.")
    kind = hidden_kind(take)
    bounds = [0, *(cut for cut in take.cuts if 0 < cut < len(keypoints)), len(keypoints)]
    parts = [
        simulate_arrays(
            keypoints.positions[start:end], kind[start:end], keypoints.width, keypoints.fps, keypoints.skeleton,
            rng, setting,
        )
        for start, end in pairwise(bounds)
    ]  # fmt: skip
    positions = np.concatenate([part[0] for part in parts])
    score = np.concatenate([part[1] for part in parts])
    score[keypoints.score == 0] = 0
    return replace(keypoints, positions=positions, score=score, visible=None)  # type: ignore[arg-type]


def simulate_arrays(
    positions: NDArray[np.floating],
    hidden_kind: NDArray[np.int8],
    width: float | NDArray[np.floating],
    fps: float,
    skeleton: Skeleton,
    rng: np.random.Generator,
    setting: Detector | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The detector on plain arrays; any number of leading batch axes.

    Args:
        positions: (..., T, J, 2) exact pixels.
        hidden_kind: (..., T, J) ``VISIBLE``, ``SELF`` or ``OTHER``.
        width: Image width in pixels; a number, or an array of the batch shape.
            Give 1000 times the scale where positions are in other units.
        fps: Frames per second.
        skeleton: For left and right, legs and arms.
        rng: Source of chance; equal states give equal results.
        setting: How bad the detector is.

    Returns:
        Positions (..., T, J, 2) float32 in the same unit, and score (..., T, J) in (0, 1).

    Raises:
        InputError: Shapes do not fit.
    """
    setting = setting or Detector()
    positions = np.asarray(positions, np.float32)
    kind = np.asarray(hidden_kind)
    if positions.ndim < 3 or positions.shape[-1] != 2 or positions.shape[-2] != len(skeleton):
        raise InputError(f"Wanted positions (..., T, {len(skeleton)}, 2) for '{skeleton.name}', got {positions.shape}.")
    if kind.shape != positions.shape[:-1]:
        raise InputError(f"Wanted hidden_kind of shape {positions.shape[:-1]}, got {kind.shape}.")
    unit = np.asarray(width, np.float32)[..., None, None] / 1000  # (..., 1, 1)
    mean = np.array([setting.visible_px, setting.self_px, setting.other_px], np.float32)[kind] * unit
    # The length of a 2D normal vector has mean sigma * sqrt(pi / 2) (Rayleigh).
    wander = _wander(positions.shape, fps * setting.memory_s, rng) * (mean / np.float32(np.sqrt(np.pi / 2)))[..., None]
    gross, offset = _gross(kind.shape, fps, rng, setting)
    swapped = swapped_sides(kind.shape, fps, skeleton, rng, setting)
    seen_as = np.where(swapped[..., None], positions[..., list(skeleton.mirror), :], positions)
    found = seen_as + wander + np.where(gross[..., None], offset * unit[..., None], 0)
    return found.astype(np.float32), _score(kind, gross, fps, rng, setting)


def _wander(shape: tuple[int, ...], memory: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Unit normal noise along axis -3 (time) with a memory of so many frames (Ornstein-Uhlenbeck)."""
    from scipy.signal import lfilter

    keep = float(np.exp(-1 / memory)) if memory > 0 else 0.0
    drive = rng.standard_normal(shape, dtype=np.float32)
    drive[..., 1:, :, :] *= np.float32(np.sqrt(1 - keep * keep))  # frame 0 is drawn from the stationary law
    return lfilter(np.ones(1, np.float32), np.array([1, -keep], np.float32), drive, axis=-3)


def random_runs(
    shape: tuple[int, ...], share: float, mean_length: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Runs along the first-but-last axis (..., T, K): which frames they cover, and where the latest one began."""
    frames = shape[-2]
    clock = np.arange(frames)[:, None]
    if share <= 0:
        return np.zeros(shape, bool), np.broadcast_to(clock, shape)
    mean_length = max(mean_length, 1.0)
    begins = rng.random(shape, dtype=np.float32) < -np.log1p(-share) / mean_length
    begins[..., 0, :] = rng.random((*shape[:-2], shape[-1])) < share  # runs that were on before the first frame
    length = rng.geometric(1 / mean_length, shape)
    until = np.maximum.accumulate(np.where(begins, clock + length, 0), axis=-2)
    latest = np.maximum.accumulate(np.where(begins, clock, 0), axis=-2)
    return until > clock, latest


def _gross(
    shape: tuple[int, ...], fps: float, rng: np.random.Generator, setting: Detector
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which joint-frames are grossly wrong (..., T, J), and by how much (..., T, J, 2), held through a run."""
    covered, latest = random_runs(shape, setting.gross_share, setting.run_s * fps, rng)
    low, high = np.log(setting.gross_px)
    far = np.exp(rng.uniform(low, high, shape))
    angle = rng.uniform(0, 2 * np.pi, shape)
    offset = np.stack([far * np.cos(angle), far * np.sin(angle)], axis=-1)
    return covered, np.take_along_axis(offset, latest[..., None], axis=-3).astype(np.float32)


def swapped_sides(
    shape: tuple[int, ...], fps: float, skeleton: Skeleton, rng: np.random.Generator, setting: Detector
) -> NDArray[np.bool_]:
    """(..., T, J) joints that are given the place of their mirror twin."""
    covered, latest = random_runs((*shape[:-1], 1), setting.swap_share, setting.run_s * fps, rng)
    legs_chosen = np.take_along_axis(rng.random((*shape[:-1], 1)) < 0.5, latest, axis=-2)
    legs = np.array([name.endswith(_LEG) for name in skeleton.joints])
    arms = np.array([name.endswith(_ARM) for name in skeleton.joints])
    return covered & np.where(legs_chosen, legs, arms)


def _score(
    kind: NDArray[np.int8], gross: NDArray[np.bool_], fps: float, rng: np.random.Generator, setting: Detector
) -> NDArray[np.float32]:
    """Scores in (0, 1): high for visible joints, lower for hidden ones and in gross errors, both noisy."""
    wander = _wander((*kind.shape, 1), fps * setting.memory_s, rng)[..., 0]
    flicker = rng.standard_normal(kind.shape, dtype=np.float32)
    level = setting.score_gap * ((kind == VISIBLE) - 0.5) + 0.9 * wander + np.float32(np.sqrt(1 - 0.81)) * flicker
    level = level - 0.5 * setting.score_gap * gross
    return (1 / (1 + np.exp(-(0.6 + 1.2 * level)))).astype(np.float32)
