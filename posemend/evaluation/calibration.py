"""Calibration fitted: errors beside stated errors in, a card's ``calibration`` out.

Per route, input and state of a joint (``contract.certainty``): the scale that
makes the mean stated error the mean error, and for each level the radius over
the scaled error that held so many joint-frames. Every clip counts the same,
however long it is, since the joint-frames of one clip go wrong together.

Which joint-frames are hidden is what the *input* says, never the truth: at run
time nobody knows more. A case that hardly occurred borrows: the scale of the
other input or of the other kind of hidden joint, the radii likewise.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.contract.certainty import INPUTS, LEVELS, STATES
from posemend.errors import InputError

LEAST_CLIPS, LEAST_JOINT_FRAMES = 3, 1000  # a case with fewer borrows
THIN = 4000  # joint-frames of a case that one clip gives at most: they are much alike

Floats = NDArray[np.floating]
_Part = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]


class CalibrationTally:
    """Collects, per route, errors beside stated errors."""

    def __init__(self) -> None:
        self._clips: dict[tuple[str, int], list[_Part]] = defaultdict(list)

    def add(self, route: str, errors: Floats, stated: Floats, state: NDArray[np.uint8], noise: float) -> None:
        """Take a clip along.

        Args:
            route: One of ``certainty.ROUTES``.
            errors: (N,) of joint-frames, any unit.
            stated: (N,) as the network states them, the same unit.
            state: (N,) places in ``certainty.STATES``.
            noise: Of the clip's keypoints, 0 to 1; the nearer input takes it.
        """
        rows = np.concatenate([np.flatnonzero(state == kind)[:: max(1, int((state == kind).sum()) // THIN)]
                               for kind in range(len(STATES))])  # fmt: skip
        if len(rows):
            weight = np.full(len(rows), 1 / len(rows))
            part = (errors[rows].astype(np.float64), stated[rows].astype(np.float64), weight, state[rows])
            self._clips[route, int(noise > 0.5)].append(part)

    def fit(self, data: str) -> dict[str, Any]:
        """What belongs on a card.

        Args:
            data: What was measured, in words.

        Raises:
            InputError: No clip was taken along.
        """
        if not self._clips:
            raise InputError("There is nothing to calibrate on: no clip with stated errors and truth.")
        routes = sorted({route for route, _ in self._clips})
        return {"data": data, "levels": list(LEVELS), "routes": {route: self._route(route) for route in routes}}

    def _route(self, route: str) -> dict[str, Any]:
        parts = [self._clips.get((route, place), []) for place in range(len(INPUTS))]
        scales = [[_scale(clips, kind) for kind in range(len(STATES))] for clips in parts]
        whole = [[_borrowed(scales, place, kind) for kind in range(len(STATES))] for place in range(len(INPUTS))]
        radii = [[_radii(clips, whole[place], hidden) for hidden in (False, True)] for place, clips in enumerate(parts)]
        result: dict[str, Any] = {}
        for place, name in enumerate(INPUTS):
            counts = {state: sum(int((part[3] == kind).sum()) for part in parts[place])
                      for kind, state in enumerate(STATES)}  # fmt: skip
            chosen = [radii[place][h] or radii[1 - place][h] or radii[place][1 - h] or radii[1 - place][1 - h]
                      for h in (0, 1)]  # fmt: skip
            result[name] = {
                "clips": len(parts[place]),
                "joint_frames": counts,
                "scale": {state: round(whole[place][kind], 4) for kind, state in enumerate(STATES)},
                "radius_over_sigma": dict(zip(("seen", "hidden"), map(_or_exponential, chosen), strict=True)),
            }
        return result


def _enough(clips: list[_Part], kinds: tuple[int, ...]) -> bool:
    counts = [int(np.isin(part[3], kinds).sum()) for part in clips]
    return sum(count > 0 for count in counts) >= LEAST_CLIPS and sum(counts) >= LEAST_JOINT_FRAMES


def _scale(clips: list[_Part], kind: int) -> float | None:
    """Mean error over mean stated error of one case; ``None`` if it hardly occurred."""
    if not _enough(clips, (kind,)):
        return None
    errors, stated, weight, state = (np.concatenate(part) for part in zip(*clips, strict=True))
    chosen = state == kind
    return float((weight * errors)[chosen].sum() / max((weight * stated)[chosen].sum(), 1e-12))


def _borrowed(scales: list[list[float | None]], place: int, kind: int) -> float:
    """A case's scale, or that of the case most like it; 1 if there is none."""
    own, other = scales[place], scales[1 - place]
    twin = {0: (), 1: (2,), 2: (1,)}[kind]
    order = [own[kind], *(own[k] for k in twin), other[kind], *(other[k] for k in twin), own[0], other[0]]
    return next((value for value in order if value is not None), 1.0)


def _radii(clips: list[_Part], scale: list[float], hidden: bool) -> list[float] | None:
    """Radius over the scaled error at each level; ``None`` if the case hardly occurred."""
    kinds = (1, 2) if hidden else (0,)
    if not _enough(clips, kinds):
        return None
    errors, stated, weight, state = (np.concatenate(part) for part in zip(*clips, strict=True))
    chosen = np.isin(state, kinds)
    ratio = errors[chosen] / np.maximum(stated[chosen] * np.array(scale)[state[chosen]], 1e-12)
    order = np.argsort(ratio, kind="stable")
    running = np.cumsum(weight[chosen][order])
    places = np.searchsorted(running, np.array(LEVELS) * running[-1])
    return [round(float(ratio[order[min(place, len(order) - 1)]]), 4) for place in places]


def _or_exponential(radii: list[float] | None) -> list[float]:
    return radii or [round(-math.log1p(-level), 4) for level in LEVELS]
