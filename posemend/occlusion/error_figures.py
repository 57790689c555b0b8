"""Figures of a detector's errors: distributions, memory, what joints have in common, what scores tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.occlusion.detector import OTHER, SELF, VISIBLE
from posemend.occlusion.error_draw import rayleigh_level
from posemend.occlusion.error_model import GROUP_OF, GROUPS, KINDS, PART_OF, ErrorModel
from posemend.occlusion.error_samples import Sample, residual, share_of, swapped, unswapped

Floats = NDArray[np.float32]

# BlendMimic3D's flags call trunk joints hidden in plain view (docs/data.md): only of these is being hidden believed
LIMBS = ("knee", "ankle", "elbow", "wrist")
LAGS = (0.02, 0.04, 0.1, 0.2, 0.5, 1.0, 2.0)  # seconds
QUANTILES = (0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def by_kind(
    samples: Sequence[Sample], model: ErrorModel
) -> dict[tuple[str, str], tuple[NDArray[np.float32], NDArray[np.float32], int]]:
    """By kind and joint group: magnitudes of errors and scores where the joint was found, and how often it was not."""
    errors = [np.linalg.norm(residual(sample, model), axis=-1) for sample in samples]
    found = {}
    for number, group in enumerate(GROUPS):
        for value, kind in enumerate(KINDS):
            far, said, lost = [], [], 0
            for error, sample in zip(errors, samples, strict=True):
                rows = (number == GROUP_OF) & (sample.kind == value)
                there = rows & np.isfinite(error)
                far.append(error[there])
                said.append(sample.score[there])
                lost += int((rows & ~there).sum())
            found[kind, group] = np.concatenate(far), np.concatenate(said), lost
    return found


def unit_errors(samples: Sequence[Sample], model: ErrorModel) -> tuple[list[Floats], list[Floats]]:
    """Errors and scores as standard normal values, sample by sample: (T, 17, 2) and (T, 17), NaN where not found.

    Each joint group, each kind apart, is turned into ranks and these into what a normal law would give.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    errors = [residual(sample, model) for sample in samples]
    units = [np.full_like(error, np.nan) for error in errors]
    levels = [np.full(error.shape[:2], np.nan, np.float32) for error in errors]
    for number in range(len(GROUPS)):
        for kind in (VISIBLE, SELF, OTHER):
            places = [np.nonzero(np.isfinite(e[..., 0]) & (number == GROUP_OF) & (s.kind == kind))
                      for e, s in zip(errors, samples, strict=True)]  # fmt: skip
            far = [np.linalg.norm(e[at], axis=-1) for e, at in zip(errors, places, strict=True)]
            said = [s.score[at] for s, at in zip(samples, places, strict=True)]
            total = sum(map(len, far))
            if total < 20:
                continue
            cut = np.cumsum([len(part) for part in far])[:-1]
            rank = np.split((rankdata(np.concatenate(far)) - 0.5) / total, cut)
            rank_said = np.split((rankdata(np.concatenate(said)) - 0.5) / total, cut)
            for unit, level, e, at, r, q, f in zip(units, levels, errors, places, rank, rank_said, far, strict=True):
                unit[at] = e[at] / np.maximum(f, 1e-9)[:, None] * np.sqrt(-2 * np.log1p(-r))[:, None]
                level[at] = ndtri(q)
    return units, levels


def likeness(values: Sequence[Floats], fps: float, seconds: Sequence[float] = LAGS) -> list[float]:
    """Autocorrelation of zero-mean (T, …) series at these lags, over all of them; NaN is passed over."""
    power = np.nanmean(np.concatenate([np.square(v).ravel() for v in values]))
    found = []
    for lag in seconds:
        step = max(1, round(lag * fps))
        products = [(v[step:] * v[:-step]).ravel() for v in values if len(v) > step]
        every = np.concatenate(products) if products else np.array([np.nan])
        found.append(float(np.nanmean(every) / power) if np.isfinite(every).any() else 0.0)
    return found


def common(units: Sequence[Floats]) -> tuple[float, float]:
    """Share of the errors' variance that the whole body, and that each part of it, has in common."""
    same: list[float] = []
    other: list[float] = []
    for a in range(17):
        for b in range(a):
            both = np.concatenate([(unit[:, a] * unit[:, b]).sum(-1) for unit in units]) / 2
            if np.isfinite(both).sum() >= 200:
                (same if PART_OF[a] == PART_OF[b] else other).append(float(np.nanmean(both)))
    body = float(np.clip(np.mean(other), 0, 0.9)) if other else 0.0
    part = float(np.clip(np.mean(same) - body, 0, 1 - body - 0.05)) if same else 0.0
    return round(body, 3), round(part, 3)


def ties_of(units: Sequence[Floats], levels: Sequence[Floats], samples: Sequence[Sample]) -> dict[str, float]:
    """By kind, correlation of the normal scores of errors and scores."""
    found = {}
    for value, kind in enumerate(KINDS):
        first, second = [], []
        for unit, level, sample in zip(units, levels, samples, strict=True):
            rows = np.isfinite(level) & (sample.kind == value)
            first.append(rayleigh_level(np.linalg.norm(unit[rows], axis=-1)))
            second.append(level[rows])
        a, b = np.concatenate(first), np.concatenate(second)
        known = len(a) >= 200 and a.std() > 0 and b.std() > 0
        found[kind] = round(float(np.corrcoef(a, b)[0, 1]), 3) if known else 0.0
    return found


def describe(samples: Sequence[Sample], model: ErrorModel) -> dict[str, Any]:
    """What detections look like once the model's definition and lag are taken off: the figures of a report.

    Errors are in per cent of the person's size. A tail is what lies beyond three medians.
    """
    fps = samples[0].fps
    verdicts = [swapped(sample) for sample in samples]
    pairs = sum(int(told.sum()) for _, told in verdicts)
    swap = share_of([column for exchanged, _ in verdicts for column in exchanged.T], pairs, fps)
    miss = share_of([s.missed() for s in samples], sum(len(s.score) for s in samples), fps)
    clean = [unswapped(sample) for sample in samples]
    units, levels = unit_errors(clean, model)
    measured = by_kind(clean, model)
    rows: dict[str, Any] = {}
    for name, groups in (*((g, (g,)) for g in GROUPS), ("limbs", LIMBS), ("all", GROUPS)):
        rows[name] = {kind: _figures([measured[kind, group] for group in groups]) for kind in KINDS}
    return {
        "groups": rows,
        "auc": {kind: _area(measured, kind) for kind in ("self", "other")},
        "swap_share": swap[0], "swap_s": swap[1], "told_frames": pairs,
        "miss_share": miss[0], "miss_s": miss[1],
        "memory": dict(zip(map(str, LAGS), likeness(units, fps), strict=True)),
        "score_memory": dict(zip(map(str, LAGS), likeness(levels, fps), strict=True)),
        "score_error": ties_of(units, levels, clean),
        "common": dict(zip(("body", "part"), common(units), strict=True)),
    }  # fmt: skip


def _figures(parts: Sequence[tuple[Floats, Floats, int]]) -> dict[str, Any] | None:
    """Figures of errors and scores; ``None`` of fewer than 50."""
    error = 100 * np.concatenate([far for far, _, _ in parts])
    score = np.concatenate([said for _, said, _ in parts])
    lost = sum(count for _, _, count in parts)
    if len(error) < 50:
        return None
    middle = float(np.median(error))
    tail = error[error > 3 * middle]
    return {
        "joints": len(error) + lost,
        "missing": lost / (len(error) + lost),
        "quantiles": dict(zip(map(str, QUANTILES), map(float, np.quantile(error, QUANTILES)), strict=True)),
        "tail_share": len(tail) / len(error),
        "tail_median": float(np.median(tail)) if len(tail) else None,
        "score": dict(zip(("0.1", "0.5", "0.9"), map(float, np.quantile(score, (0.1, 0.5, 0.9))), strict=True)),
    }


def _area(measured: dict[tuple[str, str], tuple[Floats, Floats, int]], kind: str) -> float | None:
    """How well scores tell limb joints hidden so from visible ones: the area under the curve."""
    from scipy.stats import rankdata

    seen, gone = (np.concatenate([measured[k, group][1] for group in LIMBS]) for k in ("visible", kind))
    if min(len(seen), len(gone)) < 50:
        return None
    rank = rankdata(np.concatenate([seen, gone]))[: len(seen)].sum()
    return float((rank - len(seen) * (len(seen) + 1) / 2) / (len(seen) * len(gone)))
