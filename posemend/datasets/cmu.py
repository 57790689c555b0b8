"""The CMU motion capture database: which of its trials were recorded at 60 frames per second.

All BVH conversions say 120 in their headers and the AMC files say nothing,
but 326 of the 2,435 trials are 60. Source: the database's own index of trials
(mocap.cs.cmu.edu).
"""

from __future__ import annotations

import re

RATE, SLOW_RATE = 120.0, 60.0
SUBJECTS = 144  # the highest number of a subject

_SLOW_SUBJECTS = {33, 34, 42, 60, 61, 62, 74, 75, 77, 79, 80, 87, 88, 89}  # all their trials
_SLOW_TRIALS = {(136, 19)}
_TRIAL = re.compile(r"(?:^|\D)(\d{1,3})_(\d{1,3})$")


def trial(stem: str) -> tuple[int, int] | None:
    """Subject and trial of a file's name such as ``05_12``; ``None`` where it is none."""
    match = _TRIAL.search(stem)
    if not match or not 1 <= int(match[1]) <= SUBJECTS:
        return None
    return int(match[1]), int(match[2])


def frame_rate(subject: int, number: int) -> float:
    """True frames per second of a trial."""
    return SLOW_RATE if subject in _SLOW_SUBJECTS or (subject, number) in _SLOW_TRIALS else RATE
