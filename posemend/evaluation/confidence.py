"""Do stated errors hold? Coverage of stated regions, and whether error rises with stated uncertainty.

``Pose3D.sigma`` is the *expected distance* of a joint from the truth. posemend's
networks learn it by an exponential likelihood of that distance,
``p(d) = exp(−d / σ) / σ``, so the region that holds the truth with probability
``q`` is a ball of radius ``−ln(1 − q) · σ`` around the joint: 0.69 σ for a half,
2.30 σ for 90 %, 3.00 σ for 95 %. A calibrated bundle states radii of its own
(``Pose3D.radius``), and those are what is judged; ``needed_radius_over_sigma``
says which would have been right here.

*Coverage* is the share of joint-frames whose error lies within the radius, on
visible and hidden joints apart. *Sparsification* (Ilg et al., ECCV 2018) takes
the most uncertain joint-frames away step by step and looks at the mean error
of the rest: by stated uncertainty, and by the true error, which is the best
order that there is. The area between the two curves (AUSE) is 0 for a perfect
ranking. Joint-frames of all clips are pooled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.contract.certainty import LEVELS
from posemend.evaluation.compare import Comparison
from posemend.metrics import MM

REMOVED = tuple(round(0.05 * step, 2) for step in range(20))
"""Shares of joint-frames taken away along the sparsification curve."""

Floats = NDArray[np.float64]


def exponential_multiples() -> dict[float, float]:
    """Radius over σ of each level, if distances are exponential with mean σ."""
    return {level: -math.log1p(-level) for level in LEVELS}


def sparsification(errors: Floats, uncertainty: Floats) -> Floats:
    """Mean error of what is left after each of ``REMOVED``, the most uncertain first. (N,), (N,) to (20,)."""
    ordered = errors[np.argsort(uncertainty, kind="stable")]
    running = np.cumsum(ordered)
    left = np.maximum(len(errors) - np.floor(np.array(REMOVED) * len(errors)).astype(int), 1)
    return running[left - 1] / left


class ConfidenceTally:
    """Collects errors beside stated errors, and sums them up."""

    def __init__(self, multiples: Mapping[float, float] | None = None) -> None:
        """``multiples``: radius over σ by level, whatever the poses state; by default what they state."""
        self._multiples = dict(multiples) if multiples else None
        self._parts: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]] = []

    def add(self, compared: Comparison) -> None:
        """Take a clip along; one without stated errors is passed over."""
        if compared.sigma is None or not compared.scored.any():
            return
        counted = compared.scored
        sigma = (compared.sigma[counted] * MM).astype(np.float32)
        if self._multiples is None:
            radii = [compared.regions[level][counted] * MM for level in LEVELS]
        else:
            radii = [multiple * sigma for multiple in self._multiples.values()]
        self._parts.append(
            (
                compared.errors()[counted].astype(np.float32),
                sigma,
                compared.visible[counted],
                np.stack(radii, -1).astype(np.float32),
            )
        )

    def summary(self) -> dict[str, Any] | None:
        """The numbers for JSON; ``None`` if no clip stated errors."""
        if not self._parts:
            return None
        errors, sigma, visible, radii = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        levels = LEVELS if self._multiples is None else tuple(self._multiples)
        columns = {"all": np.ones(len(errors), bool), "visible": visible, "hidden": ~visible}
        return {
            "joint_frames": {name: int(mask.sum()) for name, mask in columns.items()},
            "mean_error_mm": {
                name: float(errors[mask].mean()) if mask.any() else math.nan for name, mask in columns.items()
            },
            "mean_sigma_mm": {
                name: float(sigma[mask].mean()) if mask.any() else math.nan for name, mask in columns.items()
            },
            "coverage": {
                f"{level:.0%}": {
                    name: float((errors[mask] <= radii[mask, place]).mean()) if mask.any() else math.nan
                    for name, mask in columns.items()
                }
                for place, level in enumerate(levels)
            },
            "needed_radius_over_sigma": {
                f"{level:.0%}": {name: _needed(errors[mask], sigma[mask], level) for name, mask in columns.items()}
                for level in levels
            },
            "radius_over_sigma": {
                f"{level:.0%}": {
                    name: float((radii[mask, place] / np.maximum(sigma[mask], 1e-6)).mean()) if mask.any() else math.nan
                    for name, mask in columns.items()
                }
                for place, level in enumerate(levels)
            },
            "ause_mm": {name: _ause(errors[mask], sigma[mask]) for name, mask in columns.items()},
            "sparsification": _curves(errors, sigma),
        }


def _needed(errors: NDArray[np.float32], sigma: NDArray[np.float32], level: float) -> float:
    """The multiple of sigma that would have covered ``level``: the conformal quantile; NaN for too few joint-frames."""
    rank = math.ceil((len(errors) + 1) * level)
    if not 0 < rank <= len(errors):
        return math.nan
    ratio = errors / np.maximum(sigma, 1e-6)
    return float(np.partition(ratio, rank - 1)[rank - 1])


def _curves(errors: NDArray[np.float32], sigma: NDArray[np.float32]) -> dict[str, list[float]]:
    exact = errors.astype(np.float64)
    return {
        "removed": list(REMOVED),
        "by_sigma_mm": sparsification(exact, sigma.astype(np.float64)).tolist(),
        "by_error_mm": sparsification(exact, exact).tolist(),
    }


def _ause(errors: NDArray[np.float32], sigma: NDArray[np.float32]) -> float:
    """Mean height between the two curves over the shares taken away, mm; NaN where nothing counts."""
    if not errors.size:
        return math.nan
    from scipy.integrate import trapezoid

    curves = _curves(errors, sigma)
    apart = np.array(curves["by_sigma_mm"]) - np.array(curves["by_error_mm"])
    return float(trapezoid(apart, REMOVED) / (REMOVED[-1] - REMOVED[0]))
