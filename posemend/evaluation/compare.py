"""One prediction against one take: by joint name, root-relative, visible and hidden apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from posemend import metrics
from posemend.body.pose import Pose3D, Take
from posemend.body.skeleton import Skeleton
from posemend.contract.certainty import LEVELS
from posemend.errors import InputError, SkeletonError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

RUNS = ((1, 5), (6, 25), (26, 100), (101, None))
"""Classes of hidden runs, in frames."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A prediction and its truth on the joints that both have.

    Attributes:
        predicted: (T, K, 3) metres, minus its own root.
        truth: (T, K, 3) metres, minus its own root.
        skeleton: The K shared joints and the truth's bones between them.
        scored: (T, K) joint-frames that are measured: truth is known, and the joint is not the root.
        known: (T, K) joint-frames whose truth is known; alignments use these.
        visible: (T, K) the true flags.
        hidden: (T,) how many joints of the truth (root included) are hidden.
        absent: Share of scored joint-frames that the prediction left out (they count as if at the root).
        cuts: Frame numbers where new motion starts.
        fps: The take's clock.
        sigma: (T, K) expected errors in metres, or ``None`` where the prediction states none.
        regions: By level, (T, K) radii in metres of the regions that the prediction states.
    """

    predicted: Floats
    truth: Floats
    skeleton: Skeleton
    scored: Bools
    known: Bools
    visible: Bools
    hidden: NDArray[np.int64]
    absent: float
    cuts: tuple[int, ...]
    fps: float = 50.0
    sigma: Floats | None = None
    regions: Mapping[float, NDArray[np.float32]] = field(default_factory=dict)

    def masks(self) -> dict[str, Bools]:
        """The three columns of every table."""
        return {
            "all": self.scored,
            "visible": self.scored & self.visible,
            "hidden": self.scored & ~self.visible,
        }

    def errors(self) -> Floats:
        """(T, K) mm."""
        return metrics.joint_errors(self.predicted, self.truth)

    def run_lengths(self) -> NDArray[np.int64]:
        """(T, K) length in frames of the hidden run that a joint-frame lies in; 0 where it is visible."""
        lengths = np.zeros(self.visible.shape, np.int64)
        for joint, hidden in enumerate(~self.visible.T):
            edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(np.int8), [0]])))
            for start, end in edges.reshape(-1, 2):
                lengths[start:end, joint] = end - start
        return lengths


def compare(take: Take, pose: Pose3D) -> Comparison:
    """Put a prediction beside the truth of a take.

    Both lose their own pelvis first; where one of them has none, both lose the
    mean of the same hips.

    Raises:
        InputError: The prediction has another length, or is in world axes.
        SkeletonError: Too few joints are shared, or no common root.
    """
    truth = take.truth
    if len(pose) != len(truth):
        raise InputError(f"{take.name}: the prediction has {len(pose)} frames, the take has {len(truth)}.")
    if pose.frame == "world" or truth.frame == "world":
        raise InputError(f"{take.name}: poses in world axes cannot be compared; give them in camera axes.")
    shared = tuple(joint for joint in truth.skeleton.joints if joint in pose.skeleton.joints)
    if len(shared) < 4:
        raise SkeletonError(
            f"{take.name}: '{pose.skeleton.name}' and '{truth.skeleton.name}' share only {len(shared)} joints by name."
        )
    root = _root(take, shared)
    predicted, present = _part(pose, shared, root)
    true, known = _part(truth, shared, root)
    predicted[~present] = 0  # leaving a joint out must not pay: it counts as if it were at the root
    own_root = np.array([joint == "pelvis" for joint in shared])
    scored = known & ~own_root
    bones = tuple(bone for bone in truth.skeleton.bones if set(bone) <= set(shared))
    columns = [truth.skeleton.index(joint) for joint in shared]
    own = [pose.skeleton.index(joint) for joint in shared]
    return Comparison(
        predicted,
        true,
        Skeleton("shared", shared, bones, root),
        scored,
        known,
        truth.visible[:, columns],
        (~truth.visible).sum(1),
        float((~present)[scored].mean()) if scored.any() else 0.0,
        take.cuts,
        truth.fps,
        None if pose.sigma is None else pose.sigma[:, own].astype(np.float64),
        {} if pose.sigma is None else {level: pose.radius(level)[:, own] for level in LEVELS},
    )


def _root(take: Take, shared: tuple[str, ...]) -> tuple[str, ...]:
    for root in (("pelvis",), ("l_hip", "r_hip")):
        if set(root) <= set(shared):
            return root
    raise SkeletonError(f"{take.name}: prediction and truth share neither the pelvis nor both hips.")


def _part(pose: Pose3D, shared: tuple[str, ...], root: tuple[str, ...]) -> tuple[Floats, Bools]:
    columns = [pose.skeleton.index(joint) for joint in shared]
    middle = [pose.skeleton.index(joint) for joint in root]
    positions = pose.positions.astype(np.float64)
    return positions[:, columns] - positions[:, middle].mean(1, keepdims=True), pose.score[:, columns] > 0


def clip_numbers(comparison: Comparison) -> dict[str, float | dict[str, float]]:
    """Every metric of one clip; NaN where nothing counts."""
    both = (comparison.predicted, comparison.truth)
    masks, known, scored = comparison.masks(), comparison.known, comparison.scored
    aligned = metrics.aligned_errors(*both, align_on=known)
    bones = comparison.skeleton.bones
    return {
        "mpjpe_mm": {name: metrics.mpjpe(*both, mask) for name, mask in masks.items()},
        "p_mpjpe_mm": {name: float(aligned[mask].mean()) if mask.any() else np.nan for name, mask in masks.items()},
        "n_mpjpe_mm": {name: metrics.n_mpjpe(*both, mask, align_on=known) for name, mask in masks.items()},
        "mpjve_mm": metrics.mpjve(*both, scored, cuts=comparison.cuts),
        "accel_mm": metrics.accel_error(*both, scored, cuts=comparison.cuts),
        "pck150": metrics.pck(*both, scored),
        "auc150": metrics.auc(*both, scored),
        "map_10cm": metrics.map_10cm(*both, scored),
        "bone_length_spread_mm": (
            metrics.bone_length_spread(comparison.predicted, comparison.skeleton) if bones else np.nan
        ),
        "absent_share": comparison.absent,
    }
