"""Fit `ErrorModel` to detections of videos whose truth is known.

The order matters: frames with nobody, then swaps of left and right (undone
before anything else is looked at), then where the detector means the joints to
be and how late it is, then what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.trunk import torso_axes, torso_length
from posemend.errors import InputError
from posemend.occlusion.detector import VISIBLE
from posemend.occlusion.error_draw import rayleigh_level
from posemend.occlusion.error_figures import LAGS, LIMBS, by_kind, common, likeness, ties_of, unit_errors
from posemend.occlusion.error_model import GROUP_OF, GROUPS, KINDS, LEVELS, RADII, ErrorModel, Memory, Table
from posemend.occlusion.error_samples import Sample, residual, share_of, swapped, unswapped

ENOUGH = 500  # frames of a joint group from which on its own figures count more than the pooled ones
_RIGHT = np.array([name.startswith("r_") for name in H36M_17.joints])
_MIDDLE = np.array(H36M_17.mirror) == np.arange(17)


def fit_definition(samples: Sequence[Sample]) -> dict[str, tuple[float, float, float]]:
    """Offsets in trunk axes and trunk lengths by joint group: least squares on visible joints, the worst left out.

    Samples must be free of swaps.
    """
    found = {}
    for number, group in enumerate(GROUPS):
        rows, wanted = [], []
        for sample in samples:
            axes = torso_axes(sample.camera) * torso_length(sample.camera)[:, None, None]
            for joint in np.flatnonzero(number == GROUP_OF):
                good = (sample.score[:, joint] > 0) & (sample.kind[:, joint] == VISIBLE)
                if good.sum() < 10:  # flags that call a joint hidden for a whole clip are no reason to know nothing
                    good = sample.score[:, joint] > 0
                point = sample.camera[good, joint]
                sign = np.array([-1, 1, 1]) if _RIGHT[joint] else np.array([0, 1, 1]) if _MIDDLE[joint] else 1
                moved = axes[good] * sign  # (n, 3, 3): columns are the offsets' directions in camera axes
                ray = point[:, :2] / point[:, 2:]
                image = (moved[:, :2] - ray[..., None] * moved[:, 2:]) / point[:, 2, None, None] * sample.focal
                rows.append(image.reshape(-1, 3) / sample.size())
                wanted.append((sample.found[good, joint] - sample.exact[good, joint]).reshape(-1) / sample.size())
        a, b = np.concatenate(rows).astype(float), np.concatenate(wanted).astype(float)
        weight = np.ones(len(b))
        offset = np.zeros(3)
        ridge = 1e-3 * len(b) * np.eye(3) * 0.01  # directions that no view shows stay near 0
        for _ in range(10):  # Huber's weights
            offset = np.linalg.solve((a * weight[:, None]).T @ a + ridge, (a * weight[:, None]).T @ b)
            left = np.abs(b - a @ offset)
            bound = 2 * np.median(left) + 1e-9
            weight = np.minimum(1, bound / np.maximum(left, 1e-12))
        left_, forward, up = (round(float(value), 4) for value in offset)
        found[group] = (left_, forward, up)
    return found


def fit_lag(samples: Sequence[Sample], model: ErrorModel) -> float:
    """Seconds by which detections are late, 0 to 0.2: the delay with the least median error of fast visible joints."""
    fast = []
    for sample in samples:
        speed = np.linalg.norm(np.gradient(sample.exact, axis=0), axis=-1) * sample.fps / sample.size()
        fast.append((speed > 0.5) & (sample.kind == VISIBLE) & (sample.score > 0))
    if sum(int(rows.sum()) for rows in fast) < 100:
        return 0.0
    best = (np.inf, 0.0)
    for lag in np.arange(0, 0.2001, 0.005):
        trial = replace(model, lag_s=float(lag))
        errors = [np.linalg.norm(residual(s, trial), axis=-1)[rows] for s, rows in zip(samples, fast, strict=True)]
        best = min(best, (float(np.median(np.concatenate(errors))), float(lag)))
    return best[1]


def _tables(samples: Sequence[Sample], model: ErrorModel) -> dict[str, dict[str, Table]]:
    """Errors and scores by kind and group; groups seldom seen hidden lean on all limbs together."""
    measured = {key: (far, said) for key, (far, said, _) in by_kind(samples, model).items()}
    error_at, score_at = -np.expm1(-0.5 * RADII**2), _normal(LEVELS)

    def limbs(kind: str, which: int) -> NDArray[np.float32]:
        return np.concatenate([measured[kind, group][which] for group in LIMBS])

    def seen(group: str, which: int) -> NDArray[np.float32]:
        own = measured["visible", group][which]
        return own if len(own) >= 50 else np.concatenate([measured[kind, group][which] for kind in KINDS])

    tables: dict[str, dict[str, Table]] = {"errors": {}, "scores": {}}
    for kind in KINDS:
        # where limbs are never hidden so, what is next to it is taken
        like = next(k for k in (kind, "self", "other", "visible") if len(limbs(k, 0)) >= 50)
        plain = np.maximum(np.quantile(limbs("visible", 0), error_at), 1e-6)
        worse = np.maximum(np.quantile(limbs(like, 0), error_at), 1e-6) / plain
        lower = np.quantile(limbs(like, 1), score_at) - np.quantile(limbs("visible", 1), score_at)
        tables["errors"][kind], tables["scores"][kind] = {}, {}
        for group in GROUPS:
            far = np.maximum(np.quantile(seen(group, 0), error_at), 1e-6) * worse
            said = np.clip(np.quantile(seen(group, 1), score_at) + lower, 0, 1)
            own_far, own_said = measured[kind, group]
            if kind != "visible" and group in LIMBS and len(own_far):
                trust = len(own_far) / (len(own_far) + ENOUGH)
                own = np.maximum(np.quantile(own_far, error_at), 1e-6)
                far = np.exp(trust * np.log(own) + (1 - trust) * np.log(far))
                said = trust * np.quantile(own_said, score_at) + (1 - trust) * said
            for key, row in (("errors", far), ("scores", said)):
                tables[key][kind][group] = tuple(float(f"{value:.4g}") for value in np.maximum.accumulate(row))
    return tables


def _normal(levels: NDArray) -> NDArray:
    from scipy.special import ndtr

    return ndtr(levels)


def fit_memory(curve: Sequence[float], seconds: Sequence[float] = LAGS) -> Memory:
    """The mixture of two exponentials next to an autocorrelation curve."""
    at, wanted = np.array(seconds), np.array(curve)
    best: tuple[float, Memory] | None = None
    for slow_s in (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 15.0):
        for fast_s in (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3):
            slow, fast = np.exp(-at / slow_s), np.exp(-at / fast_s)
            share = float(np.clip(((wanted - fast) * (slow - fast)).sum() / np.square(slow - fast).sum(), 0, 1))
            miss = float(np.square(share * slow + (1 - share) * fast - wanted).sum())
            if best is None or miss < best[0]:
                best = (miss, Memory(round(share, 3), slow_s, fast_s))
    assert best is not None
    return best[1]


def _spread(samples: Sequence[Sample], model: ErrorModel) -> float:
    """Spread over samples of the logarithm of a joint group's median error on visible joints."""
    table = []
    for sample in samples:
        far = np.linalg.norm(residual(sample, model), axis=-1)
        far[sample.kind != VISIBLE] = np.nan
        columns = [far[:, number == GROUP_OF] for number in range(len(GROUPS))]
        table.append([np.log(np.nanmedian(c)) if np.isfinite(c).sum() >= 50 else np.nan for c in columns])
    rows = np.array(table)
    apart = rows - np.nanmean(rows, 0)
    return round(float(np.sqrt(np.nanmean(np.square(apart)) * len(rows) / max(len(rows) - 1, 1))), 3)


def fit(samples: Sequence[Sample], name: str, about: str) -> ErrorModel:
    """A detector's errors, from detections whose truth is known.

    Args:
        samples: People seen by cameras, all with one frame rate.
        name: What the model is to be called.
        about: Which detector, on what.

    Raises:
        InputError: No samples, several clocks, or a joint that is never found.
    """
    if not samples or len({sample.fps for sample in samples}) != 1:
        raise InputError(f"Detector '{name}' wants clips of one frame rate to be fitted on, got {len(samples)}.")
    for group in range(len(GROUPS)):
        if sum(int((s.score[:, group == GROUP_OF] > 0).sum()) for s in samples) < 50:
            raise InputError(
                f"Detector '{name}' hardly ever finds '{GROUPS[group]}': it cannot be fitted on these clips."
            )
    fps = samples[0].fps
    frames = sum(len(sample.score) for sample in samples)
    verdicts = [swapped(sample) for sample in samples]
    swap_share, swap_s = share_of(
        [column for exchanged, _ in verdicts for column in exchanged.T],
        sum(int(told.sum()) for _, told in verdicts),
        fps,
    )
    miss_share, miss_s = share_of([sample.missed() for sample in samples], frames, fps)
    clean = [unswapped(sample) for sample in samples]
    nothing = {kind: dict.fromkeys(GROUPS, (0.0,) * len(RADII)) for kind in KINDS}
    unknown = Memory(0.5, 1.0, 0.1)
    model = ErrorModel(name, about, fit_definition(clean), nothing, nothing, unknown, unknown)
    model = replace(model, lag_s=round(fit_lag(clean, model), 3))
    tables = _tables(clean, model)
    model = replace(model, errors=tables["errors"], scores=tables["scores"])
    units, levels = unit_errors(clean, model)
    body, part = common(units)
    ties = ties_of(units, levels, clean)
    tied = np.array([ties[kind] for kind in KINDS])
    free = [
        (level - tied[s.kind] * rayleigh_level(np.linalg.norm(u, axis=-1))).astype(np.float32)
        for u, level, s in zip(units, levels, clean, strict=True)
    ]
    return replace(
        model,
        memory=fit_memory(likeness(units, fps)),
        score_memory=fit_memory(likeness(free, fps)),
        body=body,
        part=part,
        score_error=ties,
        swap_share=round(2 * swap_share, 4),  # a run takes either legs or arms, so a frame has twice a pair's chance
        swap_s=round(swap_s, 3),
        miss_share=round(miss_share, 4),
        miss_s=round(miss_s, 3),
        spread=_spread(clean, model),
        measured={"clips": [sample.name for sample in samples], "frames": frames, "fps": fps},
    )
