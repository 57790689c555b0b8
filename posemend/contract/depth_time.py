"""What the network that judges over time is shown: all that is known of each joint, frame by frame.

The chain has three opinions of a joint: what depth and body say, where the
lifter's pose lies, and on which ray the keypoint lies. ``time_input`` puts them
beside one another, as distances in metres from a first estimate (``Held``),
together with how sure each is, and with what speaks for late maps or a wrong
lens (``faults``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import ITOP_15

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

TIME_FPS = 30.0  # frames per second that the network knows
# from the estimate: where it lies in the body (3), speed (3), chain (3), lifter (3), ray (2), surface; logs of three
# expected errors; score, doubt, whether there is depth
TIME_FEATURES = 21
FAULTS = 5  # see ``faults``
VECTORS = (0, 3, 6, 9, 12)  # where the features hold x
NEAR = 0.6  # metres; opinions farther from the estimate are clipped here
LEAST = 0.005  # metres, least expected error
ANKLES_TO_HEAD = 1.6  # metres; only a unit
ROOT = list(ITOP_15.root_indices)


@dataclass(frozen=True)
class Held:
    """A clip of T frames on ITOP's 15 joints, metres, camera axes: all that the chain knows before time judges.

    Attributes:
        estimate, sigma: (T, 15, 3), (T, 15) opinions weighed by expected error and smoothed, and its expected error.
        chain, chain_sigma: After module C.
        laid, laid_sigma: The lifter's pose laid on it.
        lifted, found: What the map shows at the keypoint, and whether it shows anything (T, 15).
        rays: (T, 15, 2) x/z and y/z of the keypoints, NaN where there is none.
        score: (T, 15) of the keypoints.
        doubt: (T, 15) how surely a joint is hidden.
        faults: (5,) see ``faults``.
        fps: Frames per second.
    """

    estimate: Floats
    sigma: Floats
    chain: Floats
    chain_sigma: Floats
    laid: Floats
    laid_sigma: Floats
    lifted: Floats
    found: Bools
    rays: Floats
    score: Floats
    doubt: Floats
    faults: Floats
    fps: float


def time_input(held: Held) -> tuple[Floats, Floats]:
    """Features (T, 15, 21) and, the same in every frame, ``faults`` (T, 5)."""
    at = held.estimate
    features = np.zeros((*held.sigma.shape, TIME_FEATURES), np.float32)
    features[..., 0:3] = (at - at[:, ROOT].mean(1, keepdims=True)) / ANKLES_TO_HEAD * 2
    if len(at) > 1:
        features[..., 3:6] = np.clip(np.gradient(at, axis=0) * held.fps / 3, -2, 2)
    features[..., 6:9] = held.chain - at
    features[..., 9:12] = held.laid - at
    known = np.isfinite(held.rays).all(-1, keepdims=True)
    features[..., 12:14] = np.where(known, np.nan_to_num(held.rays) * at[..., 2:] - at[..., :2], 0)
    features[..., 14] = np.where(held.found, held.lifted[..., 2] - at[..., 2], 0)
    features[..., 6:15] = np.clip(features[..., 6:15], -NEAR, NEAR) * 4
    for place, sigma in zip((15, 16, 17), (held.sigma, held.chain_sigma, held.laid_sigma), strict=True):
        features[..., place] = np.log(np.maximum(sigma, LEAST)) + 3
    features[..., 18], features[..., 19], features[..., 20] = held.score, held.doubt, held.found
    return features, np.tile(held.faults.astype(np.float32), (len(at), 1))


def faults(
    keypoints: Floats, moved: Floats, chain: Floats, laid: Floats, weight: Floats, guess: Floats | None
) -> Floats:
    """What a clip says about itself: whether maps lag behind the keypoints, and whether the lens is the right one.

    Late maps show a moving joint where it was: module A moves keypoints against
    their motion, and depth differs from the lifter's pose by what it moved since.
    With a wrong focal length bodies are too wide or too narrow for their depth,
    and for their distance.

    Args:
        keypoints, moved: (T, 15, 2) before and after module A, in pixels of equal angle.
        chain, laid: (T, 15, 3) after module C, and the lifter's pose laid on it; metres.
        weight: (T, 15) how much a joint counts, 0 to 1.
        guess: (T, 3) where the picture alone puts the pelvis; ``None`` if nobody says.

    Returns:
        (5,) frames of lag by the picture, frames of lag by depth, log of width over depth against the lifter's pose,
        log of the size against it, log of the distance against the guess; each clipped to what can be.
    """
    found = np.zeros(FAULTS, np.float32)
    w = weight.astype(np.float64)
    if len(w) > 4:
        speed = np.gradient(_calm(keypoints.astype(np.float64)), axis=0)
        found[0] = _slope(-(moved - keypoints), speed, np.repeat(w[..., None], 2, -1), 1.0)
        depth_speed = np.gradient(_calm(laid[..., 2].astype(np.float64)), axis=0)
        found[1] = _slope(-(_centred(chain - laid, w)[..., 2]), depth_speed, w, 4e-5)
    a, b = _centred(laid, w), _centred(chain, w)
    wide = (w[..., None] * a[..., :2] * b[..., :2]).sum() / max((w[..., None] * a[..., :2] ** 2).sum(), 1e-6)
    deep = (w * a[..., 2] * b[..., 2]).sum() / max((w * a[..., 2] ** 2).sum(), 1e-6)
    if w.sum() > 5:
        found[2] = np.clip(np.log(max(wide, 0.3) / max(deep, 0.3)), -0.4, 0.4)
        found[3] = np.clip(np.log(max(wide, 0.3)), -0.4, 0.4)
        if guess is not None:
            far = chain[:, ROOT].mean(1)[:, 2]
            use = (w.sum(1) > 3) & (guess[:, 2] > 0.2) & (far > 0.2)
            if use.any():
                found[4] = np.clip(np.median(np.log(far[use] / guess[use, 2])), -0.4, 0.4)
    return found


def _calm(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of five frames."""
    padded = np.concatenate([x[:1], x[:1], x, x[-1:], x[-1:]])
    return sum(padded[k : k + len(x)] for k in range(5)) / 5  # type: ignore[return-value]


def _slope(off: Floats, speed: NDArray[np.float64], w: NDArray[np.float64], stiff: float) -> float:
    """Frames that ``off`` lags, by a regression on ``speed`` that says 0 where nothing moves."""
    capped = np.clip(off, *np.quantile(off[w > 0], [0.05, 0.95])) if (w > 0).any() else off
    return float(np.clip((w * capped * speed).sum() / ((w * speed**2).sum() + stiff * w.sum() + 1e-9), -4, 4))


def _centred(x: Floats, w: NDArray[np.float64]) -> Floats:
    """Each frame's joints from their weighted mean."""
    return x - (x * w[..., None]).sum(1, keepdims=True) / np.maximum(w.sum(1), 1e-6)[:, None, None]
