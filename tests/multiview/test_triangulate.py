"""Points from several views: exact where the views are, robust where one lies, honest about what it does not know."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import posemend
from posemend.datasets import blendmimic3d
from posemend.errors import InputError
from posemend.formats import read_people
from posemend.formats.calibration import read_cameras
from posemend.formats.trc import read_markers
from posemend.geometry.lens import Lens, Viewpoint
from posemend.geometry.triangulate import triangulate as triangulate_rays
from posemend.multiview import match_people, triangulate
from posemend.occlusion.hide import keypoints_for
from tests.multiview.scene import looking, person, ring, seen


@pytest.mark.parametrize("count", [2, 3, 5])
def test_exact_views_give_the_exact_point(count: int) -> None:
    world, views = person(), ring(count)
    if count == 2:  # two cameras that face each other would see nothing of the depth
        views = ring(5)[:2]
    found = triangulate([seen(world, view) for view in views], views)
    assert found.pose.frame == "world"
    np.testing.assert_allclose(found.pose.positions, world, atol=1e-4)
    assert (found.pose.score > 0.99).all() and found.pose.visible.all() and found.used.all()
    assert found.report()["all"]["pixels"] < 0.01


@pytest.mark.parametrize("lens", [Lens((-0.2, 0.06, 1e-3, -2e-3)), Lens((0.05, -0.02, 0.01, 0.0), fisheye=True)])
def test_distortion_is_undone(lens: Lens) -> None:
    world, views = person(frames=5), ring(4, lens)
    keypoints = [seen(world, view) for view in views]
    np.testing.assert_allclose(triangulate(keypoints, views).pose.positions, world, atol=1e-4)
    blind = triangulate(keypoints, [replace(view, lens=Lens()) for view in views])
    assert np.abs(blind.pose.positions - world).max() > 1e-3  # it does matter


def test_a_camera_that_lies_is_left_out_for_that_joint_and_frame_only() -> None:
    world, views = person(), ring(4)
    keypoints = [seen(world, view, noise=1.0) for view in views]
    wrong = keypoints[1].positions.copy()
    wrong[10:15, 6] += [140, -90]
    keypoints[1] = replace(keypoints[1], positions=wrong)
    found = triangulate(keypoints, views)
    assert not found.used[1, 10:15, 6].any()
    assert found.used.sum() == found.used.size - 5
    assert np.linalg.norm(found.pose.positions - world, axis=-1).max() < 0.02
    assert (found.beside[1, 10:15, 6] > 0.3).all()  # it is still told by how much it errs


def test_two_cameras_that_disagree_give_no_point() -> None:
    world, views = person(), ring(5)[:2]
    keypoints = [seen(world, view) for view in views]
    wrong = keypoints[1].positions.copy()
    wrong[:, 6, 1] += 150  # across the other camera's ray; along it two cameras cannot tell
    found = triangulate([keypoints[0], replace(keypoints[1], positions=wrong)], views)
    assert (found.pose.score[:, 6] == 0).all() and not found.pose.visible[:, 6].any()
    assert (np.delete(found.pose.score, 6, 1) > 0).all()


def test_scores_are_weights_and_hidden_joints_count_little() -> None:
    world, views = person(), ring(3)
    keypoints = [seen(world, view, noise=0.5) for view in views]
    moved = keypoints[2].positions + np.float32(12)
    for doubt in (replace(keypoints[2], positions=moved, score=np.full(moved.shape[:2], 0.1)),
                  replace(keypoints[2], positions=moved, visible=np.zeros(moved.shape[:2], bool))):  # fmt: skip
        trusted, doubted = (
            np.linalg.norm(triangulate([*keypoints[:2], third], views).pose.positions - world, axis=-1).mean()
            for third in (replace(keypoints[2], positions=moved), doubt)
        )
        assert doubted < 0.6 * trusted


def test_expected_error_is_about_the_error() -> None:
    world, views = person(frames=60), ring(4)
    for noise in (1.0, 4.0):
        found = triangulate([seen(world, view, noise) for view in views], views)
        error = np.linalg.norm(found.pose.positions - world, axis=-1).mean()
        assert 0.7 * error < found.pose.sigma.mean() < 1.4 * error
    # two cameras side by side see the depth badly, and say so
    close = [ring(64)[0], ring(64)[1]]
    narrow = triangulate([seen(world, view, 1.0) for view in close], close)
    assert narrow.pose.sigma[narrow.pose.score > 0].mean() > 3 * found.pose.sigma.mean() / 4
    assert narrow.pose.score[narrow.pose.score > 0].mean() < found.pose.score.mean()


def test_cameras_in_one_place_give_no_point() -> None:
    rays = np.zeros((2, 3, 2))
    rotation, translation = np.stack([np.eye(3)] * 2), np.zeros((2, 3))
    found = triangulate_rays(rays, np.ones((2, 3)), rotation, translation)
    assert np.isnan(found.positions).all() and not found.used.any()


def test_what_one_camera_sees_alone_is_absent() -> None:
    world, views = person(), ring(3)
    keypoints = [seen(world, view) for view in views]
    score = np.ones(world.shape[:2])
    score[:, 3] = 0
    found = triangulate([keypoints[0], *(replace(one, score=score) for one in keypoints[1:])], views)
    assert (found.pose.score[:, 3] == 0).all()
    assert found.report()["joints"]["r_ankle"]["found"] is None


def test_people_are_matched_and_followed_over_broken_tracks() -> None:
    views = ring(4)
    one, other = person(5), person(9) + [0.9, 0.4, 0]
    people = [[seen(other, view, 1.0), seen(one, view, 1.0)] for view in views]
    # the first camera's track breaks in the middle; its other track is the other person
    late = np.arange(30) >= 15
    whole = people[0][1]
    halves = [replace(whole, score=whole.score * part[:, None]) for part in (late, ~late)]
    people[0] = [people[0][0], *halves]
    people[1] = people[1][:1]  # sees the other person only
    people[3] = people[3][1:]
    chosen = match_people(people[:1] + people[2:], [views[0], *views[2:]])
    assert (chosen[0].score > 0).all()
    found = triangulate(chosen, [views[0], *views[2:]])
    assert np.linalg.norm(found.pose.positions - one, axis=-1).mean() < 0.01


def test_public_function_reads_files(tmp_path: Path) -> None:
    world, views = person(frames=8), ring(3)
    for view in views:
        posemend.write(tmp_path / f"{view.name}.npz", replace(seen(world, view), camera=view.camera))
    found = posemend.triangulate([tmp_path / f"{view.name}.npz" for view in views])
    np.testing.assert_allclose(found.pose.positions, world, atol=1e-4)
    assert found.pose.skeleton.name == "h36m_17" and found.pose.fps == 25


def _bad(name: str) -> tuple[list, list]:
    world, views = person(frames=12) + [0.9, 0.5, 0], ring(4)
    keypoints = [seen(world, view) for view in views]
    if name == "one":
        return keypoints[:1], views[:1]
    if name == "length":
        keypoints[2] = keypoints[2][:7]
    if name == "clock":
        keypoints[2] = replace(keypoints[2], fps=30)
    if name == "skeleton":
        keypoints[1] = posemend.convert(keypoints[1], "h36m_16")
    if name == "nothing":
        keypoints[1] = replace(keypoints[1], score=np.zeros((12, 17)))
    if name == "apart":
        for place, part in ((0, 0), (1, 3), (2, 6), (3, 9)):
            alone = np.zeros((12, 17))
            alone[part : part + 3] = 1
            keypoints[place] = replace(keypoints[place], score=alone)
    if name == "order":
        keypoints = [keypoints[place] for place in (1, 0, 2, 3)]
    return keypoints, views[: 3 if name == "count" else 4]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one", "at least 2 cameras"), ("length", "not frame by frame"), ("clock", "not frame by frame"),
        ("skeleton", "skeletons differ"), ("nothing", "reports no joint"), ("apart", "two cameras in the same frame"),
        ("order", "contradict the keypoints.*order"), ("count", "4 views and 3 cameras"),
    ],
)  # fmt: skip
def test_bad_input(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        triangulate(*_bad(name))


def test_without_cameras() -> None:
    keypoints, _ = _bad("none")
    with pytest.raises(InputError, match="carry no camera"):
        triangulate(keypoints)


def test_cameras_in_mirrored_order_are_remarked() -> None:
    """Cameras in a ring, named the other way round, agree on a person in a mirror."""
    angles = np.arange(4) * np.pi / 2
    views = [Viewpoint(str(n), looking((5 * np.cos(a), 5 * np.sin(a), 1.5))) for n, a in enumerate(angles)]
    world = person(frames=60)
    keypoints = [seen(world, view) for view in views]
    with pytest.warns(UserWarning, match="as in a mirror"):
        triangulate([keypoints[place] for place in (0, 3, 2, 1)], views, tolerance=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        triangulate(keypoints, views)


def test_one_bad_camera_is_named() -> None:
    world, views = person(), ring(5)
    keypoints = [seen(world, view) for view in views]
    with pytest.warns(UserWarning, match="'cam_4' contradicts the others"):
        found = triangulate(keypoints, [*views[:4], replace(views[4], camera=looking((-3, 2, 1)))])
    np.testing.assert_allclose(found.pose.positions, world, atol=0.02)  # a lie below the tolerance pulls a little


def test_pose2sim_recording(shared_data: Path) -> None:
    """Four real cameras: within a centimetre or two of what Pose2Sim made of them."""
    demo = shared_data / "formats" / "pose2sim_demo"
    cameras = read_cameras(demo / "calibration" / "Calib_qualisys.toml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        people = [
            read_people(demo / "pose" / f"cam0{n}_json", skeleton="body_25b", fps=60) for n in range(1, 5)
        ]  # fmt: skip
    found = triangulate(match_people(people, cameras), cameras)
    theirs = read_markers(demo / "pose-3d" / "S00_P00_T01_BalancingTrial_0-100.trc").pose("body_25b")
    both = (theirs.score > 0) & (found.pose.score > 0)
    error = np.linalg.norm(theirs.positions - found.pose.positions, axis=-1)[both] * 1000
    assert both.sum() > 0.95 * (theirs.score > 0).sum()
    assert error.mean() < 20 and np.median(error) < 10
    assert found.report()["all"]["pixels"] < 12


def test_blendmimic3d(shared_data: Path) -> None:
    """Exact 2D gives the truth; a simulated detector gives far less error than one view can."""
    takes = blendmimic3d.read(shared_data / "blendmimic3d", ["S1"], ["Greeting"])
    camera, truth = takes[0].keypoints.camera, takes[0].truth
    assert camera is not None and truth.root is not None
    world = camera.to_world(truth.positions + truth.root[:, None])
    exact = triangulate([keypoints_for(take, "gt") for take in takes])
    assert np.linalg.norm(exact.pose.positions - world, axis=-1).max() < 1e-4
    noisy = triangulate([keypoints_for(take, "detector") for take in takes])
    known = noisy.pose.score > 0
    assert known.mean() > 0.8 and noisy.report()["all"]["used"] > 0.7
    assert np.linalg.norm(noisy.pose.positions - world, axis=-1)[known].mean() < 0.075
