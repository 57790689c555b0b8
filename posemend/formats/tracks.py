"""Follow people over time: which detection of this frame is which person of the last.

People are matched by the distance of their keypoints, in units of their size,
to where a constant velocity would have brought them; a gap of up to a second
is bridged and a leap ends a track. Files with ids of their own: `identities`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.formats.detections import Person
from posemend.formats.limits import DEFAULT_FPS

GAP = 1.0  # seconds that a person may be lost and still be the same
GATE, GATE_PER_SECOND, WIDEST_GATE = 0.3, 2.0, 1.0  # allowed distance in body sizes
DUPLICATE = 0.05  # two detections closer than this (body sizes) are one person
STRANGE = 0.2  # added to the distance (body sizes) when no joint is shared
STEADY = 0.6  # weight of the old velocity

Track = dict[int, int]  # frame number -> place of the person in that frame's list


def size_of(xy: NDArray[np.floating], score: NDArray[np.floating]) -> float:
    """Diagonal in pixels of the box around the joints that were found, at least 1."""
    found = xy[score > 0]
    return max(1.0, float(np.linalg.norm(np.ptp(found, axis=0)))) if len(found) else 1.0


def sizes_of(xy: NDArray[np.floating], score: NDArray[np.floating]) -> NDArray[np.float64]:
    """`size_of` of many people: (N, J, 2) and (N, J) → (N,)."""
    found = (score > 0)[..., None]
    apart = np.where(found, xy, -np.inf).max(1) - np.where(found, xy, np.inf).min(1)
    return np.maximum(1.0, np.linalg.norm(np.where(np.isfinite(apart), apart, 0.0), axis=-1)).astype(np.float64)


def distance(
    xy_a: NDArray[np.floating], score_a: NDArray[np.floating], xy_b: NDArray[np.floating], score_b: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Mean pixel distance over joints that both have, weighted by score; inf without any. Broadcasts over (..., J)."""
    weight = np.minimum(score_a, score_b).astype(np.float64)
    total = weight.sum(-1)
    apart = (np.linalg.norm(xy_a - xy_b, axis=-1) * weight).sum(-1)
    return np.where(total > 0, apart / np.where(total > 0, total, 1), np.inf)


@dataclass(eq=False)
class _Live:
    """A person being followed; joints out of sight travel along with the rest."""

    track: Track
    last: int
    xy: NDArray[np.float64]
    score: NDArray[np.float32]
    size: float
    velocity: NDArray[np.float64]

    def predicted(self, frame: int) -> NDArray[np.float64]:
        return self.xy + self.velocity * (frame - self.last)

    def take(self, frame: int, place: int, person: Person) -> None:
        steps = frame - self.last
        both = (person.score > 0) & (self.score > 0)
        moved = np.zeros(2)
        if both.any():
            moved = np.median(person.xy[both] - self.xy[both], axis=0)
            self.velocity = STEADY * self.velocity + (1 - STEADY) * moved / steps
        seen = person.score > 0
        self.xy = np.where(seen[:, None], person.xy, self.xy + moved)
        self.score = np.where(seen, person.score, self.score)
        self.size = 0.9 * self.size + 0.1 * max(size_of(person.xy, person.score), 0.5 * self.size)
        self.track[frame] = place
        self.last = frame


def link(frames: Sequence[Sequence[Person]], fps: float = DEFAULT_FPS) -> list[Track]:
    """Follow people through a clip by geometry alone; the file's ids are not looked at.

    Args:
        frames: People of each frame, in any order.
        fps: Frames per second.

    Returns:
        One dict per person, frame → place in that frame's list, in order of
        first appearance. Every detection is in exactly one of them.
    """
    simple = _single(frames, fps)
    if simple is not None:
        return [simple]
    from scipy.optimize import linear_sum_assignment

    tracks: list[Track] = []
    live: list[_Live] = []
    for frame, people in enumerate(frames):
        live = [one for one in live if frame - one.last <= max(1, round(GAP * fps))]
        free = set(range(len(people)))
        if people and live:
            cost = _costs(live, people, frame, fps)
            for row, place in zip(*linear_sum_assignment(np.minimum(cost, 1e3)), strict=True):
                if np.isfinite(cost[row, place]):
                    live[row].take(frame, int(place), people[place])
                    free.discard(int(place))
        for place in sorted(free):
            person = people[place]
            xy = np.where(person.score[:, None] > 0, person.xy, np.median(person.xy[person.score > 0], axis=0)
                          if (person.score > 0).any() else 0.0)  # fmt: skip
            tracks.append({frame: place})
            size = size_of(person.xy, person.score)
            live.append(_Live(tracks[-1], frame, xy.astype(np.float64), person.score, size, np.zeros(2)))
    return tracks


def _costs(live: list[_Live], people: Sequence[Person], frame: int, fps: float) -> NDArray[np.float64]:
    """(N, M) distances in body sizes; inf where a person cannot have come from there."""
    xy = np.stack([person.xy for person in people])
    score = np.stack([person.score for person in people])
    sizes = sizes_of(xy, score)
    apart = distance(
        np.stack([one.predicted(frame) for one in live])[:, None], np.stack([one.score for one in live])[:, None],
        xy[None], score[None],
    )  # fmt: skip
    cost = apart / np.maximum(np.array([one.size for one in live])[:, None], sizes[None])
    for row, column in np.argwhere(~np.isfinite(cost)):  # no joint in common, such as a head and then two legs
        one, person = live[row], people[column]
        gap = _gap(one.predicted(frame)[one.score > 0], person.xy[person.score > 0])
        cost[row, column] = STRANGE + gap / max(one.size, sizes[column])
    seconds = np.array([frame - one.last for one in live]) / fps
    return np.where(cost <= np.minimum(GATE + GATE_PER_SECOND * seconds, WIDEST_GATE)[:, None], cost, np.inf)


def _gap(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Distance between the boxes around two sets of points; 0 where they touch, inf for an empty one."""
    if not len(one) or not len(other):
        return np.inf
    apart = np.maximum(one.min(0) - other.max(0), other.min(0) - one.max(0))
    return float(np.linalg.norm(np.maximum(apart, 0)))


def _single(frames: Sequence[Sequence[Person]], fps: float) -> Track | None:
    """The one person of a clip that never shows two and never leaps: the usual case, without a loop of matchings."""
    if any(len(people) > 1 for people in frames):
        return None
    where = [frame for frame, people in enumerate(frames) if people]
    if not where:
        return None
    xy = np.stack([frames[frame][0].xy for frame in where])
    score = np.stack([frames[frame][0].score for frame in where])
    sizes = sizes_of(xy, score)
    cost = distance(xy[1:], score[1:], xy[:-1], score[:-1]) / np.maximum(sizes[1:], sizes[:-1])
    seconds = np.diff(where) / fps
    calm = (cost <= np.minimum(GATE + GATE_PER_SECOND * seconds, WIDEST_GATE)) & (seconds <= max(GAP, 1.0 / fps))
    return dict.fromkeys(where, 0) if calm.all() else None


def without_duplicates(people: list[Person]) -> list[Person]:
    """One detection per person: of two in the same place the surer one stays."""
    if len(people) < 2:
        return people
    xy, score = np.stack([one.xy for one in people]), np.stack([one.score for one in people])
    sizes = sizes_of(xy, score)
    close = distance(xy[:, None], score[:, None], xy[None], score[None]) < DUPLICATE * np.maximum(sizes[:, None], sizes)
    kept: list[int] = []
    for place in np.argsort(-score.sum(1), kind="stable"):
        if not close[place, kept].any():
            kept.append(int(place))
    return [people[place] for place in sorted(kept)]
