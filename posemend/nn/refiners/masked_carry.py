"""What is known of a hidden joint from the times at which it was seen, near or far (see ``masked_stgcn``).

Nothing here is learnt but the body at rest. Ours, not of arXiv 2402.11036,
whose graph reaches as far as its edges in time do; joints of BlendMimic3D stay
hidden for longer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from posemend.body.catalogue import H36M_17

PARENTS = [max(parent, 0) for parent in H36M_17.parents]
# how much a seen joint tells of the place of a hidden pelvis: those that move with it, much
_TELLS = {"r_hip": 1.0, "l_hip": 1.0, "spine": 1.0, "thorax": 0.3, "r_shoulder": 0.1, "l_shoulder": 0.1}
_TELLS_LITTLE = 0.01
_AT_REST = 0.1  # what a place by the body at rest counts, against one that was seen
_HALF_KNOWN = 8  # frames at 50 per second after which what was seen counts half as near


def nearest(known: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The last and the next frame at which something was known, a frame that is known being both.

    Args:
        known: (B, T, J) bool.

    Returns:
        before, after (B, T, J) int64 numbers of frames; and whether there are such (B, T, J) bool. Where there is
        none the number is any frame's.
    """
    count = known.long().cumsum(1)  # frames known so far
    time = torch.ones_like(count).cumsum(1) - 1
    frames = time[:, -1:] + 1
    # place[k] is the frame of the k-th that is known; the others are put at the end, where nobody looks
    blank = torch.zeros_like(count[:, :1])
    place = torch.cat([blank, torch.zeros_like(count), blank], 1)
    place = place.scatter(1, torch.where(known, count, frames + 1), time)
    following = count + (~known).long()
    last = count[:, -1:]
    return (place.gather(1, count), place.gather(1, torch.minimum(following, last)), count > 0, following <= last)


def between(values: Tensor, known: Tensor, memory: int) -> tuple[Tensor, Tensor]:
    """Values on straight lines between the times at which they were known, held beyond the first and the last.

    Args:
        values: (B, T, J, C).
        known: (B, T, J) bool; what stands elsewhere is not looked at.
        memory: Frames beyond which is forgotten what was known; so a long clip can be worked on in pieces.

    Returns:
        values (B, T, J, C), 0 where nothing is known; and (B, T, J, 2) how many frames away the known ones before
        and after are, -1 where there is none.
    """
    before, after, has_before, has_after = nearest(known)
    time = torch.ones_like(before).cumsum(1) - 1
    since, until = (time - before).to(values.dtype), (after - time).to(values.dtype)

    has_before, has_after = has_before & (since <= memory), has_after & (until <= memory)

    def at(frame: Tensor) -> Tensor:
        return values.gather(1, frame[..., None].expand(-1, -1, -1, values.shape[-1]))

    both = has_before & has_after
    share = torch.where(both, since / (since + until).clamp_min(1), (~has_before).to(values.dtype))[..., None]
    zero = torch.zeros_like(values)
    first = torch.where(has_before[..., None], at(before), zero)
    second = torch.where(has_after[..., None], at(after), zero)
    nobody = -torch.ones_like(since)
    away = torch.stack([torch.where(has_before, since, nobody), torch.where(has_after, until, nobody)], -1)
    return first * (1 - share) + second * share, away


def bones_of(raw: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, J, 3) from parent to joint where both were seen, else 0; and (B, T, J) where that is."""
    both = seen & seen[:, :, PARENTS]
    return torch.where(both[..., None], raw - raw[:, :, PARENTS], torch.zeros_like(raw)), both


def carried(
    bones: Tensor, known: Tensor, rest: Tensor, log_rate: Tensor, memory: int
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Bones between the times at which they were seen.

    Args:
        bones: (B, T, J, 3) metres, and ``known`` (B, T, J) where they were seen.
        rest: (J, 3) bones at rest, for those that never were.
        log_rate: (B, T) log of frames per second over 50.
        memory: As for ``between``.

    Returns:
        bones (B, T, J, 3); and how near in time those before and after are (B, T, J, 2), from 1 = now to 0 = never.
    """
    found, away = between(bones, known, memory)
    ever = away >= 0
    near = torch.where(ever, 1 / (1 + away.clamp_min(0) * (-log_rate).exp()[..., None, None] / _HALF_KNOWN), 0.0)
    return torch.where(ever.any(-1, keepdim=True), found, rest.to(found.dtype).expand_as(found)), near.to(found.dtype)


def rooted(raw: Tensor, seen: Tensor, rest: Tensor, memory: int) -> Tensor:
    """Poses about a pelvis that is not taken on trust where it was hidden.

    Raw poses are relative to the lifter's pelvis. Where that is hidden, *every*
    joint has its error. There the seen joints tell where it is, each by how it
    lay to the pelvis when both were seen.

    Args:
        raw: (B, T, J, 3) metres, relative to the lifter's pelvis.
        seen: (B, T, J) bool.
        rest: (J, 3) bones at rest, metres.
        memory: As for ``between``.

    Returns:
        (B, T, J, 3); as given where the pelvis was seen. Moving all joints of a frame whose pelvis is hidden by the
        same way changes nothing.
    """
    upright = [torch.zeros_like(rest[0])]
    for joint, parent in enumerate(H36M_17.parents[1:], 1):
        upright.append(upright[parent] + rest[joint])
    both = seen & seen[:, :, :1]
    lay, away = between(torch.where(both[..., None], raw, torch.zeros_like(raw)), both, memory)
    ever = (away >= 0).any(-1, keepdim=True)
    lay = torch.where(ever, lay, torch.stack(upright).to(raw.dtype).expand_as(lay))
    tells = torch.tensor([[_TELLS.get(name, _TELLS_LITTLE)] for name in H36M_17.joints], dtype=raw.dtype).to(raw.device)
    weight = tells * seen[..., None].to(raw.dtype) * torch.where(ever, 1.0, _AT_REST)
    # hidden joints may hold anything, also no number
    apart = torch.where(seen[..., None], raw - lay, torch.zeros_like(raw))
    pelvis = (weight * apart).sum(2, keepdim=True) / weight.sum(2, keepdim=True).clamp_min(1e-9)
    return torch.where(seen[:, :, :1, None], raw, raw - pelvis)


def placed(raw: Tensor, seen: Tensor, otherwise: Tensor, memory: int) -> tuple[Tensor, Tensor]:
    """Where joints were, relative to the root, between the times at which they were seen.

    Args:
        raw: (B, T, J, 3) from ``rooted``.
        seen: (B, T, J) bool.
        otherwise: (B, T, J, 3) for joints that were never seen.
        memory: As for ``between``.

    Returns:
        places (B, T, J, 3), and whether they were ever seen (B, T, J, 1).
    """
    found, away = between(torch.where(seen[..., None], raw, torch.zeros_like(raw)), seen, memory)
    ever = (away >= 0).any(-1, keepdim=True)
    return torch.where(ever, found, otherwise), ever.to(raw.dtype)


def hung(own: Tensor, bones: Tensor, seen: Tensor, hangs: Tensor | None = None) -> Tensor:
    """Positions from the root outwards: seen joints where they are, hidden ones where they are put or hang.

    Args:
        own: (B, T, J, 3) where each joint is put by itself.
        bones: (B, T, J, 3) from its parent's answer to the joint.
        seen: (B, T, J) bool.
        hangs: (B, T, J, 1) how far a hidden joint follows its bone instead of its own place; wholly if left out.
    """
    found = [torch.zeros_like(own[:, :, 0])]  # the pelvis comes first and is the origin
    for joint, parent in enumerate(H36M_17.parents[1:], 1):
        away = found[parent] + bones[:, :, joint]
        if hangs is not None:
            away = own[:, :, joint] + hangs[:, :, joint] * (away - own[:, :, joint])
        found.append(torch.where(seen[:, :, joint, None], own[:, :, joint], away))
    return torch.stack(found, 2)
