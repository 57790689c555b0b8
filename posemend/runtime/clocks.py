"""Some frames of a clip, and what lies between them.

Poses change little from one frame to the next. What is slow to compute is
computed for every second frame and drawn straight in between. Clips
of very high frame rates run as interleaved clips (``contract.codec.interleave``);
thinning keeps them apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def kept(frames: int, parts: int, every: int) -> NDArray[np.int64]:
    """Numbers of the frames that stay when each of ``parts`` interleaved clips keeps one in ``every`` frames."""
    return np.flatnonzero(np.arange(frames) // parts % every == 0)


def between(values: Floats, frames: int, parts: int, every: int) -> Floats:
    """Values (N, ...) of the ``kept`` frames, for all frames (T, ...): straight lines, the last value held."""
    if every == 1:
        return values
    if parts == 1 and every == 2:  # the usual case, without picking frames one by one
        result = np.repeat(values, 2, 0)[:frames]
        result[1:-1:2] += values[1 : 1 + len(result[1:-1:2])]
        result[1:-1:2] *= 0.5
        return result
    turn, phase = np.divmod(np.arange(frames), parts)
    low = turn // every * parts + phase
    high = np.where(low + parts < len(values), low + parts, low)
    part = (turn % every / every).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return values[low] + part * (values[high] - values[low])
