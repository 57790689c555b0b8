"""A benchmark's training split as recordings: by its own cameras, on Human3.6M's 17 joints, whole frames only.

Published lifters learn from nothing else: ``data.benchmark`` with ``share = 1``.
Frames that do not count are cut out, and views without a camera are left out.

SMPL has no joint at the top of the head, and a network cannot learn one that
is not there: it is put 22 cm beyond the skull's joint, along the neck. That is
the length measured in BlendMimic3D (21.0 to 23.7 cm), whose skull joint is the
same; the neck's direction stands for the head's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose3D, Take
from posemend.datasets import benchmarks
from posemend.errors import InputError, RecipeError
from posemend.training.batches import Recordings
from posemend.training.recipe import BenchmarkSection

SHORTEST = 20  # frames of a piece that is worth keeping
SKULL_TO_TOP = 0.22  # metres
OWN = "own"


def benchmark_recordings(wanted: BenchmarkSection) -> Recordings:
    """The training split that a recipe names.

    Raises:
        RecipeError: It is not there, or cannot be read.
    """
    name = wanted.name
    choice = {"detections": wanted.detections} if wanted.detections and name == "human36m" else {}
    if wanted.detections and name == "mpi-inf-3dhp":
        raise RecipeError("MPI-INF-3DHP comes without a detector's keypoints: leave data.benchmark.detections out.")
    if name == "3dpw" and wanted.detections not in ("", OWN):
        raise RecipeError(f"3DPW has one set of keypoints: data.benchmark.detections is '{OWN}' or left out.")
    try:
        takes = benchmarks.read(name, wanted.root, benchmarks.BENCHMARKS[name].training, trust=wanted.trust, **choice)
        return of_takes(takes, detected=bool(wanted.detections))
    except InputError as error:
        raise RecipeError(f"The recipe wants {name} under data.benchmark.root: {error}") from None


def of_takes(takes: Sequence[Take], detected: bool = False) -> Recordings:
    """Takes of any skeleton, cut into pieces of whole frames.

    Args:
        takes: With cameras; those without are left out.
        detected: Also keep what a detector found, which networks are then given.

    Raises:
        RecipeError: Nothing is left.
    """
    pieces: list[Take] = []
    given: list[NDArray[np.float32]] = []
    for take in takes:
        if take.keypoints.camera is None or take.truth.root is None:
            continue
        truth = on_h36m(take.truth)
        whole = np.asarray((truth.score > 0).all(1))
        changes = np.flatnonzero(np.diff(whole.astype(np.int8))) + 1
        edges = sorted({0, *take.cuts, *changes.tolist(), len(truth)})
        for first, last in zip(edges[:-1], edges[1:], strict=True):
            if last - first < SHORTEST or not whole[first]:
                continue
            part = slice(first, last)
            pieces.append(replace(take, keypoints=take.keypoints[part], truth=truth[part], cuts=(), detected=None))
            if detected:
                given.append(_given(take, part))
    if not pieces:
        raise RecipeError(f"No piece of {SHORTEST} whole frames with a camera in {len(takes)} takes: nothing to learn.")
    recordings = Recordings.of(pieces)
    return replace(recordings, given=np.concatenate(given)) if detected else recordings


def on_h36m(truth: Pose3D) -> Pose3D:
    """Truth on Human3.6M's 17 joints, the top of the head made up where only the skull's joint is known."""
    pose = to_skeleton(truth, H36M_17)
    top = H36M_17.index("head_top")
    if {"skull", "neck"} <= set(truth.skeleton.joints) and "head_top" not in truth.skeleton.joints:
        skull, neck = (truth.positions[:, truth.skeleton.index(joint)] for joint in ("skull", "neck"))
        along = skull - neck
        along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
        positions, score, visible = pose.positions.copy(), pose.score.copy(), pose.visible.copy()
        positions[:, top] = skull + SKULL_TO_TOP * along
        score[:, top] = truth.score[:, truth.skeleton.index("skull")]
        visible[:, top] = truth.visible[:, truth.skeleton.index("skull")]
        pose = replace(pose, positions=positions, score=score, visible=visible)
    return pose


def _given(take: Take, part: slice) -> NDArray[np.float32]:
    """(T, 17, 3) what a detector found: tangents to the optical axis, and score."""
    if take.detected is None or take.keypoints.camera is None:
        raise InputError(f"'{take.name}' comes without a detector's keypoints.")
    found = to_skeleton(take.detected[part], H36M_17)
    rays = take.keypoints.camera.rays(found.positions)[..., :2]
    return np.concatenate([rays, found.score[..., None]], -1).astype(np.float32)
