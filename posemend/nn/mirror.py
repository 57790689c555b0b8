"""Mirror images of what networks are given and of what they answer.

A mirrored person is a person: x changes its sign, left and right change
places. Networks do not know it, because they have weights of their own for
each joint. Averaging the answer to a clip with the mirrored answer to its
mirror image makes them know it exactly, at twice the cost; published lifters
and refiners are evaluated in that way.
"""

from __future__ import annotations

from torch import Tensor

from posemend.body.catalogue import H36M_17

# channels that point along x: raw, sideways contradiction, keypoint, opinion - raw (contract.evidence)
_ALONG_X = (0, 3, 5, 9)


def _negated(x: Tensor, channels: tuple[int, ...]) -> Tensor:
    sign = x.new_ones(x.shape[-1])
    sign[list(channels)] = -1
    return x * sign


def mirrored_joints(x: Tensor, channels: tuple[int, ...] = (0,)) -> Tensor:
    """(B, T, 17, C) with left and right exchanged and ``channels`` negated; poses have x in channel 0."""
    return _negated(x[:, :, list(H36M_17.mirror)], channels)


def mirrored_evidence(evidence: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Evidence (B, T, 17, 13) and clip features (B, T, 7) of the mirrored person."""
    return mirrored_joints(evidence, _ALONG_X), _negated(clip, (0,))


def mean_with_mirror(first: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean of a network's answer and its answer to the mirrored person, mirrored back.

    Args:
        first: positions (B, T, 17, 3) and log expected errors (B, T, 17).
        other: The same for the mirrored person.
    """
    swapped = other[1][:, :, list(H36M_17.mirror)]
    return 0.5 * (first[0] + mirrored_joints(other[0])), 0.5 * (first[1] + swapped)
