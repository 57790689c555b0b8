"""The five 2D inputs of the evaluation protocol, made from a take with truth."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from posemend.body.pose import Pose2D, Take
from posemend.errors import InputError
from posemend.occlusion import detector

INPUTS = ("gt", "gt+flags", "missing", "detector", "video")


def ground_truth(take: Take) -> Pose2D:
    """Exact projections, every joint marked visible."""
    return replace(take.keypoints, visible=np.ones_like(take.keypoints.visible))


def with_flags(take: Take) -> Pose2D:
    """Exact projections with the true flags."""
    return take.keypoints


def missing(take: Take) -> Pose2D:
    """Exact projections of the visible joints; hidden joints have score 0, as if never detected."""
    keypoints = take.keypoints
    return replace(keypoints, score=np.where(keypoints.visible, keypoints.score, 0))


def found_in_video(take: Take) -> Pose2D:
    """What a real detector found in the video, as it came with the data set.

    Raises:
        InputError: The take has no such keypoints.
    """
    if take.detected is None:
        raise InputError(
            f"'{take.name}' comes without a real detector's keypoints. Wanted: a data set with them "
            "(Human3.6M: name the file with --detections), or another --input."
        )
    return take.detected


def keypoints_for(take: Take, input: str, seed: int = 0) -> Pose2D:
    """The 2D keypoints that a model is given.

    Args:
        take: Keypoints with truth.
        input: ``"gt"``, ``"gt+flags"``, ``"missing"``, ``"detector"`` or ``"video"``.
        seed: For ``"detector"``. The result depends on the seed and the
            take's name alone, never on the order in which takes come.

    Raises:
        InputError: No such input, the image width is missing for ``"detector"``, or there are no
            keypoints for ``"video"``.
    """
    if input == "gt":
        return ground_truth(take)
    if input == "gt+flags":
        return with_flags(take)
    if input == "missing":
        return missing(take)
    if input == "detector":
        rng = np.random.default_rng([seed, zlib.crc32(take.name.encode())])
        return detector.simulate(take, rng)
    if input == "video":
        return found_in_video(take)
    raise InputError(f"No input is called '{input}'. There are: {', '.join(INPUTS)}.")
