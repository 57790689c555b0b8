"""How long joints stay hidden, and how many at a time: what makes one data set's occlusion like another's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]


def run_lengths(hidden: NDArray[np.bool_]) -> Whole:
    """Lengths in frames of all runs of True along time, (T, J) -> (R,), those at the clip's ends included."""
    edge = np.zeros((1, hidden.shape[1]), np.int8)
    change = np.diff(np.concatenate([edge, hidden.astype(np.int8), edge]), axis=0)
    begins, ends = np.nonzero(change.T == 1)[1], np.nonzero(change.T == -1)[1]
    return (ends - begins).astype(np.int64)


def counted(clips: Sequence[NDArray[np.bool_]]) -> tuple[Whole, Whole]:
    """Run lengths of all clips, and the number of hidden joints of every frame. Clips are (T, J), True = hidden."""
    runs = [run_lengths(clip) for clip in clips] or [np.zeros(0, np.int64)]
    counts = [clip.sum(1).astype(np.int64) for clip in clips] or [np.zeros(0, np.int64)]
    return np.concatenate(runs), np.concatenate(counts)


def summary(runs: Whole, counts: Whole) -> dict[str, Any]:
    """The figures by which two data sets are compared.

    ``run_median``, ``run_mean``, ``run_p90`` in frames; ``hidden_mean`` joints a frame; ``hidden_any``, share of
    frames with at least one; ``hidden_p90``. ``None`` where there is nothing to count.
    """
    some = len(runs) > 0
    return {
        "runs": len(runs),
        "frames": len(counts),
        "run_median": float(np.median(runs)) if some else None,
        "run_mean": float(runs.mean()) if some else None,
        "run_p90": float(np.percentile(runs, 90)) if some else None,
        "hidden_mean": float(counts.mean()) if len(counts) else None,
        "hidden_p90": float(np.percentile(counts, 90)) if len(counts) else None,
        "hidden_any": float((counts > 0).mean()) if len(counts) else None,
    }
