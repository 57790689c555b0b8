"""The main path: keypoints of people in, lifted and refined poses out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from posemend.body.pose import Pose2D, Pose3D
from posemend.runtime.apply import lift_with_view, refine_lifted


@dataclass(frozen=True)
class Result:
    """One person.

    Attributes:
        keypoints: What came in.
        lifted: 3D before refinement.
        refined: 3D after refinement; the lifted pose itself if refinement was off.
    """

    keypoints: Pose2D
    lifted: Pose3D
    refined: Pose3D


def run(
    people: Sequence[Pose2D],
    bundle: str | Path = "default",
    refine: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """Lift and refine each person.

    Args:
        people: Keypoints, one entry per person.
        bundle: ``"default"``, ``"research"`` or a folder.
        refine: Whether to refine what was lifted.
        progress: Told (done, total) after each person.

    Raises:
        InputError: A person cannot be lifted.
        BundleError: A model cannot be loaded.
    """
    results = []
    for done, keypoints in enumerate(people, 1):
        lifted = lift_with_view(keypoints, bundle)
        refined = refine_lifted(lifted) if refine else lifted.pose
        results.append(Result(keypoints, lifted.pose, refined))
        if progress is not None:
            progress(done, len(people))
    return results
