"""Detections beside the truth: frames with nobody, exchanged sides, and errors once these are put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D, Take
from posemend.errors import InputError
from posemend.occlusion.detector import hidden_kind
from posemend.occlusion.error_draw import definition_shift, late, person_size
from posemend.occlusion.error_model import GROUP_OF, GROUPS, ErrorModel

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

SIDES = (("knee", "ankle"), ("elbow", "wrist"))  # what is compared to tell exchanged legs and arms
APART = 0.08  # of the person's size; twins nearer than this in the image cannot be told apart


@dataclass(frozen=True, eq=False)
class Sample:
    """One person seen by one camera, and what a detector said.

    Attributes:
        name: For messages.
        found, score: (T, 17, 2) pixels and (T, 17), 0 = not found.
        exact: (T, 17, 2) pixels, the truth.
        kind: (T, 17) ``VISIBLE``, ``SELF`` or ``OTHER``, the truth.
        camera: (T, 17, 3) joints in camera axes, metres.
        focal: Pixels.
        fps: Frames per second.
    """

    name: str
    found: Floats
    score: Floats
    exact: Floats
    kind: NDArray[np.int8]
    camera: Floats
    focal: float
    fps: float

    @classmethod
    def of(cls, take: Take, found: Pose2D, kind: NDArray[np.int8] | None = None) -> Sample:
        """A take and its detections, cut to the shorter of the two (a frame more or less is usual).

        Without ``kind`` (T, 17), `posemend.occlusion.detector.hidden_kind` says what hides the joints.

        Raises:
            InputError: No camera, another clock, or lengths more than five frames apart.
        """
        view = take.keypoints.camera
        if view is None or take.truth.root is None:
            raise InputError(
                f"'{take.name}' has no camera or no path of the pelvis: its detections cannot be measured."
            )
        kept = min(len(take.truth), len(found))
        # a truth that is cut off on purpose (a recording that freezes) is shorter; detections are never by much
        if len(found) < len(take.truth) - 5 or abs(found.fps - take.truth.fps) > 0.02 * found.fps:
            raise InputError(
                f"'{take.name}' has {len(take.truth)} frames at {take.truth.fps:g} fps, its detections {len(found)} at "
                f"{found.fps:g}. Detect every frame of the same video."
            )
        said = to_skeleton(found, H36M_17)
        camera = take.truth.positions + take.truth.root[:, None]
        return cls(
            take.name, said.positions[:kept], said.score[:kept], take.keypoints.positions[:kept],
            (hidden_kind(take) if kind is None else kind)[:kept], camera[:kept].astype(np.float32), view.focal[0],
            take.truth.fps,
        )  # fmt: skip

    def missed(self) -> Bools:
        """(T,) frames with nobody."""
        return self.score.max(1) <= 0

    def size(self) -> float:
        """The person's size in the image, pixels."""
        return float(person_size(self.exact))


def swapped(sample: Sample) -> tuple[Bools, Bools]:
    """(T, 2) whether legs and arms are exchanged, and (T, 2) whether that could be told."""
    mirror = list(H36M_17.mirror)
    straight = np.linalg.norm(sample.found - sample.exact, axis=-1)
    crossed = np.linalg.norm(sample.found[:, mirror] - sample.exact, axis=-1)
    twins = np.linalg.norm(sample.exact - sample.exact[:, mirror], axis=-1)
    there = sample.score > 0
    told, exchanged = [], []
    for names in SIDES:
        joints = np.isin(GROUP_OF, [GROUPS.index(name) for name in names])
        known = there[:, joints].all(1) & (twins[:, joints].min(1) > APART * sample.size())
        told.append(known)
        exchanged.append(known & (crossed[:, joints].mean(1) < 0.5 * straight[:, joints].mean(1)))
    return np.stack(exchanged, 1), np.stack(told, 1)


def unswapped(sample: Sample) -> Sample:
    """The sample with exchanged legs and arms put right."""
    exchanged, _ = swapped(sample)
    found, score = sample.found.copy(), sample.score.copy()
    mirror = np.array(H36M_17.mirror)
    for place, names in enumerate((("hip", *SIDES[0]), ("shoulder", *SIDES[1]))):
        joints = np.flatnonzero(np.isin(GROUP_OF, [GROUPS.index(name) for name in names]))
        rows = np.flatnonzero(exchanged[:, place])[:, None]
        found[rows, joints] = sample.found[rows, mirror[joints]]
        score[rows, joints] = sample.score[rows, mirror[joints]]
    return replace(sample, found=found, score=score)


def residual(sample: Sample, model: ErrorModel) -> Floats:
    """(T, 17, 2) errors without definition and lag, in shares of the person's size; NaN where nothing was found."""
    meant = sample.exact + definition_shift(model, sample.camera, sample.focal)
    error = (sample.found - late(meant, model.lag_s * sample.fps)) / sample.size()
    return np.where((sample.score > 0)[..., None], error, np.nan).astype(np.float32)


def runs_of(flags: Bools) -> list[int]:
    """Lengths of the runs of True in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [int(b - a) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def share_of(flags: Sequence[Bools], of: int, fps: float) -> tuple[float, float]:
    """Share of ``of`` frames that flags cover, and mean seconds of a run (0.1 where there is none)."""
    lengths = [length for column in flags for length in runs_of(column)]
    return (sum(lengths) / max(of, 1), float(np.mean(lengths)) / fps if lengths else 0.1)
