"""Recorded motion in, training batches out: the endless data of the lifters.

A batch depends on nothing but the recipe, the seed and its number. So a run
that was killed goes on exactly where it stopped, however batches are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Take
from posemend.contract.codec import encode, turn
from posemend.training.hiding import Hiding, behind_box, behind_trunk, outside, spans, spoil
from posemend.training.motions import Pool
from posemend.training.rays import Rays, by_rays
from posemend.training.vary import MIRROR, Variety, definition_offsets, vary
from posemend.training.views import Seen, Views, look, project

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """One step's data.

    Attributes:
        joints: (B, T, 17, 3) codec output.
        clip: (B, T, 5) codec output.
        target: (B, T, 17, 3) truth, root-relative, virtual-camera axes, metres.
        hidden: (B, T, 17) which joints were hidden.
        rotation: (B, T, 3, 3) camera to virtual camera.
        rays: (B, T, 17, 2) what was given, for lifters with another input.
        score: (B, T, 17) likewise.
        half: (B,) half the image's width in the unit of ``rays``.
        distance: (B, T) true distance from camera to pelvis, metres.
        fps: Frame rate of all samples that virtual cameras see; of all samples if none do.
    """

    joints: Floats
    clip: Floats
    target: Floats
    hidden: Bools
    rotation: Floats
    rays: Floats
    score: Floats
    half: Floats
    distance: Floats
    fps: float

    @property
    def raw(self) -> Floats | None:
        """The 3D pose that a refiner is given; lifters are given none."""
        return None

    def inputs(self) -> tuple[Floats, Floats]:
        """What the network is given."""
        return self.joints, self.clip


@dataclass(frozen=True)
class Window:
    """Recorded samples.

    Attributes:
        seen: What the cameras saw.
        hidden: (B, T, 17) the true flags.
        given: (B, T, 17, 3) what a detector found, in rays, and its score; ``None`` where exact projections are given.
        aside: (B, 2) rays from the middle of the image to the optical axis: lifters that read joints relative to the
            image are given ``(rays + aside) / half``.
    """

    seen: Seen
    hidden: Bools
    given: Floats | None
    aside: Floats


@dataclass(frozen=True)
class Recordings:
    """Takes by real (or rendered) cameras, with their true flags, in one array.

    ``given`` is what a detector found in them, where that is what a network
    shall be given: tangents x, y of the angles to the optical axis, and score.
    """

    camera: Floats  # (N, 17, 3) camera axes, metres
    hidden: Bools  # (N, 17)
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    fps: Floats
    ratio: Floats
    shape: Floats
    given: Floats | None = None  # (N, 17, 3)
    aside: Floats | None = None  # per piece: tangents from the middle of the image to the optical axis

    @classmethod
    def of(cls, takes: Sequence[Take]) -> Recordings:
        """Cut takes at their cuts and join them."""
        camera, hidden, length, fps, ratio, shape, aside = [], [], [], [], [], [], []
        for take in takes:
            view = take.keypoints.camera
            if view is None or take.truth.root is None:
                raise ValueError(f"take {take.name} wants a camera and a root trajectory to train on")
            points = take.truth.positions + take.truth.root[:, None]
            longer = max(view.width, view.height)
            edges = [0, *take.cuts, len(take.truth)]
            for first, last in zip(edges[:-1], edges[1:], strict=True):
                if last - first < 20:
                    continue
                camera.append(points[first:last])
                hidden.append(~take.truth.visible[first:last])
                length.append(last - first)
                fps.append(take.truth.fps)
                ratio.append(view.focal[0] / longer)
                shape.append((view.width / longer, view.height / longer))
                middle = np.array([view.width, view.height]) / 2
                aside.append((np.array(view.centre) - middle) / np.array(view.focal))
        lengths = np.array(length)
        return cls(
            np.concatenate(camera).astype(np.float32),
            np.concatenate(hidden),
            np.concatenate([[0], np.cumsum(lengths)[:-1]]),
            lengths,
            np.array(fps, np.float32),
            np.array(ratio, np.float32),
            np.array(shape, np.float32),
            aside=np.array(aside, np.float32),
        )

    def rate(self, rng: np.random.Generator) -> float:
        """A frame rate that is recorded, the usual ones more often."""
        rates = np.unique(self.fps)
        if len(rates) == 1:
            return float(rates[0])
        frames = np.array([self.length[self.fps == rate].sum() for rate in rates])
        return float(rng.choice(rates, p=frames / frames.sum()))

    def windows(self, rng: np.random.Generator, count: int, frames: int, calibrated: float) -> tuple[Seen, Bools]:
        """Random windows at the recorded frame rate, half of them mirrored."""
        window = self.window(rng, count, frames, calibrated, float(self.fps[0]))
        return window.seen, window.hidden

    def window(self, rng: np.random.Generator, count: int, frames: int, calibrated: float, fps: float) -> Window:
        """Random windows of the recordings with that frame rate, half of them mirrored."""
        weight = self.length * (self.fps == np.float32(fps))
        chosen = rng.choice(len(self.length), count, p=weight / weight.sum())
        first = (rng.random(count) * np.maximum(self.length[chosen] - frames, 0)).astype(np.int64)
        at = np.minimum(first[:, None] + np.arange(frames), self.length[chosen][:, None] - 1)
        rows = self.start[chosen][:, None] + at
        camera, hidden = self.camera[rows], self.hidden[rows]
        flip = rng.random(count) < 0.5
        camera[flip] = camera[flip][:, :, MIRROR] * np.array([-1, 1, 1], np.float32)
        hidden[flip] = hidden[flip][:, :, MIRROR]
        seen = project(camera, self.ratio[chosen], self.shape[chosen], rng.random(count) < calibrated)
        aside = np.zeros((count, 2), np.float32) if self.aside is None else self.aside[chosen] * seen.told[:, None]
        aside[flip, 0] *= -1
        if self.given is None:
            return Window(seen, hidden, None, aside)
        given = self.given[rows]
        given[flip] = given[flip][:, :, MIRROR] * np.array([-1, 1, 1], np.float32)
        given[..., :2] *= seen.told[:, None, None, None]
        return Window(seen, hidden, given, aside)


@dataclass(frozen=True)
class Source:
    """Everything that makes batches.

    Attributes:
        pool: Motions for virtual cameras, ``None`` where all samples are recorded.
        recordings: Takes with real cameras and flags, or ``None``.
        recorded: Share of samples that come from ``recordings``.
        size: Samples per batch.
        frames: Frames per sample.
        variety, views, hiding: How samples are made.
        seed: Of all chance.
        rays: How many samples are hidden by rays, and by what.
    """

    pool: Pool | None
    recordings: Recordings | None
    recorded: float
    size: int
    frames: int
    variety: Variety
    views: Views
    hiding: Hiding
    seed: int
    rays: Rays = Rays(share=0.0)

    def batch(self, number: int) -> Batch:
        """Batch ``number``, always the same."""
        rng = np.random.default_rng([self.seed, number])
        fps = float(np.exp(rng.uniform(np.log(18), np.log(60))))
        recorded = round(self.size * self.recorded) if self.recordings is not None else 0
        parts = []
        if self.pool is not None and recorded < self.size:
            positions, path = vary(self.pool.windows(rng, self.size - recorded, self.frames, fps), self.variety, rng)
            seen = look(positions, path, self.views, rng)
            traced = round(len(positions) * self.rays.share)  # samples come in random order, so the first are any
            hidden = self._by_spans(seen.rows(np.arange(traced, len(positions))), fps, rng)
            if traced:
                hidden = np.concatenate([by_rays(seen.rows(np.arange(traced)), self.rays, rng), hidden])
            parts.append(self._sample(seen, hidden, fps, rng))
        if self.recordings is not None and recorded:
            rate = self.recordings.rate(rng)
            fps = fps if parts else rate
            parts.append(self._recorded(self.recordings, recorded, rate, rng))
        return Batch(*(np.concatenate(part) for part in zip(*parts, strict=True)), fps=fps)  # type: ignore[arg-type, misc]

    def _by_spans(self, seen: Seen, fps: float, rng: np.random.Generator) -> Bools:
        count = len(seen.camera)
        return spans(count, self.frames, fps, self.hiding, rng) | behind_box(seen, rng) | behind_trunk(seen, rng)

    def _recorded(
        self, recordings: Recordings, count: int, rate: float, rng: np.random.Generator
    ) -> tuple[NDArray, ...]:
        window = recordings.window(rng, count, self.frames, self.views.calibrated, rate)
        if window.given is None:
            more = spans(count, self.frames, rate, self.hiding, rng) & (rng.random((count, 1, 1)) < 0.5)
            return self._sample(window.seen, window.hidden | more, rate, rng)
        rays, score = window.given[..., :2].copy(), window.given[..., 2].copy()
        nothing = score.max((1, 2)) == 0  # nobody is lifted from nothing
        rays[nothing], score[nothing] = window.seen.rays[nothing], 1
        return self._coded(window.seen, rays, score, window.hidden, rate)

    def _sample(self, seen: Seen, hidden: Bools, fps: float, rng: np.random.Generator) -> tuple[NDArray, ...]:
        hidden = hidden | outside(seen)
        given = seen
        if self.variety.definition > 0:
            # half of the detectors put joints elsewhere than the truth has them
            rows = np.flatnonzero(rng.random(len(hidden)) < 0.5)
            offset = definition_offsets(seen.camera[rows], self.variety.definition * 0.7, rng)
            far: Floats = np.maximum(seen.camera[rows][..., 2:], 0.5)
            offset = offset[..., :2] / far * seen.told[rows, None, None, None]
            rays = seen.rays.copy()
            rays[rows] += offset
            given = replace(seen, rays=rays)
        rays, score, truly = spoil(given, hidden, fps, self.hiding, rng)
        return self._coded(seen, rays, score, truly, fps)

    def _coded(self, seen: Seen, rays: Floats, score: Floats, truly: Bools, fps: float) -> tuple[NDArray, ...]:
        code = encode(rays, score, fps, seen.calibrated)
        target = turn(seen.camera - seen.camera[:, :, :1], code.rotation)
        distance = np.linalg.norm(seen.camera[:, :, 0], axis=-1)
        return code.joints, code.clip, target, truly, code.rotation, rays, score, seen.half[:, 0], distance
