"""Footage: one film per camera, with nothing in it but what a camera gives; pseudo-labels that are right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D
from posemend.body.skeleton import Skeleton
from posemend.datasets import blendmimic3d
from posemend.datasets.procedural import generate
from posemend.errors import InputError
from posemend.training.footage import Footage, film_motions, film_takes, of_keypoints, windows
from posemend.training.hiding import Hiding
from posemend.training.pseudo import pseudo_labels
from posemend.training.views import Views
from posemend.training.weak import lengths_of, some, world_motions

EXACT = Hiding(exact=1, flagged=0, missing=0, detector=0)
DETECTOR = Hiding(exact=0, flagged=0, missing=0, detector=1)
MOTIONS = [generate(seed, 14.0) for seed in (1, 2)]


def film(hiding: Hiding = EXACT, cameras: int = 3) -> Footage:
    return film_motions(MOTIONS, cameras, Views(calibrated=1.0), hiding, seed=5)


def test_motion_is_filmed_once_by_cameras_of_one_moment() -> None:
    one, other = film(DETECTOR), film(DETECTOR)
    np.testing.assert_array_equal(one.rays, other.rays)  # a second look gives no second draw
    assert len(one) == 2 * 3 * 3 and one.frames == one.length.sum()
    assert {len(clips) for clips in one.groups_of(2)} == {3}
    assert set(one.name) == {"procedural/seed1", "procedural/seed2"}
    assert (one.fps == 25).all() and one.length.max() == 150
    exact = film()
    np.testing.assert_allclose(exact.rays, exact.camera[..., :2] / exact.camera[..., 2:], atol=1e-5)
    assert np.abs(one.rays - exact.rays).mean() > 1e-3
    for clips in exact.groups_of(3):  # one moment: the same person in the world
        rows = [slice(exact.start[c], exact.start[c] + exact.length[c]) for c in clips]
        world = [
            (exact.camera[r] - exact.outer[c, :, 3]) @ exact.outer[c, :, :3] for c, r in zip(clips, rows, strict=True)
        ]
        np.testing.assert_allclose(world[1], world[0], atol=1e-4)


def test_world_motions_are_the_motions() -> None:
    found = world_motions(film())
    np.testing.assert_allclose(found[0].positions, MOTIONS[0].positions[::2][:150], atol=1e-4)
    assert len(found) == 6 and found[0].fps == 25


def test_windows_stay_inside_clips_and_mirror_both_sides_alike() -> None:
    footage = film()
    cut = windows(footage, np.random.default_rng(0), 64, 40)
    clip = np.searchsorted(footage.start, cut.rows, side="right") - 1
    assert (clip == clip[:, :1]).all()
    assert (np.diff(cut.rows) >= 0).all() and 0 < cut.flipped.mean() < 1
    np.testing.assert_allclose(cut.rays, cut.camera[..., :2] / cut.camera[..., 2:], atol=1e-5)
    plain = footage.camera[cut.rows]
    np.testing.assert_array_equal(cut.camera[~cut.flipped], plain[~cut.flipped])
    turned = plain[cut.flipped][:, :, list(H36M_17.mirror)] * [-1, 1, 1]
    np.testing.assert_allclose(cut.camera[cut.flipped], turned, atol=1e-7)


def test_pseudo_labels() -> None:
    footage = film()
    positions, weight = pseudo_labels(footage)
    assert weight.min() > 0.9
    np.testing.assert_allclose(positions, footage.camera, atol=1e-4)
    noisy = film(DETECTOR, cameras=4)
    positions, weight = pseudo_labels(noisy)
    error = np.linalg.norm(positions - noisy.camera, axis=-1)
    believed = weight > np.quantile(weight[weight > 0], 0.5)
    assert error[believed].mean() < 0.5 * error[(weight > 0) & ~believed].mean()  # weights know where errors are
    with pytest.raises(InputError, match="none.*cameras = 2"):
        pseudo_labels(film(cameras=1))
    crossed = replace(footage, outer=footage.outer[[*range(1, len(footage)), 0]])
    with pytest.raises(InputError, match="cameras contradict the 2D"):
        pseudo_labels(crossed)


def test_a_share_of_the_labels_is_that_share() -> None:
    footage = film()
    kept, rest = some(footage, 0.1, seed=1)
    moments = footage.frames / 3
    assert kept.frames / 3 == pytest.approx(0.1 * moments, abs=1)
    assert rest is not None
    assert rest.frames < footage.frames
    np.testing.assert_allclose(kept.rays, kept.camera[..., :2] / kept.camera[..., 2:], atol=1e-5)
    again, _ = some(footage, 0.1, seed=1)
    np.testing.assert_array_equal(kept.rays, again.rays)
    assert not np.array_equal(some(footage, 0.1, seed=2)[0].rays, kept.rays)
    assert some(footage, 1.0, seed=1) == (footage, None)


def test_bone_lengths_of_labelled_people() -> None:
    mean, low, high = lengths_of(film())
    assert (low <= mean).all() and (mean <= high).all()
    thigh = H36M_17.bones.index(("l_hip", "l_knee"))
    true = [np.linalg.norm(m.positions[0, 5] - m.positions[0, 4]) for m in MOTIONS]
    assert min(true) * 0.95 < mean[thigh] < max(true) * 1.05


def keypoints(**changes: object) -> Pose2D:
    footage = film()
    pixels = footage.rays[:40] * 900 + [500, 400]
    return replace(Pose2D(pixels.astype(np.float32), H36M_17, fps=25, width=1000, height=800, name="me"), **changes)


def test_a_users_keypoints() -> None:
    footage = of_keypoints([keypoints(), keypoints(fps=120)])
    assert len(footage) == 3  # the second is run as two interleaved clips, and so learnt from
    assert not footage.camera.any() and not footage.outer.any() and (footage.known == 0).all()
    assert footage.fps.tolist() == [25, 60, 60]
    assert footage.half[0] == pytest.approx(0.5 / 0.9)


NO_HIPS = Skeleton("upper", ("nose", "thorax", "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist",
                             "spine", "head_top"), (("thorax", "nose"),), ("thorax",))  # fmt: skip


@pytest.mark.parametrize(
    ("person", "message"),
    [
        (lambda: keypoints()[:1], "me has 1 frame;"),
        (lambda: keypoints(score=np.zeros((40, 17))), "every joint is hidden in every frame"),
        (lambda: Pose2D(keypoints().positions[:, :10], NO_HIPS, fps=25, width=9, height=9), "no pelvis and no hips"),
        (lambda: keypoints(width=None), "frame size is missing"),
    ],
)
def test_bad_keypoints(person, message: str) -> None:
    with pytest.raises(InputError, match=message):
        of_keypoints([person()])


def test_takes(shared_data: Path) -> None:
    takes = blendmimic3d.read(shared_data / "blendmimic3d", ["S1"], ["Directions"])
    footage = film_takes(takes, EXACT, 1, "blendmimic3d")
    assert len(footage) == 16 and len(footage.groups_of(4)) == 4  # four cameras, three cuts
    positions, weight = pseudo_labels(footage)
    np.testing.assert_allclose(positions[weight > 0], footage.camera[weight > 0], atol=1e-3)
    assert set(footage.name) == {"blendmimic3d/S1"}
