"""How far a pose is from the truth. Metres in, millimetres (or per cent) out.

All functions take ``predicted`` and ``truth`` of shape (..., T, J, 3), as they
are: subtract the pelvis first where an error is meant to be root-relative.
``mask`` (..., T, J) says which joint-frames count, ``frames`` (..., T) which
frames; both default to all. Where nothing counts the answer is NaN.

Definitions: MPJPE and its aligned forms after Ionescu et al. (PAMI 2014) and
Pavllo et al. (CVPR 2019, protocols 1 to 3 and velocity); PCK and AUC after
Mehta et al. (3DV 2017); mean precision at 10 cm after Haque et al. (ECCV 2016).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.body.skeleton import Skeleton
from posemend.errors import InputError
from posemend.geometry.align import procrustes, rescaled

MM = 1000.0
AUC_THRESHOLDS = np.arange(0, 151, 5)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def joint_errors(predicted: ArrayLike, truth: ArrayLike) -> Floats:
    """Distance of each joint in mm, (..., T, J): ``‖p̂ − p‖₂``.

    Raises:
        InputError: Shapes differ or are not (..., T, J, 3).
    """
    predicted, truth = _pair(predicted, truth)
    return np.linalg.norm(predicted - truth, axis=-1) * MM


def mpjpe(
    predicted: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None, frames: ArrayLike | None = None
) -> float:
    """Mean per-joint position error in mm: mean of ``‖p̂ − p‖₂`` over what counts."""
    return _mean(joint_errors(predicted, truth), mask, frames)


def aligned_errors(predicted: ArrayLike, truth: ArrayLike, align_on: ArrayLike | None = None) -> Floats:
    """Distance of each joint in mm (..., T, J) after a similarity alignment of each frame.

    ``align_on`` (..., T, J): which joints take part in the alignment; all by default.
    """
    predicted, truth = _pair(predicted, truth)
    return np.linalg.norm(procrustes(predicted, truth, align_on) - truth, axis=-1) * MM


def p_mpjpe(
    predicted: ArrayLike,
    truth: ArrayLike,
    mask: ArrayLike | None = None,
    frames: ArrayLike | None = None,
    align_on: ArrayLike | None = None,
) -> float:
    """MPJPE in mm after scale, rotation and shift of each frame: mean of ``‖sRp̂ + t − p‖₂``.

    Each frame is aligned on *all* joints (or ``align_on``); the mean is over
    ``mask``. Visible and hidden joints are thus measured in one alignment.
    """
    return _mean(aligned_errors(predicted, truth, align_on), mask, frames)


def n_mpjpe(
    predicted: ArrayLike,
    truth: ArrayLike,
    mask: ArrayLike | None = None,
    frames: ArrayLike | None = None,
    align_on: ArrayLike | None = None,
) -> float:
    """MPJPE in mm after scaling each frame by ``s = Σ⟨p, p̂⟩ / Σ⟨p̂, p̂⟩``; wants root-relative poses."""
    predicted, truth = _pair(predicted, truth)
    return _mean(np.linalg.norm(rescaled(predicted, truth, align_on) - truth, axis=-1) * MM, mask, frames)


def mpjve(
    predicted: ArrayLike,
    truth: ArrayLike,
    mask: ArrayLike | None = None,
    frames: ArrayLike | None = None,
    cuts: Iterable[int] = (),
) -> float:
    """Mean per-joint velocity error in mm per frame: mean of ``‖Δp̂ − Δp‖₂``.

    ``Δ`` is the difference of two frames that both count. ``cuts`` are frame
    numbers where new motion starts; no difference reaches across one.
    """
    return _difference_error(predicted, truth, mask, frames, cuts, order=1)


def accel_error(
    predicted: ArrayLike,
    truth: ArrayLike,
    mask: ArrayLike | None = None,
    frames: ArrayLike | None = None,
    cuts: Iterable[int] = (),
) -> float:
    """Mean per-joint acceleration error in mm per frame²: mean of ``‖Δ²p̂ − Δ²p‖₂``.

    ``Δ²x_t = x_{t+1} − 2x_t + x_{t−1}``; all three frames count, and no cut lies between them.
    """
    return _difference_error(predicted, truth, mask, frames, cuts, order=2)


def pck(
    predicted: ArrayLike,
    truth: ArrayLike,
    mask: ArrayLike | None = None,
    frames: ArrayLike | None = None,
    threshold_mm: float = 150.0,
) -> float:
    """Per cent of joints that are less than ``threshold_mm`` off."""
    return _mean(joint_errors(predicted, truth) < threshold_mm, mask, frames) * 100


def auc(
    predicted: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None, frames: ArrayLike | None = None
) -> float:
    """Mean of ``pck`` over the thresholds 0, 5, …, 150 mm (31 of them), per cent."""
    errors = joint_errors(predicted, truth)
    chosen = errors[_counted(errors.shape, mask, frames)]
    if not chosen.size:
        return float("nan")
    # A joint passes every threshold above its error: count them once, sorted, instead of 31 times.
    passed = len(AUC_THRESHOLDS) - np.searchsorted(AUC_THRESHOLDS, chosen, side="right")
    return float(passed.mean() / len(AUC_THRESHOLDS) * 100)


def map_10cm(
    predicted: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None, frames: ArrayLike | None = None
) -> float:
    """Per cent of joints less than 10 cm off, the "mAP" of depth-image work: ``#(error < 100 mm) / #counted``."""
    return pck(predicted, truth, mask, frames, threshold_mm=100.0)


OKS_SIGMA = 0.107  # of every joint, as depth-image work has it; COCO's differ by joint
OKS_THRESHOLDS = np.arange(0.5, 0.951, 0.05)


def oks(
    predicted: ArrayLike,
    truth: ArrayLike,
    area: ArrayLike,
    mask: ArrayLike | None = None,
    sigmas: ArrayLike = OKS_SIGMA,
) -> Floats:
    """Object keypoint similarity of each frame (..., T), in [0, 1]; NaN where no joint counts.

    ``mean over joints of exp(-d^2 / (2 area (2 sigma)^2))``, as COCO has it. The
    area is that of the *true* person: taken from the detection, as RefiNet
    does, a wide spread of wrong joints would excuse itself.

    Args:
        predicted, truth: (..., T, J, 2) pixels.
        area: (..., T) square pixels of the person.
        mask: (..., T, J) joints that count; all by default.
        sigmas: One for all joints, or (J,).

    Raises:
        InputError: Shapes do not fit, or an area is not above 0.
    """
    predicted, truth, area = (np.asarray(x, np.float64) for x in (predicted, truth, area))
    if predicted.shape != truth.shape or predicted.ndim < 3 or predicted.shape[-1] != 2:
        raise InputError(f"OKS wants two arrays of one shape (..., T, J, 2), got {predicted.shape} and {truth.shape}.")
    if area.shape != truth.shape[:-2] or not (np.isfinite(area).all() and (area > 0).all()):
        raise InputError(f"OKS wants areas above 0 of shape {truth.shape[:-2]}, got {area.shape}.")
    counted = _counted(truth.shape[:-1], mask, None)
    square = ((predicted - truth) ** 2).sum(-1)
    near = np.exp(-square / (8 * np.asarray(sigmas, np.float64) ** 2 * area[..., None]))
    number = counted.sum(-1)
    return np.where(number > 0, (near * counted).sum(-1) / np.maximum(number, 1), np.nan)


def oks_ap(
    predicted: ArrayLike,
    truth: ArrayLike,
    area: ArrayLike,
    mask: ArrayLike | None = None,
    sigmas: ArrayLike = OKS_SIGMA,
) -> float:
    """Per cent of poses whose ``oks`` is above 0.5, 0.55, ..., 0.95, averaged over these thresholds.

    Every frame holds one person who is found, so this is COCO's average precision without ranking.
    """
    similarity = oks(predicted, truth, area, mask, sigmas)
    similarity = similarity[np.isfinite(similarity)]
    if not similarity.size:
        return float("nan")
    return float((similarity[..., None] > OKS_THRESHOLDS).mean() * 100)


def bone_lengths(positions: ArrayLike, skeleton: Skeleton) -> Floats:
    """Length of each bone in mm, (..., T, B), in the skeleton's order of bones.

    Raises:
        InputError: The joint count is not the skeleton's.
    """
    positions = np.asarray(positions, np.float64)
    if positions.ndim < 3 or positions.shape[-2:] != (len(skeleton), 3):
        raise InputError(f"'{skeleton.name}' wants positions (..., T, {len(skeleton)}, 3), got {positions.shape}.")
    parents, children = np.array(skeleton.bone_indices).T
    return np.linalg.norm(positions[..., children, :] - positions[..., parents, :], axis=-1) * MM


def bone_length_spread(
    positions: ArrayLike, skeleton: Skeleton, mask: ArrayLike | None = None, frames: ArrayLike | None = None
) -> float:
    """How much bones change in length, mm: standard deviation over time of each bone, mean over bones.

    A bone counts in frames where both of its joints do, and at all if it has two such frames.
    """
    lengths = bone_lengths(positions, skeleton)
    parents, children = np.array(skeleton.bone_indices).T
    joints = _counted((*lengths.shape[:-1], len(skeleton)), mask, frames)
    counted = joints[..., parents] & joints[..., children]
    number = counted.sum(-2)
    middle = (lengths * counted).sum(-2) / np.maximum(number, 1)
    variance = (counted * (lengths - middle[..., None, :]) ** 2).sum(-2) / np.maximum(number, 1)
    return _mean(np.sqrt(variance), number >= 2, None)


def _pair(predicted: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    predicted, truth = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    if predicted.shape != truth.shape or predicted.ndim < 3 or predicted.shape[-1] != 3:
        raise InputError(
            f"Metrics want two arrays of one shape (..., T, J, 3), got {predicted.shape} and {truth.shape}."
        )
    return predicted, truth


def _counted(shape: tuple[int, ...], mask: ArrayLike | None, frames: ArrayLike | None) -> Bools:
    """(..., T, J) what counts, from both masks."""
    counted = np.ones(shape, bool)
    parts = [("mask", mask, shape), ("frames", frames, shape[:-1])]
    for name, part, wanted in parts:
        if part is None:
            continue
        array = np.asarray(part)
        if array.dtype != bool or array.shape != wanted:
            raise InputError(f"'{name}' wants bool of shape {wanted}, got {array.dtype} {array.shape}.")
        counted &= array if name == "mask" else array[..., None]
    return counted


def _mean(values: NDArray, mask: ArrayLike | None, frames: ArrayLike | None) -> float:
    chosen = values[_counted(values.shape, mask, frames)]
    return float(chosen.mean()) if chosen.size else float("nan")


def _difference_error(
    predicted: ArrayLike,
    truth: ArrayLike,
    mask: ArrayLike | None,
    frames: ArrayLike | None,
    cuts: Iterable[int],
    order: int,
) -> float:
    predicted, truth = _pair(predicted, truth)
    counted = _counted(predicted.shape[:-1], mask, frames)
    length = predicted.shape[-3]
    if length <= order:
        return float("nan")
    piece = np.zeros(length, int)
    for cut in cuts:
        piece[cut:] += 1
    both = piece[order:] == piece[:-order]
    together = np.all([counted[..., shift : length - order + shift, :] for shift in range(order + 1)], axis=0)
    # Differences are linear: the difference of the error is the error of the difference.
    error = np.linalg.norm(np.diff(predicted - truth, n=order, axis=-3), axis=-1) * MM
    return _mean(error, together & both[:, None], None)
