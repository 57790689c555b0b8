"""Maps of depth and of body parts as pictures to look at."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]

_NOTHING = (24, 24, 28)
_PARTS = 18  # numbers that get a colour of their own; 0 is none


def depth_pictures(depth: NDArray[np.unsignedinteger]) -> Pictures:
    """(T, H, W, 3) grey, near is light; one scale for all frames.

    Args:
        depth: (T, H, W) millimetres, 0 where nothing is.
    """
    there = depth > 0
    if not there.any():
        return np.full((*depth.shape, 3), _NOTHING, np.uint8)
    near, far = np.percentile(depth[there], (0.5, 95))  # a floor runs far away: its end is no use for a scale
    share = 1 - np.clip((depth.astype(np.float32) - near) / max(float(far - near), 1.0), 0, 1)
    grey = np.where(there, 60 + 195 * share, 0).astype(np.uint8)
    return np.where(there[..., None], grey[..., None], np.array(_NOTHING, np.uint8))


def part_pictures(part: NDArray[np.unsignedinteger], owner: NDArray[np.integer]) -> Pictures:
    """(T, H, W, 3) a colour for each part; things are grey, and people differ in lightness.

    Args:
        part: (T, H, W) number of the body part, 0 for none.
        owner: (T, H, W) number of the person, -1 for none.
    """
    wheel = [colorsys.hsv_to_rgb((7 * n % _PARTS) / _PARTS, 0.55 if n % 2 else 0.9, 1.0) for n in range(_PARTS)]
    colours = np.concatenate([[(0.35, 0.35, 0.37)], wheel])
    number = np.where(part > 0, 1 + (part.astype(np.int64) - 1) % _PARTS, 0)
    light = np.where(part > 0, 1 - 0.25 * (np.maximum(owner, 0) % 3), 1.0)
    return np.asarray((255 * colours[number] * light[..., None]).astype(np.uint8))
