"""`refine --depth`: what the options ask for, read and handed to the chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posemend.body.pose import Pose2D, Pose3D
    from posemend.cli.options import DepthInput
    from posemend.geometry.camera import Camera
    from posemend.geometry.depth import DepthClip


def check_asked(pose: Path | None, keypoints: Path | None, depth: bool) -> None:
    """Refuse a request that names nothing to refine.

    Raises:
        InputError: Neither a pose, nor keypoints with depth.
    """
    from posemend.errors import InputError

    if pose is None and keypoints is None:
        raise InputError("There is nothing to refine. Give a 3D pose, or --keypoints with --depth.")
    if pose is None and not depth:
        raise InputError("Keypoints without a 3D pose and without --depth: use posemend run.")


def is_depth_set(bundle: str) -> bool:
    """Whether the models named are those of depth, with which a pose is refined by the body alone."""
    from posemend.contract.card import DEPTH_SET, SETS

    folder = Path(bundle)
    return bundle == DEPTH_SET or (
        bundle not in SETS
        and (folder / "depth-body" / "card.json").is_file()
        and not (folder / "refine" / "card.json").is_file()
    )


def opened(told: DepthInput, rate: float) -> tuple[DepthClip, Camera | None]:
    """The maps of a request, and the colour camera where they are not registered to its picture."""
    from posemend.datasets.rgbd import read

    assert told.depth is not None
    clip, colour = read(told.depth, told.intrinsics, told.depth_unit, told.depth_key, rate)
    return replace(clip, fps=rate), colour


def repaired(
    raw: Pose3D | None, seen: Pose2D | None, told: DepthInput | None, bundle: str, fps: float | None
) -> tuple[Pose3D | None, Pose2D | None, DepthClip | None, Pose3D]:
    """The pose before (without one, what depth says at the keypoints), keypoints, maps, and what became of it."""
    from posemend.runtime.depth import aligned, lifted_raw, refine_body, refine_depth

    if told is None or told.depth is None:
        assert raw is not None
        return raw, seen, None, refine_body(raw, bundle)
    rate = fps or (seen.fps if seen is not None else raw.fps if raw is not None else 30.0)
    clip, colour = opened(told, rate)
    if seen is not None:
        seen, clip = aligned(seen, clip, colour)
    done = refine_depth(clip, seen, raw, bundle)
    if raw is None and seen is not None:
        raw = replace(lifted_raw(clip, seen), fps=done.fps)
    return raw, seen, clip, done
