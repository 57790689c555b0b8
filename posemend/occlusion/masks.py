"""A fixed set of structured binary masks: joints hidden for spans of time.

Roy et al., "Occlusion Resilient 3D Human Pose Estimation" (arXiv 2402.11036)
train a graph network with a precomputed set Omega(N_M, beta, alpha) of masks
that switch off joints, and with them their edges, for periods of time. The
set is in the manner of Masksembles (Durasov et al., CVPR 2021): few masks,
always the same, with a chosen share and a chosen overlap, half-way between
one network (all masks alike) and an ensemble (masks that share nothing).

How the authors draw theirs is not published. Here each mask is a union of
runs, one joint for some consecutive frames, whose lengths follow a log-normal
distribution as measured on BlendMimic3D; runs are then moved, one at a time,
until masks overlap as wanted. What is met: every mask hides the same number
of cells, the one nearest to ``share``; the mean overlap over pairs is within
``OVERLAP_TOLERANCE`` of what was asked for. What cannot be met is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.errors import InputError

Bools = NDArray[np.bool_]

OVERLAP_TOLERANCE = 0.02  # of the mean intersection over union of two masks
_MOVES = 10_000  # at most; most sets need a few hundred
_IDLE = 300  # moves in a row that better nothing: few cells make steps too coarse to come nearer
_ALIKE = 0.5  # masks that shall overlap more begin with runs in the same places


@dataclass(frozen=True)
class RunLengths:
    """Log-normal distribution of how long a joint stays hidden, in frames.

    The defaults are near BlendMimic3D's flags at 30 to 50 fps: median 11 to
    16, mean 27 to 60. Runs are cut at the length of a mask.

    Attributes:
        median: Median length.
        spread: Standard deviation of the length's logarithm.
    """

    median: float = 12.0
    spread: float = 1.3

    def draw(self, count: int, longest: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(count,) lengths from 1 to ``longest``."""
        drawn = np.exp(rng.normal(np.log(self.median), self.spread, count))
        return np.clip(np.round(drawn), 1, longest).astype(np.int64)


@dataclass(frozen=True)
class Measured:
    """What a set of masks is like.

    Attributes:
        shares: (N,) share of cells that each mask hides.
        overlap: Mean intersection over union of two masks; 1 for a single mask.
        overlaps: (N * (N - 1) / 2,) of each pair.
        runs: Lengths of all runs, in frames.
    """

    shares: NDArray[np.float64]
    overlap: float
    overlaps: NDArray[np.float64]
    runs: NDArray[np.int64]


def measure(hidden: Bools) -> Measured:
    """Shares, overlaps and run lengths of masks (N, T, J), true = hidden."""
    flat = hidden.reshape(len(hidden), -1).astype(np.float64)
    overlaps = _unions(flat @ flat.T, flat.sum(1))[np.triu_indices(len(hidden), 1)]
    columns = np.moveaxis(hidden, 1, 2).reshape(-1, hidden.shape[1])
    edges = np.diff(np.pad(columns.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    runs = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    return Measured(flat.mean(1), float(overlaps.mean()) if len(overlaps) else 1.0, overlaps, runs)


def _unions(shared: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, N) intersection over union from intersections and sizes; two empty masks are alike."""
    union = sizes[:, None] + sizes - shared
    return np.where(union > 0, shared / np.maximum(union, 1), 1.0)


def least_overlap(number: int, cells: int, total: int) -> float:
    """Smallest mean intersection over union of ``number`` masks that hide ``cells`` of ``total`` cells each.

    Masks overlap least when all cells are hidden by equally many of them.
    """
    pairs = number * (number - 1) / 2
    if not pairs or not cells:
        return 1.0
    each, more = divmod(number * cells, total)
    shared = (total * each * (each - 1) / 2 + more * each) / pairs
    return shared / (2 * cells - shared)


def omega(
    number: int,
    share: float,
    overlap: float,
    frames: int,
    joints: int = 17,
    *,
    seed: int = 0,
    lengths: RunLengths | None = None,
) -> Bools:
    """The fixed set of masks, Omega(N_M, beta, alpha); the same for the same arguments.

    Args:
        number: Masks N_M, at least 1.
        share: beta, share of the T * J cells that each mask hides, in [0, 1).
        overlap: alpha, mean intersection over union of two masks, in [0, 1].
            Masks drawn independently have share / (2 - share).
        frames: Frames T of a mask.
        joints: Joints J of a mask.
        seed: Of all chance.
        lengths: Distribution of the runs' lengths.

    Returns:
        (N_M, T, J), true = hidden. Each mask hides exactly ``round(share * T * J)``
        cells; two runs of one joint are apart by a frame or more.

    Raises:
        InputError: Arguments out of range, or masks that cannot overlap so little or so much.
    """
    if number < 1 or frames < 1 or joints < 1 or not 0 <= share < 1 or not 0 <= overlap <= 1:
        raise InputError(
            "Masks want number, frames and joints of at least 1, share in [0, 1) and overlap in [0, 1]; "
            f"got {number}, {frames}, {joints}, {share} and {overlap}."
        )
    cells = round(share * frames * joints)
    least = least_overlap(number, cells, frames * joints)
    if number > 1 and cells and overlap < least - OVERLAP_TOLERANCE:
        raise InputError(
            f"{number} masks that hide {share:.0%} each overlap by {least:.2f} at least, wanted {overlap:.2f}. "
            "Take fewer masks, a smaller share or a larger overlap."
        )
    rng = np.random.default_rng([seed, number, frames, joints, cells, round(overlap * 1000)])
    masks = _drawn(number, cells, overlap, _Mask(frames, joints), lengths or RunLengths(), rng)
    hidden = _meet(masks, overlap, rng) if number > 1 and cells else np.stack([mask.hidden for mask in masks])
    got = measure(hidden).overlap
    if number > 1 and cells and abs(got - overlap) > OVERLAP_TOLERANCE:
        raise InputError(
            f"No {number} masks of runs were found that hide {share:.0%} each and overlap by {overlap:.2f}; "
            f"the nearest overlap by {got:.2f} (no set at all: below {least:.2f}). "
            "Take fewer masks, a smaller share or shorter runs."
        )
    return hidden


class _Mask:
    """One mask while it is being made: its cells, and the runs that they are made of."""

    def __init__(self, frames: int, joints: int) -> None:
        self.hidden = np.zeros((frames, joints), bool)
        self.runs: list[tuple[int, int, int]] = []  # joint, first frame, length

    def places(self, length: int) -> NDArray[np.int64]:
        """(K, 2) first frames and joints where a run fits, a frame apart from the others of its joint."""
        frames = len(self.hidden)
        near = np.pad(self.hidden, ((1, 1), (0, 0)))
        near = near[:-2] | near[1:-1] | near[2:]
        total = np.concatenate([np.zeros_like(near[:1], dtype=np.int64), np.cumsum(near, 0)])
        return np.argwhere(total[length:] == total[: frames + 1 - length])

    def put(self, joint: int, first: int, length: int) -> None:
        """Hide a run."""
        self.hidden[first : first + length, joint] = True
        self.runs.append((joint, first, length))

    def take(self, number: int) -> tuple[int, int, int]:
        """Give a run's cells back."""
        joint, first, length = self.runs.pop(number)
        self.hidden[first : first + length, joint] = False
        return joint, first, length

    def put_somewhere(self, length: int, rng: np.random.Generator) -> None:
        """Hide a run wherever it fits; where it fits nowhere, in two pieces.

        Raises:
            InputError: Not even single frames fit.
        """
        places = self.places(length)
        if len(places):
            first, joint = places[rng.integers(len(places))]
            self.put(int(joint), int(first), length)
        elif length > 1:
            self.put_somewhere(length - length // 2, rng)
            self.put_somewhere(length // 2, rng)
        else:
            raise InputError(
                "Masks hide so much that their runs cannot be kept apart. Take a smaller share (above a half gets "
                "tight) or longer runs."
            )


def _drawn(
    number: int, cells: int, overlap: float, first: _Mask, lengths: RunLengths, rng: np.random.Generator
) -> list[_Mask]:
    """Masks of ``cells`` cells each; those that shall overlap much have run lengths, and then places, in common."""
    frames, joints = first.hidden.shape

    def fill(mask: _Mask, runs: list[int]) -> _Mask:
        left = cells - int(mask.hidden.sum()) - sum(runs)
        while left > 0:
            runs.append(min(int(lengths.draw(1, frames, rng)[0]), left))
            left -= runs[-1]
        for length in sorted(runs, reverse=True):  # the long ones first, while there is room
            mask.put_somewhere(length, rng)
        return mask

    masks = [fill(first, [])]
    common = 2 * overlap / (1 + overlap) * cells  # what two masks of this overlap share
    for _ in range(number - 1):
        mask = _Mask(frames, joints)
        left, runs = common + 0.5, []  # type: float, list[int]
        for run in rng.permutation(len(first.runs)).tolist():
            joint, start, length = first.runs[run]
            if length > left:
                continue
            left -= length
            if overlap > _ALIKE:
                mask.put(joint, start, length)
            else:
                runs.append(length)
        masks.append(fill(mask, runs))
    return masks


def _meet(masks: list[_Mask], overlap: float, rng: np.random.Generator) -> Bools:
    """Move runs, one at a time, until every two masks overlap as wanted; sizes and lengths stay."""
    hidden = np.stack([mask.hidden for mask in masks])  # (N, T, J)
    for mask, cells in zip(masks, hidden, strict=True):
        mask.hidden = cells  # views: a move shows in both
    flat = hidden.reshape(len(hidden), -1)
    sizes = flat.sum(1).astype(np.float64)
    unions = _unions(flat.astype(np.float64) @ flat.T.astype(np.float64), sizes)
    others = ~np.eye(len(masks), dtype=bool)
    idle = 0
    for _ in range(_MOVES):
        off = np.where(others, unions - overlap, 0)
        away = abs(off.sum()) / others.sum()
        settled = away < OVERLAP_TOLERANCE / 8 and np.abs(off).max() < 0.1
        if settled or (idle > _IDLE and away < OVERLAP_TOLERANCE / 2):
            break
        here = int(rng.integers(len(masks)))
        mask = masks[here]
        number = int(rng.integers(len(mask.runs)))
        joint, first, length = mask.take(number)
        place = _proposal(mask, masks, here, length, off[here].sum() < 0, rng)
        mask.put(*(place or (joint, first)), length)
        shared = (flat & flat[here]).sum(1).astype(np.float64)
        row = shared / np.maximum(sizes + sizes[here] - shared, 1)
        change = np.where(others[here], (row - overlap) ** 2 - off[here] ** 2, 0).sum()
        # few cells make coarse steps: the mean counts too, or all pairs would stop short on the same side
        total = off.sum() / 2
        moved = np.where(others[here], row - overlap - off[here], 0).sum()
        change += 4 * ((total + moved) ** 2 - total**2) / (others.sum() / 2)
        idle = 0 if change < 0 else idle + 1
        if change <= 0:
            unions[here], unions[:, here] = row, row
        else:
            mask.take(len(mask.runs) - 1)
            mask.put(joint, first, length)
    return hidden


def _proposal(
    mask: _Mask, masks: list[_Mask], here: int, length: int, closer: bool, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Joint and first frame where a run could go: anywhere, or, to overlap more, onto a run of another mask."""
    places = mask.places(length)
    if not len(places):
        return None
    if closer:
        there = masks[(here + int(rng.integers(1, len(masks)))) % len(masks)]
        joint, first, other = there.runs[int(rng.integers(len(there.runs)))]
        same = places[places[:, 1] == joint]
        if len(same):
            overlaps = np.minimum(same[:, 0] + length, first + other) - np.maximum(same[:, 0], first)
            return joint, int(same[int(overlaps.argmax()), 0])
    first, joint = places[int(rng.integers(len(places)))]
    return int(joint), int(first)


def tiled(hidden: Bools, frames: int) -> Bools:
    """(N, T, J) masks repeated over time to (N, frames, J)."""
    return hidden[:, np.arange(frames) % hidden.shape[1]]
