"""People on film: clips of 2D keypoints, with or without the 3D behind them.

What a person without labels gives is *footage*: a finite number of clips, each
by one camera, of which nobody knows more than the keypoints. Three sources make
it: takes of a data set with cameras, motion capture filmed once by virtual
cameras, and a user's own keypoint files. Everything that a camera adds
(direction, distance, what is hidden, how the detector errs) is drawn once per
clip, when the film is made; a second look gives no second draw. Labelled people
have the same footage and its truth.

Clips by several cameras of the same moment form a *group*: what multi-view
pseudo-labels are made from.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D, Take
from posemend.contract.codec import interleave, rays_of, trusted_score
from posemend.datasets.packs import Motion
from posemend.errors import InputError
from posemend.geometry.align import similarity
from posemend.geometry.camera import Camera
from posemend.training.hiding import Hiding, behind_box, behind_trunk, outside, spans, spoil
from posemend.training.vary import MIRROR
from posemend.training.views import Seen, Views, look, project

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

SECONDS = 6.0  # length of a filmed piece
SHORTEST = 8  # frames; a clip below that is no clip
FPS = 25.0  # of virtual cameras


@dataclass(frozen=True)
class Footage:
    """C clips, N frames in all.

    Attributes:
        rays: (N, 17, 2) keypoints over the focal length, as the detector gave them.
        score: (N, 17) as networks read them; 0 = absent.
        hidden: (N, 17) truly hidden; all False where nobody knows.
        camera: (N, 17, 3) truth in camera axes, metres; 0 where there is none.
        start: (C,) first frame.
        length: (C,) frames.
        fps: (C,)
        half: (C,) half the image's width, in rays.
        known: (C,) 1 where the focal length is the true one.
        group: (C,) number of the moment; clips of one group have one length.
        outer: (C, 3, 4) world to camera, for groups; 0 where the camera's place is not known.
        name: (C,) who.
    """

    rays: Floats
    score: Floats
    hidden: Bools
    camera: Floats
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    fps: Floats
    half: Floats
    known: Floats
    group: NDArray[np.int64]
    outer: NDArray[np.float64]
    name: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def frames(self) -> int:
        """Frames in all."""
        return len(self.rays)

    @classmethod
    def joined(cls, parts: Sequence[Footage], apart: bool = True) -> Footage:
        """Several footages as one; ``apart``: a group of one has nothing to do with a group of another.

        Raises:
            InputError: None of them has a clip.
        """
        parts = [part for part in parts if len(part)]
        if not parts:
            raise InputError("There is no footage: not one clip of eight frames or more in which joints are seen.")
        table = {field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)}
        frames = np.cumsum([0, *(part.frames for part in parts)])
        groups = np.cumsum([0, *(int(part.group.max()) + 1 for part in parts)])
        table["start"] = np.concatenate([part.start + at for part, at in zip(parts, frames, strict=False)])
        if apart:
            table["group"] = np.concatenate([part.group + at for part, at in zip(parts, groups, strict=False)])
        return cls(**table)

    def clips(self, which: NDArray[np.integer]) -> Footage:
        """Some of the clips."""
        rows = np.concatenate([np.arange(self.start[c], self.start[c] + self.length[c]) for c in which])
        per_frame = {name: getattr(self, name)[rows] for name in ("rays", "score", "hidden", "camera")}
        per_clip = {name: getattr(self, name)[which] for name in ("length", "fps", "half", "known", "outer", "name")}
        start = np.concatenate([[0], np.cumsum(per_clip["length"])[:-1]]).astype(np.int64)
        _, group = np.unique(self.group[which], return_inverse=True)
        return Footage(**per_frame, **per_clip, start=start, group=group.astype(np.int64))

    def groups_of(self, size: int, calibrated: bool = True) -> list[NDArray[np.int64]]:
        """Clips of each moment that at least ``size`` placed (and calibrated) cameras saw."""
        placed = (self.outer != 0).any((1, 2)) & ((self.known > 0) | (not calibrated))
        order = np.argsort(self.group, kind="stable")
        order = order[placed[order]]
        cuts = np.flatnonzero(np.diff(self.group[order])) + 1
        return [part for part in np.split(order, cuts) if len(part) >= size]


def of_clip(
    rays: Floats, score: Floats, fps: float, half: float, known: bool, name: str, group: int = 0,
    hidden: Bools | None = None, camera: Floats | None = None, outer: NDArray[np.float64] | None = None,
) -> Footage:  # fmt: skip
    """Footage of one clip."""
    frames = len(rays)
    return Footage(
        rays.astype(np.float32), score.astype(np.float32),
        np.zeros((frames, 17), bool) if hidden is None else hidden,
        np.zeros((frames, 17, 3), np.float32) if camera is None else camera.astype(np.float32),
        np.zeros(1, np.int64), np.array([frames]), np.array([fps], np.float32), np.array([half], np.float32),
        np.array([known], np.float32), np.array([group]), np.zeros((1, 3, 4)) if outer is None else outer[None],
        np.array([name]),
    )  # fmt: skip


def _seed(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _filmed(
    seen: Seen, hidden: Bools, fps: float, hiding: Hiding, rng: np.random.Generator, group: int,
    outer: Sequence[NDArray[np.float64] | None], name: str,
) -> list[Footage]:  # fmt: skip
    """What a detector makes of exact images (B cameras), once and for all."""
    hidden = hidden | outside(seen)
    rays, score, truly = spoil(seen, hidden, fps, hiding, rng)
    return [
        of_clip(rays[b], score[b], fps, float(seen.half[b, 0]), bool(seen.calibrated[b]), name, group,
                truly[b], seen.camera[b], outer[b])
        for b in range(len(rays))
    ]  # fmt: skip


def film_motions(
    motions: Sequence[Motion], cameras: int, views: Views, hiding: Hiding, seed: int, seconds: float = SECONDS
) -> Footage:
    """Each motion, cut into pieces, filmed by a few virtual cameras of its own.

    Args:
        motions: World axes, metres, z up.
        cameras: How many see each piece at once.
        views: Which cameras are drawn.
        hiding: What hides joints, and how the detector errs.
        seed: Of all chance, together with the motion's name.
        seconds: Longest piece.
    """
    parts: list[Footage] = []
    group = 0
    for motion in motions:
        rng = _seed(seed, f"{motion.source}/{motion.name}")
        step = max(1, round(motion.fps / FPS))
        fps = motion.fps / step
        positions = motion.positions[::step]
        length = max(SHORTEST, round(seconds * fps))
        for first in range(0, len(positions), length):
            piece = positions[first : first + length]
            if len(piece) < SHORTEST:
                continue
            path = np.repeat(piece[None, :, 0], cameras, 0)
            relative = np.repeat(piece[None] - piece[None, :, :1], cameras, 0)
            seen = look(relative, path, views, rng)
            hidden = (
                spans(cameras, len(piece), fps, hiding, rng) | behind_box(seen, rng) | behind_trunk(seen, rng)
            )  # fmt: skip
            # where a virtual camera stands follows from what it sees, as bodies are rigid in both
            flat = piece.reshape(1, -1, 3).astype(np.float64)
            _, rotation, shift = similarity(np.repeat(flat, cameras, 0), seen.camera.reshape(cameras, -1, 3))
            outer = np.concatenate([rotation, shift[..., None]], -1)
            parts += _filmed(seen, hidden, fps, hiding, rng, group, list(outer), f"{motion.source}/{motion.subject}")
            group += 1
    return Footage.joined(parts, apart=False)


def film_takes(takes: Sequence[Take], hiding: Hiding, seed: int, source: str) -> Footage:
    """Takes by real (or rendered) calibrated cameras, cut at their cuts; their true flags hide joints.

    Raises:
        InputError: A take without a camera or a root trajectory.
    """
    parts: list[Footage] = []
    numbers: dict[tuple[str, str, int], int] = {}
    for take in takes:
        view = take.keypoints.camera
        if view is None or take.truth.root is None:
            raise InputError(f"Take {take.name} wants a camera and a root trajectory to be footage with truth.")
        points = take.truth.positions + take.truth.root[:, None]
        longer = max(view.width, view.height)
        ratio = np.array([view.focal[0] / longer], np.float32)
        shape = np.array([[view.width / longer, view.height / longer]], np.float32)
        outer = np.concatenate([view.rotation, view.translation[:, None]], -1)
        edges = [0, *take.cuts, len(take.truth)]
        for number, (first, last) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            if last - first < SHORTEST:
                continue
            group = numbers.setdefault((take.subject, take.action, number), len(numbers))
            seen = project(points[None, first:last], ratio, shape, np.ones(1, bool))
            hidden = ~take.truth.visible[None, first:last]
            rng = _seed(seed, f"{take.name}/{number}")
            parts += _filmed(
                seen, hidden, take.truth.fps, hiding, rng, group, [outer], f"{source}/{take.subject}"
            )  # fmt: skip
    return Footage.joined(parts, apart=False)


def of_keypoints(people: Sequence[Pose2D], groups: Sequence[int] | None = None) -> Footage:
    """A user's own keypoints, without any truth.

    Args:
        people: Pixels; a camera, or the image's size, must be known.
        groups: Number of the moment of each, where calibrated cameras saw one person at once.

    Raises:
        InputError: Nothing to learn from: no joint is seen, one frame only, or no pelvis and no hips.
    """
    parts = []
    for place, person in enumerate(people):
        label = person.name or f"clip {place}"
        if len(person) < SHORTEST:
            raise InputError(
                f"{label} has {len(person)} frame{'s' if len(person) > 1 else ''}; learning from keypoints alone wants "
                f"clips of {SHORTEST} frames or more, since the motion is what teaches."
            )
        if not (person.score > 0).any():
            raise InputError(
                f"{label}: every joint is hidden in every frame (all scores are 0). Nothing can be learnt."
            )
        body = to_skeleton(person, H36M_17)
        if not (body.score[:, 0] > 0).any():
            raise InputError(
                f"{label}: skeleton '{person.skeleton.name}' gives no pelvis and no hips, so poses have no root. "
                "Wanted keypoints with hips."
            )
        rays, known = rays_of(body)
        width = body.camera.width if body.camera is not None else body.width
        focal = body.camera.focal[0] if body.camera is not None else 0.9 * max(body.width or 1, body.height or 1)
        outer = None if body.camera is None or groups is None else _outer(body.camera)
        score = trusted_score(body)
        step = interleave(body.fps)
        for part in range(step):  # very high frame rates, as they are run
            parts.append(
                of_clip(rays[part::step], score[part::step], body.fps / step, 0.5 * (width or 1) / focal, known, label,
                        (place if groups is None else groups[place]) * step + part, outer=outer)
            )  # fmt: skip
    return Footage.joined(parts, apart=False)


def _outer(camera: Camera) -> NDArray[np.float64]:
    return np.concatenate([camera.rotation, camera.translation[:, None]], -1)


@dataclass(frozen=True)
class Windows:
    """Pieces of footage of one length: (B, T, ...) of what Footage holds, and which frames they are."""

    rays: Floats
    score: Floats
    hidden: Bools
    camera: Floats
    fps: Floats
    half: Floats
    known: Floats
    rows: NDArray[np.int64]
    flipped: Bools


def windows(footage: Footage, rng: np.random.Generator, count: int, frames: int) -> Windows:
    """Random windows, longer clips more often, half of them mirrored; short clips are held at their end."""
    chance = footage.length / footage.length.sum()
    chosen = rng.choice(len(footage), count, p=chance)
    first = (rng.random(count) * (np.maximum(footage.length[chosen] - frames, 0) + 1)).astype(np.int64)
    at = np.minimum(first[:, None] + np.arange(frames), footage.length[chosen][:, None] - 1)
    rows = footage.start[chosen][:, None] + at
    flip = rng.random(count) < 0.5
    cut = Windows(
        footage.rays[rows], footage.score[rows], footage.hidden[rows], footage.camera[rows], footage.fps[chosen],
        footage.half[chosen], footage.known[chosen], rows, flip,
    )  # fmt: skip
    rays, camera = mirrored(cut.rays, flip), mirrored(cut.camera, flip)
    return replace(cut, rays=rays, camera=camera, score=swapped(cut.score, flip), hidden=swapped(cut.hidden, flip))


def mirrored(points: Floats, flip: Bools) -> Floats:
    """(B, T, 17, C) with some samples as in a mirror: x negated, left and right exchanged."""
    points = points.copy()
    points[flip] = points[flip][:, :, MIRROR]
    points[flip, ..., 0] *= -1
    return points


def swapped(values: NDArray, flip: Bools) -> NDArray:
    """(B, T, 17) with left and right exchanged in some samples."""
    values = values.copy()
    values[flip] = values[flip][:, :, MIRROR]
    return values
