"""From the people of each frame to one `Pose2D` per person, all on the clip's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from posemend.body.pose import Pose2D
from posemend.errors import InputError
from posemend.formats.detections import MAX_CELLS, Detections, Person
from posemend.formats.identities import by_id, repair_swaps
from posemend.formats.notes import tell
from posemend.formats.tracks import GAP, Track, link, size_of, without_duplicates

SIMILAR = 2.0  # ratio of sizes up to which a person who left and one who came are the same
JUNK_SHARE, JUNK_FRAMES = 0.05, 10


def _joined(tracks: list[Track], frames: Sequence[Sequence[Person]], fps: float) -> list[Track]:
    """Pieces of one person who was out of sight for long: only where nobody else is ever there."""
    tracks = sorted(tracks, key=min)
    result = tracks[:1]
    for track in tracks[1:]:
        before = result[-1]
        if min(track) <= max(before):
            return tracks  # two people at once: who came back cannot be told
        old, new = (frames[at][one[at]] for one, at in ((before, max(before)), (track, min(track))))
        ratio = size_of(old.xy, old.score) / size_of(new.xy, new.score)
        if min(track) - max(before) > GAP * fps and 1 / SIMILAR < ratio < SIMILAR:
            result[-1] = before | track
        else:
            result.append(track)
    return result


def _without_junk(tracks: dict[str, Track], length: int, where: str) -> dict[str, Track]:
    kept = {name: track for name, track in tracks.items()
            if len(track) >= JUNK_FRAMES or len(track) >= JUNK_SHARE * length}  # fmt: skip
    if kept and len(kept) < len(tracks):
        tell(
            f"{where}: left out {len(tracks) - len(kept)} short tracks (under {JUNK_FRAMES} frames and under "
            f"{JUNK_SHARE:.0%} of the clip)."
        )
    return kept or tracks


def people(found: Detections, fps: float, where: str) -> list[Pose2D]:
    """Everybody in a clip, on one clock, the one who is seen most first.

    Names are the file's ids, or ``p0``, ``p1``, … when people were followed here.

    Raises:
        InputError: Nobody anywhere, or too many people over too many frames.
    """
    if found.stills:
        return _stills(found, fps, where)
    frames = [[one for one in people if (one.score > 0).any()] for people in found.frames]
    if not any(frames):
        raise InputError(f"{where}: all joints are missing in all {len(frames)} frames: nothing to lift.")
    named = by_id(frames, where)
    if named is not None:
        tracks = _without_junk(repair_swaps(named, frames, fps, where), len(frames), where)
    else:
        frames = [without_duplicates(people) for people in frames]
        linked = {str(number): track for number, track in enumerate(link(frames, fps))}
        whole = _joined(list(_without_junk(linked, len(frames), where).values()), frames, fps)
        tracks = {str(number): track for number, track in enumerate(whole)}
    tracks = {name: track for name, track in tracks.items() if track}
    if len(tracks) * len(frames) * len(found.skeleton) > MAX_CELLS:
        raise InputError(
            f"{where}: {len(tracks)} people over {len(frames)} frames are too much for one clip. Split the recording."
        )
    poses = [_pose(found, frames, track, fps, name) for name, track in tracks.items()]
    poses.sort(key=lambda pose: -float(pose.score.sum()))
    return poses if named is not None else [replace(pose, name=f"p{rank}") for rank, pose in enumerate(poses)]


def _pose(found: Detections, frames: Sequence[Sequence[Person]], track: Track, fps: float, name: str) -> Pose2D:
    shape = (len(frames), len(found.skeleton))
    xy, score = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    visible = np.zeros(shape, bool)
    for frame, place in track.items():
        person = frames[frame][place]
        xy[frame], score[frame] = person.xy, person.score
        visible[frame] = person.score > 0 if person.visible is None else person.visible
    return Pose2D(xy, found.skeleton, score, visible, fps, found.width, found.height, name=name)


def _stills(found: Detections, fps: float, where: str) -> list[Pose2D]:
    """Everybody in every picture, each a clip of one frame."""
    poses = []
    for picture, people in enumerate(found.frames):
        width, height = found.sizes[picture] if found.sizes else (found.width, found.height)
        own = replace(found, width=width, height=height)
        label = found.labels[picture] if found.labels else str(picture)
        poses += [_pose(own, [people], {0: place}, fps, f"{label}/{place}") for place in range(len(people))]
    if not poses:
        raise InputError(f"{where}: nobody in any of {len(found.frames)} pictures: nothing to lift.")
    tell(f"{where}: separate pictures, not a clip; every person is a clip of one frame.")
    return poses
