"""Hidden joints and detector errors, drawn afresh for every sample.

Joints disappear in spans (single joints, limbs, halves, behind a moving box,
behind the trunk, out of the image). What a network is then given differs by
sample: exact joints, exact joints with flags, hidden joints missing, or the
output of a detector that errs a little on visible joints, much on hidden
ones, now and then grossly, sometimes swaps sides, and whose scores tell only
part of it. Nothing here is fitted to the simulated detector used in
evaluation: ranges are wide on purpose. A share of the detectors may be drawn
from the measured errors of real ones instead (``fitted``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from posemend.body.catalogue import H36M_17
from posemend.contract.codec import HIDDEN_SCORE
from posemend.errors import InputError
from posemend.occlusion import error_draw, error_model
from posemend.occlusion.detector import OTHER, SELF, VISIBLE
from posemend.training.vary import MIRROR
from posemend.training.views import Seen

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def _group(*names: str) -> Bools:
    return np.isin(H36M_17.joints, names)


_SIDE = {side: [n for n in H36M_17.joints if n.startswith(f"{side}_")] for side in "lr"}
_LOWER = ("l_knee", "r_knee", "l_ankle", "r_ankle")
_GROUPS = np.stack(
    [_group(name) for name in H36M_17.joints]
    + [_group(f"{s}_elbow", f"{s}_wrist") for s in "lr"]
    + [_group(f"{s}_shoulder", f"{s}_elbow", f"{s}_wrist") for s in "lr"]
    + [_group(f"{s}_knee", f"{s}_ankle") for s in "lr"]
    + [_group(f"{s}_hip", f"{s}_knee", f"{s}_ankle") for s in "lr"]
    + [_group(*_SIDE["l"]), _group(*_SIDE["r"])]
    + [_group(*_LOWER), _group(*_LOWER, "l_hip", "r_hip", "pelvis")]
    + [_group("nose", "head_top"), _group("pelvis", "l_hip", "r_hip", "spine")]
    + [~_group(*_LOWER, "l_hip", "r_hip", "pelvis", "spine")]
    + [_group("l_elbow", "l_wrist", "r_elbow", "r_wrist"), np.ones(17, bool)]
)
_CHANCE = np.array([1.0] * 17 + [2.0] * 8 + [1.0] * 2 + [2.5, 1.5] + [1.0, 1.0] + [0.7] + [1.0, 0.3])
_CHANCE /= _CHANCE.sum()


@dataclass(frozen=True)
class Hiding:
    """How samples are spoiled; the four shares are chances of what the network is given.

    Attributes:
        exact: All joints, exactly.
        flagged: All joints exactly, hidden ones with a low score.
        missing: Hidden joints absent, the others nearly exact.
        detector: A detector's output.
        spans: Mean number of hidden spans per sample.
        seconds: Median length of a span.
        noise: Largest mean error of visible joints, in thousandths of the image.
        hidden_noise: Largest mean error of hidden joints, likewise.
        fitted: Share of the detectors that err as real ones do (`posemend.occlusion.error_model`); ``noise`` and
            ``hidden_noise`` are not for these.
        detectors: Names or files of the real detectors, each as likely as the others.

    Raises:
        InputError: ``fitted`` without a detector, or one that is not known.
    """

    exact: float = 0.15
    flagged: float = 0.1
    missing: float = 0.3
    detector: float = 0.45
    spans: float = 3.0
    seconds: float = 0.6
    noise: float = 10.0
    hidden_noise: float = 55.0
    fitted: float = 0.0
    detectors: tuple[str, ...] = ("mediapipe", "movenet")

    def __post_init__(self) -> None:
        if self.fitted > 0:
            if not self.detectors:
                raise InputError(f"A share of {self.fitted:g} fitted detectors wants one by name, got none.")
            for name in self.detectors:
                error_model.load(name)


def spans(batch: int, frames: int, fps: float, hiding: Hiding, rng: np.random.Generator) -> Bools:
    """(B, T, 17) joints hidden in random spans."""
    count = rng.poisson(hiding.spans, batch)
    hidden = np.zeros((batch, frames, 17), bool)
    time = np.arange(frames)
    for turn in range(int(count.max(initial=0))):
        rows = np.flatnonzero(count > turn)
        length = np.exp(rng.normal(np.log(hiding.seconds * fps), 1.1, len(rows)))
        start = rng.uniform(-length, frames)
        on = (time >= start[:, None]) & (time < (start + length)[:, None])
        group = _GROUPS[rng.choice(len(_GROUPS), len(rows), p=_CHANCE)]
        hidden[rows] |= on[..., None] & group[:, None]
    return hidden


def behind_box(seen: Seen, rng: np.random.Generator, share: float = 0.3) -> Bools:
    """(B, T, 17) joints inside a rectangle of the image that may drift."""
    batch, frames = len(seen.rays), seen.rays.shape[1]
    middle = seen.rays.mean(2)  # (B, T, 2)
    size = np.abs(seen.rays - middle[:, :, None]).max((1, 2))  # (B, 2)
    aim = seen.rays[np.arange(batch), frames // 2, rng.integers(0, 17, batch)]
    drift = rng.normal(0, 0.6, (batch, 1, 2)) * size[:, None] * np.linspace(-1, 1, frames)[None, :, None]
    centre = aim[:, None] + drift
    half = rng.uniform(0.1, 0.7, (batch, 1, 1, 2)) * size[:, None, None]
    inside = np.all(np.abs(seen.rays - centre[:, :, None]) < half, -1)
    return inside & (rng.random(batch) < share)[:, None, None]


def behind_trunk(seen: Seen, rng: np.random.Generator, share: float = 0.6) -> Bools:
    """(B, T, 17) joints with the trunk between them and the camera (a thick line from pelvis to thorax)."""
    a = seen.camera[:, :, H36M_17.index("pelvis"), None]
    b = seen.camera[:, :, H36M_17.index("thorax"), None]
    point = seen.camera
    depth = np.maximum(point[..., 2:], 0.1)
    flat = point[..., :2] / depth
    a2, b2 = a[..., :2] / np.maximum(a[..., 2:], 0.1), b[..., :2] / np.maximum(b[..., 2:], 0.1)
    along = b2 - a2
    part = ((flat - a2) * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-6)
    part = np.clip(part, 0, 1)[..., None]
    aside = np.linalg.norm(flat - a2 - part * along, axis=-1) * depth[..., 0]
    behind = point[..., 2] - (a[..., 2] + part[..., 0] * (b - a)[..., 2])
    radius = rng.uniform(0.09, 0.16, (len(point), 1, 1))
    hidden = (aside < radius) & (behind > 0.08)
    hidden[:, :, [H36M_17.index("nose"), H36M_17.index("head_top")]] = False
    return hidden & (rng.random(len(point)) < share)[:, None, None]


def outside(seen: Seen) -> Bools:
    """(B, T, 17) joints outside the image."""
    return np.any(np.abs(seen.rays) > seen.half[:, None, None], -1)


def wandering(shape: tuple[int, ...], fps: float, seconds: float, rng: np.random.Generator) -> Floats:
    """Unit-variance noise that forgets itself after ``seconds`` (first-order autoregression along axis 1)."""
    keep = float(np.exp(-1.0 / (seconds * fps)))
    white = rng.standard_normal(shape, np.float32)
    white[:, 0] /= np.sqrt(1 - keep**2)
    return lfilter([np.sqrt(1 - keep**2)], [1, -keep], white, axis=1).astype(np.float32)


def short_runs(batch: int, frames: int, width: int, share: Floats, length: float, rng: np.random.Generator) -> Bools:
    """(B, T, width) runs of about ``length`` frames that cover ``share`` (B,) of the time."""
    start = rng.random((batch, frames, width), np.float32) < (share / length)[:, None, None]
    run = np.cumsum(start, 1, np.int_)
    reach = int(length)
    run[:, reach:] -= run[:, :-reach].copy()
    return run > 0


def detector_errors(
    seen: Seen, hidden: Bools, fps: float, hiding: Hiding, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """What a detector would give: rays (B, T, 17, 2) and scores (B, T, 17)."""
    batch, frames = len(hidden), hidden.shape[1]
    thousandth = seen.unit / 1000
    person = np.abs(seen.rays - seen.rays.mean(2, keepdims=True)).mean((1, 2, 3)) * 4  # about the person's height
    # half of the detectors err with the image's size, half with the person's
    scale = np.where(rng.random(batch) < 0.5, thousandth, person / 400)
    to_sigma = 1 / np.sqrt(np.pi / 2)  # from mean distance to spread per axis
    small = rng.uniform(0.5, hiding.noise, batch) * scale * to_sigma
    large = np.maximum(rng.uniform(4, hiding.hidden_noise, batch) * scale * to_sigma, small)
    noise = wandering((batch, frames, 17, 2), fps, float(rng.uniform(0.05, 0.5)), rng)
    rays = seen.rays + noise * np.where(hidden, large[:, None, None], small[:, None, None])[..., None]

    share = rng.uniform(0, 0.03, batch).astype(np.float32)
    gross = short_runs(batch, frames, 17, share, max(1.0, 0.1 * fps), rng)
    jump = rng.normal(0, 1, (batch, 1, 17, 2)) * (person * 0.5)[:, None, None, None]
    rays = rays + gross[..., None] * jump
    swapped = short_runs(batch, frames, 1, share, max(1.0, 0.15 * fps), rng)[..., 0]
    legs = rng.random(batch) < 0.5
    order = np.arange(17)
    leg = np.isin(np.arange(17), [H36M_17.index(n) for s in "lr" for n in (f"{s}_hip", f"{s}_knee", f"{s}_ankle")])
    for rows, which in ((legs, leg), (~legs, ~leg)):
        at = swapped & rows[:, None]
        rays[at] = rays[at][:, np.where(which, MIRROR, order)]

    good = rng.uniform(0.7, 0.97, (batch, 1, 1))
    poor = rng.uniform(0.15, 0.85, (batch, 1, 1)) * good
    spread = rng.uniform(0.03, 0.25, (batch, 1, 1))
    score = np.where(hidden, poor, good) + spread * wandering((batch, frames, 17), fps, 0.15, rng)
    score = np.clip(np.where(gross & (rng.random((batch, 1, 1)) < 0.5), 0.5 * score, score), 0.02, 1)
    score[rng.random(batch) < 0.1] = 1  # a tool that gives no scores
    dropped = rng.random(batch) < 0.3  # detectors that leave out what they do not believe
    score[dropped[:, None, None] & (score < rng.uniform(0.1, 0.4, (batch, 1, 1)))] = 0
    return rays.astype(np.float32), score.astype(np.float32)


def fitted_errors(
    seen: Seen, hidden: Bools, fps: float, hiding: Hiding, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """What real detectors might give: rays (B, T, 17, 2) and scores (B, T, 17).

    Hidden joints behind the trunk count as self-occluded, all others as hidden by something else.
    """
    rays, score = seen.rays.copy(), np.ones(hidden.shape, np.float32)
    by_self = behind_trunk(seen, rng, share=1.0) & ~outside(seen)
    kind = np.where(hidden, np.where(by_self, SELF, OTHER), VISIBLE).astype(np.int8)
    chosen = rng.integers(len(hiding.detectors), size=len(hidden))
    for number, name in enumerate(hiding.detectors):
        rows = np.flatnonzero(chosen == number)
        if not len(rows):
            continue
        model, some = error_model.load(name), seen.rows(rows)
        shift = error_draw.definition_shift(model, some.camera, some.told)
        quality = np.exp(rng.normal(0, model.spread, len(rows))).astype(np.float32)
        rays[rows], score[rows] = error_draw.draw(model, some.rays, kind[rows], fps, rng, shift, quality)
    return rays, score


def spoil(
    seen: Seen, hidden: Bools, fps: float, hiding: Hiding, rng: np.random.Generator
) -> tuple[Floats, Floats, Bools]:
    """Input of the network for each sample.

    Args:
        seen: Exact images.
        hidden: (B, T, 17) joints hidden by things or by the body.
        fps: Frame rate.
        hiding: How samples are spoiled.
        rng: Source of chance.

    Returns:
        rays (B, T, 17, 2), scores (B, T, 17), and which joints are hidden (B, T, 17).
    """
    batch = len(hidden)
    shares = np.array([hiding.exact, hiding.flagged, hiding.missing, hiding.detector])
    kind = rng.choice(4, batch, p=shares / shares.sum())
    rays = seen.rays.copy()
    score = np.ones(hidden.shape, np.float32)
    score[kind == 1] = np.where(hidden[kind == 1], np.float32(HIDDEN_SCORE), 1)
    score[kind == 2] = np.where(hidden[kind == 2], 0, 1)
    noisy = np.flatnonzero(kind == 3)
    if len(noisy):
        rays[noisy], score[noisy] = detector_errors(seen.rows(noisy), hidden[noisy], fps, hiding, rng)
        real = noisy[rng.random(len(noisy)) < hiding.fitted] if hiding.fitted > 0 else noisy[:0]
        if len(real):
            rays[real], score[real] = fitted_errors(seen.rows(real), hidden[real], fps, hiding, rng)
    # nobody is lifted from nothing: where all joints of a sample are absent, give them back
    empty = score.max((1, 2)) == 0
    score[empty] = 1
    truly = hidden & (kind > 0)[:, None, None] & ~empty[:, None, None]
    return rays, score, truly
