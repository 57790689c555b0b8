"""The project's protocol: what is measured on which clips, and how it is averaged.

Millimetres, root-relative, joints matched by name, the root left out. Each
clip (one camera, one person) gives one number, and the mean over clips is
reported, with a 95 % interval by bootstrap over clips. Visible and hidden are
told apart by the *true* flags, never by what the model was given. Tables by
number of hidden joints and by length of the hidden run pool frames of all
clips, because few clips fill every class. What cannot be had is ``None``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from posemend.body.pose import Pose2D, Pose3D, Take, base_action
from posemend.errors import InputError
from posemend.evaluation.compare import RUNS, Comparison, clip_numbers, compare
from posemend.evaluation.confidence import ConfidenceTally
from posemend.evaluation.fast import FastTally
from posemend.evaluation.papers import AVERAGINGS, PaperTally
from posemend.occlusion.hide import INPUTS, keypoints_for

Predict = Callable[[Pose2D], Pose3D]
Refine = Callable[[Pose3D, Pose2D], Pose3D]
Progress = Callable[[int, int], None]

BOOTSTRAPS = 2000
WORSE_MM = 1.0  # a clip counts as made worse above this
COLUMNS = ("all", "visible", "hidden")


def evaluate(
    takes: Iterable[Take],
    predict: Predict,
    *,
    input: str,
    on: str = "custom",
    split: str | Mapping[str, Any] = "all",
    lifter: str | None = None,
    refiner: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    raw: Predict | None = None,
    averaging: str = "ours",
) -> dict[str, Any]:
    """Measure a lifter, or a whole chain, on takes with truth.

    Args:
        takes: Recordings with truth.
        predict: From keypoints to 3D of the same length, on any skeleton that
            shares joint names with the truth. ``keypoints.name`` is the take's name.
        input: Which 2D the model is given: ``"gt"``, ``"gt+flags"``, ``"missing"``, ``"detector"`` or ``"video"``.
        on: Name of the data set, for the record.
        split: Name or description of the split, for the record.
        lifter: Name of the lifter, for the record.
        refiner: Name of the refiner, for the record; ``None`` without one.
        seed: Seed of the simulated detector and of the bootstrap.
        progress: Called with (clips done, clips in all) after each clip.
        raw: What ``predict`` starts from, e.g. the lifter without the refiner: gives ``raw`` and ``harm_mm``.
        averaging: A paper's way to average as well (``posemend.evaluation.papers``): gives ``paper``.

    Returns:
        The result for programs, ready for JSON: numbers, strings, lists, dicts and ``None``, no NaN.

    Raises:
        InputError: No takes, no such input or averaging, or a prediction that does not fit its take.
    """

    def both(keypoints: Pose2D) -> tuple[Pose3D | None, Pose3D]:
        return (raw(keypoints) if raw else None), predict(keypoints)

    head = {"on": on, "input": input, "split": split, "lifter": lifter, "refiner": refiner, "seed": seed}
    return _evaluate(list(takes), both, head, progress, averaging)


def evaluate_refiner(
    takes: Iterable[Take],
    raw: Predict,
    refine: Refine,
    *,
    input: str,
    on: str = "custom",
    split: str | Mapping[str, Any] = "all",
    lifter: str | None = None,
    refiner: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    averaging: str = "ours",
) -> dict[str, Any]:
    """Measure what a refiner makes of a lifter's poses: like ``evaluate``, with ``raw`` run once per clip.

    ``refine(pose, keypoints)`` is given the lifter's pose and the same
    keypoints. The result describes the refined pose; ``raw`` in it describes
    the lifter's, and ``harm_mm`` the change on frames where nothing is hidden.
    """

    def both(keypoints: Pose2D) -> tuple[Pose3D | None, Pose3D]:
        lifted = raw(keypoints)
        return lifted, refine(lifted, keypoints)

    head = {"on": on, "input": input, "split": split, "lifter": lifter, "refiner": refiner, "seed": seed}
    return _evaluate(list(takes), both, head, progress, averaging)


def _evaluate(
    takes: Sequence[Take],
    predict: Callable[[Pose2D], tuple[Pose3D | None, Pose3D]],
    head: dict[str, Any],
    progress: Progress | None,
    averaging: str,
) -> dict[str, Any]:
    if not takes:
        raise InputError("There is nothing to evaluate on: no takes were given.")
    if head["input"] not in INPUTS:
        raise InputError(f"No input is called '{head['input']}'. There are: {', '.join(INPUTS)}.")
    if averaging not in AVERAGINGS:
        raise InputError(f"No averaging is called '{averaging}'. There are: {', '.join(AVERAGINGS)}.")
    tally, raw_tally, harm = _Tally(averaging), _Tally(averaging), []
    for done, take in enumerate(takes, 1):
        raw, final = predict(keypoints_for(take, head["input"], head["seed"]))
        compared = compare(take, final)
        tally.add(take, compared, final)
        if raw is not None:
            raw_compared = compare(take, raw)
            raw_tally.add(take, raw_compared, raw)
            harm.append(harm_of(compared, raw_compared))
        if progress is not None:
            progress(done, len(takes))
    result: dict[str, Any] = {"protocol": head, "clips": len(takes), "frames": sum(len(take.truth) for take in takes)}
    result |= tally.summary(head["seed"])
    result["harm_mm"] = harm_summary(harm)
    result["raw"] = raw_tally.summary(head["seed"]) if raw_tally.clips else None
    return clean(result)


def harm_of(after: Comparison, before: Comparison) -> float:
    """Mean change in mm on the frames where nothing is hidden; NaN if there are none."""
    frames = after.hidden == 0
    if after.skeleton.joints != before.skeleton.joints or not frames.any():
        return math.nan
    counted = after.scored & frames[:, None]
    return float((after.errors() - before.errors())[counted].mean()) if counted.any() else math.nan


def harm_summary(changes: Sequence[float]) -> dict[str, Any]:
    known = [change for change in changes if not math.isnan(change)]
    if not known:
        return {"mean": None, "worst_clip": None, "share_worse": None, "clips": 0}
    worse = sum(change > WORSE_MM for change in known) / len(known)
    return {"mean": float(np.mean(known)), "worst_clip": max(known), "share_worse": worse, "clips": len(known)}


class _Tally:
    """Collects clips of one kind of pose and averages them."""

    def __init__(self, averaging: str) -> None:
        self.paper = None if averaging == "ours" else PaperTally(averaging)
        self.confidence, self.fast = ConfidenceTally(), FastTally()
        self.clips: list[dict[str, Any]] = []
        self.joints: dict[str, dict[str, list[float]]] = {}
        self.by_hidden: dict[int, list[float]] = defaultdict(lambda: [0, 0.0])  # frames, sum of frame means
        self.by_run: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])  # joint-frames, sum of errors

    def add(self, take: Take, compared: Comparison, pose: Pose3D) -> None:
        if self.paper is not None:
            self.paper.add(take, pose)
        self.confidence.add(compared)
        self.fast.add(compared)
        errors, masks = compared.errors(), compared.masks()
        numbers = clip_numbers(compared)
        self.clips.append({"name": take.name, "action": base_action(take.action), "frames": len(take.truth), **numbers})
        for place, joint in enumerate(compared.skeleton.joints):
            if joint == "pelvis":
                continue
            lists = self.joints.setdefault(joint, {column: [] for column in COLUMNS})
            for column, mask in masks.items():
                chosen = errors[mask[:, place], place]
                lists[column].append(float(chosen.mean()) if chosen.size else math.nan)
        per_frame = np.where(compared.scored, errors, 0).sum(1) / np.maximum(compared.scored.sum(1), 1)
        measured = compared.scored.any(1)
        for count in np.unique(compared.hidden[measured]):
            frames = measured & (compared.hidden == count)
            self.by_hidden[int(count)][0] += int(frames.sum())
            self.by_hidden[int(count)][1] += float(per_frame[frames].sum())
        lengths = compared.run_lengths()
        for low, high in RUNS:
            chosen = compared.scored & (lengths >= low) & (lengths <= (high or np.inf))
            entry = self.by_run[f"{low}-{high}" if high else f"{low}+"]
            entry[0] += int(chosen.sum())
            entry[1] += float(errors[chosen].sum())

    def summary(self, seed: int) -> dict[str, Any]:
        keys = [key for key in self.clips[0] if key not in ("name", "action", "frames")]
        by_action: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for clip in self.clips:
            by_action[clip["action"]].append(clip)
        actions: dict[str, dict[str, Any]] = {
            action: {"clips": len(part), **{key: mean_of(part, key) for key in ("mpjpe_mm", "p_mpjpe_mm")}}
            for action, part in sorted(by_action.items())
        }
        intervals = {column: interval([clip["mpjpe_mm"][column] for clip in self.clips], seed) for column in COLUMNS}
        return {
            **{key: mean_of(self.clips, key) for key in keys},
            "fast": self.fast.summary(),
            "confidence": self.confidence.summary(),
            "paper": None if self.paper is None else self.paper.summary(),
            "ci95_mm": intervals["all"],
            "ci95_by_column_mm": intervals,
            "mean_over_actions_mm": {
                column: mean_known([part["mpjpe_mm"][column] for part in actions.values()]) for column in COLUMNS
            },
            "by_action": actions,
            "by_hidden_joints": {
                str(count): {"frames": frames, "mpjpe_mm": total / frames}
                for count, (frames, total) in sorted(self.by_hidden.items())
            },
            "by_hidden_run_frames": {
                name: {"joint_frames": number, "mpjpe_mm": total / number if number else None}
                for name, (number, total) in self.by_run.items()
            },
            "by_joint_mm": {
                joint: {column: mean_known(values) for column, values in lists.items()}
                for joint, lists in self.joints.items()
            },
            "by_clip": {
                clip["name"]: {"frames": clip["frames"], "mpjpe_mm": clip["mpjpe_mm"], "p_mpjpe_mm": clip["p_mpjpe_mm"]}
                for clip in self.clips
            },
        }  # fmt: skip


def mean_known(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def mean_of(clips: Sequence[dict[str, Any]], key: str) -> float | dict[str, float]:
    """Mean over the clips that have the number."""
    if isinstance(clips[0][key], dict):
        return {column: mean_known([clip[key][column] for clip in clips]) for column in COLUMNS}
    return mean_known([clip[key] for clip in clips])


def interval(values: Sequence[float], seed: int) -> list[float] | None:
    """95 % interval of the mean by bootstrap over clips; ``None`` for fewer than two clips."""
    known = np.array([value for value in values if not math.isnan(value)])
    if len(known) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(0, len(known), (BOOTSTRAPS, len(known)))
    low, high = np.percentile(known[drawn].mean(1), [2.5, 97.5])
    return [float(low), float(high)]


def clean(value: Any) -> Any:
    """JSON-ready: plain floats to 4 decimals, and ``None`` for what is not finite."""
    if isinstance(value, dict):
        return {key: clean(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [clean(part) for part in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 4) if math.isfinite(value) else None
    return value
