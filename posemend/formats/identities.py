"""Tracks by the file's own ids, believed as long as they make sense.

When two or more people jump into each other's places from one frame to the
next, their ids were swapped, and are swapped back. A leap that no exchange
explains is reported and left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posemend.formats.detections import Person
from posemend.formats.limits import DEFAULT_FPS
from posemend.formats.notes import tell
from posemend.formats.tracks import GAP, WIDEST_GATE, Track, distance, size_of

SWAP_JUMP, SWAP_GAIN = 0.2, 0.5  # body sizes; exchanged places must explain the jump this much better
FEW_DUPLICATE_IDS = 0.05


def by_id(frames: Sequence[Sequence[Person]], where: str) -> dict[str, Track] | None:
    """Tracks by the file's ids, or ``None`` if it has none that can be used."""
    if any(person.track is None for people in frames for person in people):
        return None
    tracks: dict[str, Track] = {}
    twice = 0
    for frame, people in enumerate(frames):
        for place, person in enumerate(people):
            track = tracks.setdefault(person.track, {})  # type: ignore[arg-type]
            if frame in track:
                twice += 1
                if person.score.sum() <= people[track[frame]].score.sum():
                    continue
            track[frame] = place
    if twice > FEW_DUPLICATE_IDS * sum(len(people) for people in frames):
        tell(f"{where}: the ids do not tell people apart; followed by their position instead.")
        return None
    return tracks


def repair_swaps(
    tracks: dict[str, Track], frames: Sequence[Sequence[Person]], fps: float = DEFAULT_FPS, where: str = "the file"
) -> dict[str, Track]:
    """Undo exchanges of ids: people who jump into each other's places in one frame.

    A warning names every repair, and every leap that no exchange explains.

    Args:
        tracks: Frame → place in that frame's list, by id.
        frames: People of each frame.
        fps: Frames per second.
        where: For messages.
    """
    reach = max(1, round(GAP * fps))
    own = {name: name for name in tracks}  # the file's id -> the person who carries it by now
    last: dict[str, tuple[int, Person]] = {}  # person -> where last seen
    fixed: dict[str, Track] = {name: {} for name in tracks}
    repairs: list[tuple[int, list[str]]] = []
    leaps: list[tuple[str, int]] = []
    by_frame: dict[int, list[tuple[str, Person, int]]] = {}
    for name, track in tracks.items():
        for frame, place in track.items():
            by_frame.setdefault(frame, []).append((name, frames[frame][place], place))
    for frame in sorted(by_frame):
        jumpers = {}
        for name, person, _ in by_frame[frame]:
            known = last.get(own[name])
            if known is not None and frame - known[0] <= reach and SWAP_JUMP < _between(known[1], person) < np.inf:
                jumpers[name] = person
        exchange = _exchange({own[name]: (last[own[name]][1], person) for name, person in jumpers.items()})
        if exchange:
            own = {name: exchange.get(person, person) for name, person in own.items()}
            repairs.append((frame, sorted(exchange)))
        leaps += [(own[name], frame) for name, person in jumpers.items()
                  if _between(last[own[name]][1], person) > WIDEST_GATE]  # fmt: skip
        for name, person, place in by_frame[frame]:
            fixed[own[name]][frame] = place
            last[own[name]] = (frame, person)
    _report(repairs, leaps, where)
    return fixed


def _exchange(jumps: dict[str, tuple[Person, Person]]) -> dict[str, str]:
    """Who is who among people who all jump, from (before, now) of each: only those who exchanged places."""
    from scipy.optimize import linear_sum_assignment

    if len(jumps) < 2:
        return {}
    names = list(jumps)
    table = np.array([[_between(jumps[old][0], jumps[new][1]) for old in names] for new in names])
    rows, columns = linear_sum_assignment(np.minimum(table, 1e3))
    moved = [(row, column) for row, column in zip(rows, columns, strict=True) if row != column]
    stay = sum(table[row, row] for row, _ in moved)
    swap = sum(table[row, column] for row, column in moved)
    return {names[row]: names[column] for row, column in moved} if swap < SWAP_GAIN * stay else {}


def _between(one: Person, other: Person) -> float:
    apart = float(distance(one.xy, one.score, other.xy, other.score))
    return apart / max(size_of(one.xy, one.score), size_of(other.xy, other.score))


def _report(repairs: list[tuple[int, list[str]]], leaps: list[tuple[str, int]], where: str) -> None:
    for frame, names in repairs[:5]:
        tell(f"{where}: ids {', '.join(names)} were swapped in frame {frame}; swapped back.")
    if len(repairs) > 5:
        tell(f"{where}: {len(repairs)} swaps of ids in all; swapped back.")
    if leaps:
        name, frame = leaps[0]
        tell(
            f"{where}: person '{name}' leaps across the picture in frame {frame} ({len(leaps)} such leaps); "
            "the id may belong to two people."
        )
