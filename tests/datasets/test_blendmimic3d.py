"""BlendMimic3D: a made-up copy of the published layout, and the real one where it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import BLENDMIMIC3D_17, H36M_17
from posemend.body.handedness import handedness
from posemend.datasets import blendmimic3d
from posemend.errors import FormatError, InputError
from posemend.geometry.camera import Camera

FRAMES = 20


def person(frames: int = FRAMES) -> np.ndarray:
    """(F, 17, 3) world metres in the files' order: somebody with bent limbs who looks along +y and drifts along x."""
    places = {
        "pelvis": (0, 0, 1.0), "spine": (0, 0, 1.2), "thorax": (0, 0, 1.5), "nose": (0, 0.05, 1.6),
        "head_top": (0, 0, 1.8),
    }  # fmt: skip
    for side, x in (("l", -1), ("r", 1)):  # looking along +y, the left is at -x
        places |= {
            f"{side}_hip": (0.1 * x, 0, 0.98), f"{side}_knee": (0.1 * x, 0.15, 0.55),
            f"{side}_ankle": (0.1 * x, -0.1, 0.15), f"{side}_shoulder": (0.18 * x, 0, 1.48),
            f"{side}_elbow": (0.25 * x, -0.08, 1.2), f"{side}_wrist": (0.25 * x, 0.15, 1.1),
        }  # fmt: skip
    one = np.array([places[joint] for joint in BLENDMIMIC3D_17.joints], float)
    drift = np.linspace(0, 0.4, frames)[:, None, None] * np.array([1.0, 0, 0])
    return one + drift


def cameras(width: int, height: int) -> list[Camera]:
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # z up to y down, looking along +y
    return [
        Camera((800, 800), (width / 2, height / 2), width, height, turn, np.array([0.1 * place, 1.2, 4.0 + place]))
        for place in range(4)
    ]


def write_action(folder: Path, action: str, views: list[Camera], frames: int = FRAMES) -> None:
    world = person(frames)
    pixels = {f"Cam_{place}": view.project(view.to_camera(world)) for place, view in enumerate(views)}
    flags = {name: np.ones((frames, 17)) for name in pixels}
    flags["Cam_0"][:, BLENDMIMIC3D_17.index("r_wrist")] = 0
    for kind in ("D3_Positions", "D2_Positions", "Occlusions"):
        (folder / kind / action).mkdir(parents=True)
    np.savez(folder / "D3_Positions" / action / f"{action}.npz", positions_3d=world)
    np.savez(folder / "D2_Positions" / action / "2D_positions.npz", **pixels)
    np.savez(folder / "Occlusions" / action / "occluded_kpt.npz", **flags)


def write_cameras(folder: Path, views: list[Camera]) -> None:
    (folder / "Cameras").mkdir(parents=True)
    size = [(view.focal[0], *view.centre) for view in views]
    k = np.array([[[f, 0, x], [0, f, y], [0, 0, 1]] for f, x, y in size])
    rt = np.stack([np.hstack([view.rotation, view.translation[:, None]]) for view in views])
    np.savez(folder / "Cameras" / f"matrices_{folder.name}.npz", K=k, RT=rt, P=k @ rt)


@pytest.fixture
def published(tmp_path) -> Path:
    for subject, actions, size in (
        ("S1", ("Greeting", "WalkCircle"), (1000, 1002)),
        ("S2", ("Greeting",), (1000, 1002)),
        ("S3", ("Focus", "TakesItem_multi"), (1280, 720)),
    ):
        views = cameras(*size)
        write_cameras(tmp_path / subject, views)
        for action in actions:
            write_action(tmp_path / subject, action, views)
    return tmp_path


def changed(path: Path, **changes) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | changes))


def test_takes_of_the_published_layout(published):
    takes = blendmimic3d.read(published)
    assert len(takes) == 5 * 4
    assert [take.name for take in takes[:2]] == ["S1/Greeting/Cam_0", "S1/Greeting/Cam_1"]
    take = takes[0]
    assert take.keypoints.skeleton == take.truth.skeleton == H36M_17
    assert (take.truth.frame, take.truth.fps, take.keypoints.fps) == ("root", 50, 50)
    assert (take.keypoints.width, take.keypoints.height) == (1000, 1002)
    np.testing.assert_array_equal(take.truth.positions[:, 0], 0)
    in_camera = take.truth.positions.astype(float) + take.truth.root[:, None]
    assert np.abs(take.keypoints.camera.project(in_camera) - take.keypoints.positions).max() < 0.01
    assert handedness(take.truth).verdict == "right"
    for pose in (take.keypoints, take.truth):
        assert not pose.visible[:, H36M_17.index("r_wrist")].any()
        assert pose.visible.sum() == FRAMES * 16
    assert (take.keypoints.score == 1).all()


def test_joints_are_matched_by_name(published):
    take = blendmimic3d.read(published, subjects=["S1"], actions=["Greeting"], cameras=[0])[0]
    world = take.keypoints.camera.to_world(take.truth.positions.astype(float) + take.truth.root[:, None])
    assert (world[:, H36M_17.index("l_knee"), 0] < world[:, H36M_17.index("r_knee"), 0]).all()


def test_s3_has_its_own_clock_and_size(published):
    take = blendmimic3d.read(published, subjects=["S3"], actions=["TakeItem_multi"], cameras=["Cam_1"])[0]
    assert (take.action, take.truth.fps) == ("TakesItem_multi", 30)
    assert (take.keypoints.width, take.keypoints.height) == (1280, 720)


def test_s3_folders_spelled_the_other_way(published):
    for kind in ("D3_Positions", "D2_Positions", "Occlusions"):
        (published / "S3" / kind / "TakesItem_multi").rename(published / "S3" / kind / "TakeItem_multi")
    assert {take.action for take in blendmimic3d.read(published, ["S3"])} == {"Focus", "TakesItem_multi"}


def test_out_of_frame_joints_are_hidden_whatever_the_flags_say(published):
    world = person() + np.array([2.95, 0, 0])
    changed(published / "S2" / "D3_Positions" / "Greeting" / "Greeting.npz", positions_3d=world)
    views = cameras(1000, 1002)
    pixels = {f"Cam_{place}": view.project(view.to_camera(world)) for place, view in enumerate(views)}
    changed(published / "S2" / "D2_Positions" / "Greeting" / "2D_positions.npz", **pixels)
    take = blendmimic3d.read(published, ["S2"], cameras=[1])[0]
    outside = take.keypoints.positions[..., 0] > 1000
    assert 0 < outside.sum() < outside.size
    np.testing.assert_array_equal(take.keypoints.visible, ~outside)


def test_frozen_part_is_dropped_and_cuts_are_named(tmp_path):
    views = cameras(1000, 1002)
    write_cameras(tmp_path / "S1", views)
    write_action(tmp_path / "S1", "GatheringObjects", views, frames=320)
    write_action(tmp_path / "S1", "Greeting", views, frames=700)
    gathering, greeting = (blendmimic3d.read(tmp_path, actions=[name], cameras=[0])[0]
                           for name in ("GatheringObjects", "Greeting"))  # fmt: skip
    assert len(gathering.truth) == len(gathering.keypoints) == 307
    assert greeting.cuts == (139,)  # 739 lies behind the end of this short copy


def test_stray_layouts_give_the_same(published):
    folder = published / "S1" / "D3_Positions" / "WalkCircle"
    wanted = blendmimic3d.read(published, ["S1"], ["WalkCircle"], [2])[0].truth.positions
    (folder / "WalkCircle.npz").unlink()
    np.savetxt(folder / "data3D.txt", person().transpose(1, 2, 0).reshape(17, -1))
    by_text = blendmimic3d.read(published, ["S1"], ["WalkCircle"], [2])[0].truth.positions
    np.save(folder / "WalkCircle.npy", person().transpose(1, 2, 0))
    by_npy = blendmimic3d.read(published, ["S1"], ["WalkCircle"], [2])[0].truth.positions
    np.testing.assert_allclose(by_text, wanted, atol=1e-6)
    np.testing.assert_allclose(by_npy, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"subjects": ["S4"]}, "S4"),
        ({"actions": ["Jumping"]}, "no action 'Jumping'"),
        ({"subjects": ["S2"], "actions": ["WalkCircle"]}, "WalkCircle.*not there"),
        ({"actions": ["Greeting", "WalkCircle"]}, "S2.*WalkCircle.*not there"),
        ({"subjects": ["S3"], "actions": ["Greeting"]}, "no subject asked for"),
        ({"cameras": [4]}, "no camera '4'"),
    ],
)
def test_what_is_not_there_is_named(published, asked, words):
    with pytest.raises(InputError, match=words):
        blendmimic3d.read(published, **asked)


def test_wrong_root(tmp_path, published):
    with pytest.raises(InputError, match="not there"):
        blendmimic3d.read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="directly holds"):
        blendmimic3d.read(published / "S1")


def test_actions_that_a_subject_never_had_are_passed_over(published):
    takes = blendmimic3d.read(published, ["S1", "S3"], ["Greeting", "Focus"], [0])
    assert [take.name for take in takes] == ["S1/Greeting/Cam_0", "S3/Focus/Cam_0"]


def test_damaged_copies_are_refused(published):
    part = published / "S1" / "Occlusions" / "Greeting"
    changed(part / "occluded_kpt.npz", Cam_0=np.ones((19, 17)))
    with pytest.raises(FormatError, match="20 frames"):
        blendmimic3d.read(published, ["S1"])
    shutil.rmtree(part)
    with pytest.raises(FormatError, match=r"Looked for .*occluded_kpt.npz"):
        blendmimic3d.read(published, ["S1"])


def test_2d_of_another_take_is_refused(published):
    path = published / "S1" / "D2_Positions" / "Greeting" / "2D_positions.npz"
    with np.load(path) as file:
        moved = file["Cam_3"] + 5
    changed(path, Cam_3=moved)
    with pytest.raises(FormatError, match=r"do not belong together.*5\.0 px"):
        blendmimic3d.read(published, ["S1"])


def test_reordered_copy_is_refused(published):
    order = list(BLENDMIMIC3D_17.mirror)
    folder = published / "S1"
    changed(folder / "D3_Positions" / "Greeting" / "Greeting.npz", positions_3d=person()[:, order])
    path = folder / "D2_Positions" / "Greeting" / "2D_positions.npz"
    with np.load(path) as file:
        pixels = {name: file[name][:, order] for name in file.files}
    changed(path, **pixels)
    with pytest.raises(FormatError, match="left and right"):
        blendmimic3d.read(published, ["S1"])


def test_splits_do_not_meet():
    parts = (blendmimic3d.TRAINING_ACTIONS, blendmimic3d.VALIDATION_ACTIONS, blendmimic3d.TEST_ACTIONS)
    joined = [action for part in parts for action in part]
    assert sorted(joined) == sorted(blendmimic3d.ACTIONS["S1"])


def test_real_validation_split(shared_data):
    takes = blendmimic3d.read(shared_data / "blendmimic3d", actions=blendmimic3d.VALIDATION_ACTIONS, cameras=[1])
    assert len(takes) == 6
    for take in takes:
        in_camera = take.truth.positions.astype(float) + take.truth.root[:, None]
        assert np.abs(take.keypoints.camera.project(in_camera) - take.keypoints.positions).max() < 0.01
        assert handedness(take.truth).verdict == "right"
        assert not take.keypoints.visible[~take.keypoints.camera.contains(take.keypoints.positions)].any()


def test_real_cuts_are_where_the_pose_jumps(shared_data):
    actions = ["Directions", "Greeting", "ShoppingBag", "GatheringObjects"]
    for take in blendmimic3d.read(shared_data / "blendmimic3d", actions=actions, cameras=[0]):
        step = np.linalg.norm(np.diff(take.truth.positions + take.truth.root[:, None], axis=0), axis=-1).max(1)
        assert tuple(np.flatnonzero(step > 0.12) + 1) == take.cuts, take.name
