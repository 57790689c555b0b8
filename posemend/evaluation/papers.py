"""Averages as papers take them, so that their tables can be filled in.

posemend's own protocol leaves the root out and averages over clips. Papers do not:

``h36m``       VideoPose3D, PoseFormerV2, D3DP, the BlendMimic3D block: 17 joints, the root counted;
               each action's mean over all of its frames, then the mean over actions. The prediction is
               taken as it is (its root's own offset is an error), the truth is root-relative.
``h36m-16``    SemGCN, WSGCN: the same without the nose.
``3dhp``       Mehta et al.: all frames that count, pooled. MPJPE on 17 joints, the root counted; PCK at
               150 mm and AUC (0 to 150 mm by 5) on the 14 joints from head top to ankles.
``3dpw``       HMR and those after it: all frames that count, pooled; 14 joints (ankles, knees, hips,
               wrists, elbows, shoulders, neck, head) from the middle of the hips. Papers regress them
               from the body's surface; here they are the joints of the body's skeleton, which is not
               the same to the millimetre. ``challenge`` is the data set's own measure on 24 joints, and
               PCK at 50 mm and AUC (0 to 199 mm) on the 12 of the limbs; null where joints are lacking.

An action is a name up to its first space. Formulas: Pavllo et al. (CVPR 2019)
for MPJPE, its aligned forms and MPJVE; Mehta et al. (3DV 2017) for PCK and AUC.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend import metrics
from posemend.body.catalogue import H36M_16, H36M_17, MPI_INF_3DHP_17, SMPL_24
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose3D, Take, base_action
from posemend.errors import InputError, SkeletonError

Floats = NDArray[np.float64]

_LIMBS = tuple(
    f"{side}_{part}" for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist") for side in ("l", "r")
)


@dataclass(frozen=True)
class Paper:
    """One way to average.

    Attributes:
        joints: Which joints count, in MPJPE and its aligned forms.
        over_actions: Mean over actions of their frame means; else all frames alike.
        pck: Joints of PCK@150 and AUC; none if the paper has neither.
        centre: Joints whose middle both sides lose; without any the prediction stays as it is.
        challenge: Joints of 3DPW's own measure, if it is taken.
    """

    joints: tuple[str, ...]
    over_actions: bool = False
    pck: tuple[str, ...] = ()
    centre: tuple[str, ...] = ()
    challenge: tuple[str, ...] = ()


PAPERS: dict[str, Paper] = {
    "h36m": Paper(H36M_17.joints, over_actions=True),
    "h36m-16": Paper(H36M_16.joints, over_actions=True),
    "3dhp": Paper(MPI_INF_3DHP_17.joints, pck=("head_top", "neck", *_LIMBS)),
    "3dpw": Paper(("neck", "skull", *_LIMBS), centre=("l_hip", "r_hip"), challenge=SMPL_24.joints),
}
AVERAGINGS = ("ours", *PAPERS)

_SUMS = ("frames", "mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm", "accel_mm", "pck150", "auc150")


@dataclass
class _Group:
    """Sums over the frames of one action or sequence; a number times its frames, by name."""

    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0.0))
    weights: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0.0))

    def add(self, numbers: dict[str, float], frames: int) -> None:
        self.sums["frames"] += frames
        for name, value in numbers.items():
            if not math.isnan(value):
                self.sums[name] += value * frames
                self.weights[name] += frames

    def mean(self, name: str) -> float:
        return self.sums[name] / self.weights[name] if self.weights[name] else math.nan

    def means(self) -> dict[str, Any]:
        return {"frames": int(self.sums["frames"]), **{name: self.mean(name) for name in _SUMS[1:]}}


class PaperTally:
    """Collects clips and averages them in one paper's way.

    Raises:
        InputError: No averaging of that name.
    """

    def __init__(self, name: str) -> None:
        if name not in PAPERS:
            raise InputError(f"No averaging is called '{name}'. There are: {', '.join(AVERAGINGS)}.")
        self._name, self._paper = name, PAPERS[name]
        self._groups: dict[str, _Group] = defaultdict(_Group)
        self._challenge: list[tuple[Floats, Floats]] = []
        self._lacking: set[str] = set()
        self._made_up: set[str] = set()
        self._lacking_challenge: set[str] = set()

    def add(self, take: Take, pose: Pose3D) -> None:
        """Take a clip along.

        Raises:
            InputError: The truth lacks joints that the paper counts: it is another data set.
        """
        unknown = set(self._paper.joints) - set(take.truth.skeleton.joints)
        if unknown:
            raise InputError(
                f"The averaging '{self._name}' counts {', '.join(sorted(unknown))}, which the truth of '{take.name}' "
                f"('{take.truth.skeleton.name}') does not have. Choose the averaging of this data set, or 'ours'."
            )
        self._made_up |= set(self._paper.joints) - set(pose.skeleton.joints)
        pose = _on_truths_joints(pose, take)
        pair = _pair(take, pose, self._paper.joints, self._paper.centre)
        if isinstance(pair, set):
            self._lacking |= pair
        elif len(pair[0]):
            group = base_action(take.action) if self._paper.over_actions else f"{take.subject}/{take.action}"
            self._groups[group].add(self._numbers(take, *pair), int(pair[2].sum()))
        if self._paper.challenge:
            whole = _pair(take, pose, self._paper.challenge, ("pelvis",))
            if isinstance(whole, set):
                self._lacking_challenge |= whole
            else:
                self._challenge.append((whole[0][whole[2]], whole[1][whole[2]]))

    def _numbers(self, take: Take, predicted: Floats, truth: Floats, frames: NDArray[np.bool_]) -> dict[str, float]:
        numbers = {
            "mpjpe_mm": metrics.mpjpe(predicted, truth, frames=frames),
            "p_mpjpe_mm": metrics.p_mpjpe(predicted, truth, frames=frames),
            "n_mpjpe_mm": metrics.n_mpjpe(predicted, truth, frames=frames),
            "mpjve_mm": metrics.mpjve(predicted, truth, frames=frames, cuts=take.cuts),
            "accel_mm": metrics.accel_error(predicted, truth, frames=frames, cuts=take.cuts),
        }
        if self._paper.pck:
            chosen = np.isin(self._paper.joints, self._paper.pck)
            part = (predicted[:, chosen], truth[:, chosen])
            numbers["pck150"] = metrics.pck(*part, frames=frames)
            numbers["auc150"] = metrics.auc(*part, frames=frames)
        return numbers

    def summary(self) -> dict[str, Any]:
        """The numbers for JSON; NaN where the prediction lacks joints that the paper counts."""
        names = _SUMS[1:]
        groups = {} if self._lacking else dict(sorted(self._groups.items()))
        total = _Group()
        for group in groups.values():
            for name in _SUMS:
                total.sums[name] += group.sums[name]
                total.weights[name] += group.weights[name]
        if self._paper.over_actions:
            found = {name: _mean([group.mean(name) for group in groups.values()]) for name in names}
        else:
            found = {name: total.mean(name) for name in names}
        result: dict[str, Any] = {
            "averaging": self._name,
            "joints": len(self._paper.joints),
            "mean_over": "actions" if self._paper.over_actions else "frames",
            "frames": int(total.sums["frames"]),
            **found,
            "by_action" if self._paper.over_actions else "by_sequence": {
                name: group.means() for name, group in groups.items()
            },
            "lacking_joints": sorted(self._lacking),
            "made_up_joints": sorted(self._made_up - self._lacking),
        }
        if self._paper.challenge:
            result["challenge"] = self._challenged()
        return result

    def _challenged(self) -> dict[str, Any] | None:
        """3DPW's own measure (its published evaluation code): pooled frames, 24 joints from the pelvis."""
        from scipy.integrate import trapezoid

        if self._lacking_challenge or not self._challenge:
            return None
        predicted, truth = (np.concatenate(part) for part in zip(*self._challenge, strict=True))
        limbs = np.isin(self._paper.challenge, _LIMBS)
        errors = metrics.joint_errors(predicted, truth)
        thresholds = np.arange(200.0)
        within = np.searchsorted(np.sort(errors[:, limbs].ravel()), thresholds, side="right") / errors[:, limbs].size
        return {
            "mpjpe_mm": float(errors.mean()),
            "p_mpjpe_mm": metrics.p_mpjpe(predicted, truth),
            "pck50": float((errors[:, limbs] <= 50).mean() * 100),
            "auc200": float(trapezoid(within, thresholds / thresholds.max()) * 100),
        }


def _on_truths_joints(pose: Pose3D, take: Take) -> Pose3D:
    """The prediction with joints that it lacks made up by the stated recipes, where that can be done."""
    if set(take.truth.skeleton.joints) <= set(pose.skeleton.joints):
        return pose
    try:
        return to_skeleton(pose, take.truth.skeleton)
    except SkeletonError:
        return pose


def _pair(
    take: Take, pose: Pose3D, joints: Sequence[str], centre: tuple[str, ...]
) -> tuple[Floats, Floats, NDArray[np.bool_]] | set[str]:
    """Prediction and truth (T, K, 3), and which frames (T,) count; or the joints that the prediction lacks."""
    wanted = dict.fromkeys([*joints, *centre])
    lacking = {
        joint
        for joint in wanted
        if joint not in pose.skeleton.joints or not (pose.score[:, pose.skeleton.index(joint)] > 0).any()
    }
    if lacking:
        return lacking
    sides = []
    for side in (pose, take.truth):
        positions = side.positions.astype(np.float64)
        if side.frame != "root" or centre or side is take.truth:
            middle = [side.skeleton.index(joint) for joint in centre] or list(side.skeleton.root_indices)
            positions = positions - positions[:, middle].mean(1, keepdims=True)
        sides.append(positions[:, [side.skeleton.index(joint) for joint in joints]])
    places = [take.truth.skeleton.index(joint) for joint in joints]
    return sides[0], sides[1], np.all(take.truth.score[:, places] > 0, axis=1)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
