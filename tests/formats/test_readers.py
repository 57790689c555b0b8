"""Every family of files, made up in the layout that the tools write."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemend.body.catalogue import SKELETONS
from posemend.body.pose import Pose2D, Pose3D
from posemend.errors import FormatError, InputError, SkeletonError
from posemend.formats import read, read_people

Body = Callable[..., np.ndarray]
AsFile = Callable[..., Path]


def _flat(table: np.ndarray) -> list[float]:
    return table.ravel().tolist()


# OpenPose


def test_missing_files_are_missing_frames(body: Body, openpose_folder: Callable[..., Path]) -> None:
    table = body(30)
    frames = {t + 80: [one] for t, one in enumerate(table) if t not in (4, 5, 20)}
    frames[87] = []
    pose = read(openpose_folder(frames, "cam02.{:04d}.json"))
    assert len(pose) == 30
    assert np.flatnonzero(~(pose.score > 0).any(1)).tolist() == [4, 5, 7, 20]
    np.testing.assert_allclose(pose.positions[29], table[29, :, :2], rtol=1e-6)
    assert pose.fps == 30


def test_frame_number_is_the_group_that_counts(body: Body, openpose_folder: Callable[..., Path]) -> None:
    table = body(3)
    pose = read(openpose_folder({9 + t: [one] for t, one in enumerate(table)}, "v2_{}_cam1_keypoints.json"))
    np.testing.assert_allclose(pose.positions, table[..., :2], rtol=1e-6)  # 9, 10, 11: not in order of text


def test_halpe_and_coco_18_by_count(openpose_folder: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    table = rng.uniform(10, 500, (1, 26, 3))
    pose = read(openpose_folder({0: [table[0]]}))
    assert pose.skeleton.name == "halpe_26"
    old = rng.uniform(10, 500, (18, 3))
    pose = read(openpose_folder({0: [old]}))
    assert pose.skeleton.name == "coco_17"
    places = {"nose": 0, "r_shoulder": 2, "l_wrist": 7, "r_hip": 8, "l_ankle": 13, "r_eye": 14, "l_ear": 17}
    for joint, place in places.items():
        assert pose.positions[0, pose.skeleton.index(joint)] == pytest.approx(old[place, :2])


@pytest.mark.parametrize("joints", [3, 24, 27])
def test_joint_count_that_fits_nothing(openpose_folder: Callable[..., Path], joints: int) -> None:
    with pytest.raises(SkeletonError, match=f"{joints} joints"):
        read(openpose_folder({0: [np.ones((joints, 3))]}))


def test_wrong_name_for_the_count(openpose_folder: Callable[..., Path]) -> None:
    folder = openpose_folder({0: [np.ones((26, 3))]})
    with pytest.raises(SkeletonError, match="halpe_26"):
        read(folder, skeleton="coco_17")
    with pytest.raises(SkeletonError, match="Did you mean"):
        read(folder, skeleton="coco_71")


# AlphaPose and COCO


def _alphapose(table: np.ndarray, numbers: list[int], name: str = "{}.jpg", **more: Any) -> list[dict[str, Any]]:
    return [
        {"image_id": name.format(number), "category_id": 1, "keypoints": _flat(one), "score": 2.9, "box": [0, 0, 9, 9]}
        | more
        for number, one in zip(numbers, table, strict=True)
    ]


@pytest.mark.parametrize(("name", "leading"), [("{}.jpg", 3), ("frame_{:05d}.png", 2)])
def test_alphapose_frames_without_people_come_back(body: Body, as_file: AsFile, name: str, leading: int) -> None:
    table = body(20)
    numbers = [3, 4, 5, *range(9, 26)]
    pose = read(as_file(_alphapose(table, numbers, name)))
    gone = np.flatnonzero(~(pose.score > 0).any(1))
    assert gone.tolist() == [*range(leading), leading + 3, leading + 4, leading + 5]
    np.testing.assert_allclose(pose.positions[-1], table[-1, :, :2], rtol=1e-6)


def test_alphapose_track_ids(body: Body, as_file: AsFile) -> None:
    one, other = body(20), body(20, x=600)
    entries = _alphapose(one, list(range(20)), idx=7) + _alphapose(other, list(range(20)), idx=3)
    people = read_people(as_file(entries))
    assert {person.name for person in people} == {"7", "3"}
    path = as_file(entries)
    with pytest.raises(InputError, match="--person"):
        read(path)
    assert read(path, person="3").positions[0, 0, 0] == pytest.approx(650)
    assert read(path, person=7).name == "7"
    with pytest.raises(InputError, match="no person '9'"):
        read(path, person=9)


def test_useless_ids_are_not_believed(body: Body, as_file: AsFile) -> None:
    one, other = body(20), body(20, x=600)
    entries = _alphapose(one, list(range(20)), idx=0) + _alphapose(other, list(range(20)), idx=0)
    with pytest.warns(UserWarning, match="do not tell people apart"):
        people = read_people(as_file(entries))
    assert [person.name for person in people] == ["p0", "p1"]


@pytest.mark.parametrize(("joints", "skeleton"), [(26, "halpe_26"), (136, "halpe_26"), (133, "coco_wholebody_23")])
def test_alphapose_larger_models(as_file: AsFile, joints: int, skeleton: str) -> None:
    table = np.random.default_rng(0).uniform(1, 400, (1, joints, 3))
    pose = read(as_file(_alphapose(table, [0])))
    assert pose.skeleton.name == skeleton
    np.testing.assert_allclose(pose.positions[0], table[0, : len(pose.skeleton), :2], rtol=1e-6)


def test_alphapose_by_image(body: Body, as_file: AsFile) -> None:
    eighteen = np.concatenate([body(5), body(5)[:, :1]], axis=1)
    for inside in ({"people": "pose_keypoints_2d"}, {"bodies": "joints"}):
        ((group, key),) = inside.items()
        content = {f"{t}.jpg": {"version": "AlphaPose v0.3", group: [{key: _flat(eighteen[t])}]} for t in (0, 1, 4)}
        pose = read(as_file(content))
        assert (pose.score > 0).any(1).tolist() == [True, True, False, False, True]


def test_coco_results_with_and_without_flags(body: Body, as_file: AsFile) -> None:
    table = body(5)
    table[2, 3, 2] = 0
    results = [{"image_id": t, "category_id": 1, "keypoints": _flat(one), "score": 0.9} for t, one in enumerate(table)]
    pose = read(as_file(results))
    assert pose.score[0] == pytest.approx(0.9)
    assert not pose.visible[2, 3]
    table[..., 2] = 2
    table[1, 4, 2], table[1, 5, 2] = 1, 0
    results = [{"image_id": t, "category_id": 1, "keypoints": _flat(one), "score": 0.9} for t, one in enumerate(table)]
    pose = read(as_file(results))
    assert (pose.score[1, 4], pose.visible[1, 4]) == (1, False)
    assert (pose.score[1, 5], pose.visible[1, 5]) == (0, False)


def test_coco_truth_of_a_clip(body: Body, as_file: AsFile) -> None:
    table = body(5)
    table[..., 2] = 2
    content = {
        "images": [{"id": 900 + t, "file_name": f"f_{t:03d}.png", "width": 640, "height": 480} for t in range(5)],
        "annotations": [{"image_id": 900 + t, "category_id": 1, "keypoints": _flat(table[t])} for t in (0, 1, 3)],
        "categories": [{"id": 1, "name": "person", "keypoints": [
            j.replace("l_", "left_").replace("r_", "right_") for j in SKELETONS["coco_17"].joints]}],
    }  # fmt: skip
    pose = read(as_file(content))
    assert isinstance(pose, Pose2D)
    assert (len(pose), pose.width, pose.height) == (5, 640, 480)
    assert (pose.score > 0).any(1).tolist() == [True, True, False, True, False]
    content["categories"][0]["keypoints"] = [f"joint {n}" for n in range(17)]
    with pytest.raises(SkeletonError, match="no known order"):
        read(as_file(content))


# MMPose, GAST-Net, MediaPipe


def _instances(table: np.ndarray) -> list[dict[str, Any]]:
    return [{"keypoints": table[:, :2].tolist(), "keypoint_scores": table[:, 2].tolist(), "bbox": [[0, 0, 1, 1]]}]


def test_mmpose(body: Body, as_file: AsFile) -> None:
    table = body(6)
    frames = [{"frame_id": t, "instances": [] if t == 2 else _instances(one)} for t, one in enumerate(table)]
    for content in ({"meta_info": {"dataset_name": "coco"}, "instance_info": frames}, frames):
        pose = read(as_file(content))
        assert pose.skeleton.name == "coco_17"
        assert (pose.score > 0).any(1).tolist() == [True, True, False, True, True, True]
    assert len(read(as_file(_instances(table[0])))) == 1
    names = ["root", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot", "spine", "thorax",
             "neck_base", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow",
             "right_wrist"]  # fmt: skip
    content = {"meta_info": {"keypoint_id2name": {str(n): name for n, name in enumerate(names)}},
               "instance_info": frames}  # fmt: skip
    assert read(as_file(content)).skeleton.name == "h36m_17"
    deep = [{"keypoints": np.ones((17, 3)).tolist(), "keypoint_scores": [1] * 17}]
    with pytest.raises(FormatError, match="3D"):
        read(as_file([{"frame_id": 0, "instances": deep}]))


def test_kinetics_shares_need_the_size(body: Body, as_file: AsFile) -> None:
    table = body(3)
    shares = table[..., :2] / (800, 600)
    data = [{"frame_index": t + 1, "skeleton": [{"pose": _flat(shares[t]), "score": table[t, :, 2].tolist()}]}
            for t in range(3)]  # fmt: skip
    path = as_file({"data": data, "label": "walk"})
    with pytest.raises(InputError, match="--width"):
        read(path)
    np.testing.assert_allclose(read(path, width=800, height=600).positions, table[..., :2], rtol=1e-5)


def _landmarks(number: int) -> list[dict[str, float]]:
    return [{"x": 0.01 * joint, "y": 0.02 * joint, "z": 0.0, "visibility": 0.5} for joint in range(33)]


@pytest.mark.parametrize("form", ["bare", "dicts", "frames", "tasks"])
def test_mediapipe_json(as_file: AsFile, form: str) -> None:
    frames: list[Any] = [None, *[_landmarks(t) for t in range(4)], []]
    content: Any = frames
    if form == "dicts":
        content = [{"frame": t, "pose_landmarks": frame} for t, frame in enumerate(frames)]
    elif form == "frames":
        content = {"fps": 24, "width": 1000, "height": 500, "frames": [{"landmarks": frame} for frame in frames]}
    elif form == "tasks":
        content = [{"pose_landmarks": [frame] if frame else []} for frame in frames]
    path = as_file(content)
    size = {} if form == "frames" else {"width": 1000, "height": 500}
    pose = read(path, **size)
    assert (pose.score > 0).any(1).tolist() == [False, True, True, True, True, False]
    assert pose.positions[1, 10] == pytest.approx([100, 100])
    assert pose.fps == (24 if form == "frames" else 30)
    if size:
        with pytest.raises(InputError, match="--width"):
            read(path)


def test_mediapipe_world_json(as_file: AsFile) -> None:
    pose = read(as_file([{"pose_world_landmarks": _landmarks(0)}, {"pose_world_landmarks": None}]))
    assert isinstance(pose, Pose3D)
    assert (pose.score > 0).any(1).tolist() == [True, False]


# arrays


def _saved(array: np.ndarray, **others: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, pose=array, **others) if others else np.save(stream, array)
    return stream.getvalue()


def test_arrays_need_a_name(pose3d: Pose3D, as_file: AsFile) -> None:
    path = as_file(_saved(pose3d.positions))
    with pytest.raises(SkeletonError, match=r"h36m_17.*--skeleton"):
        read(path)
    pose = read(path, skeleton="human3.6m", fps=50)
    assert isinstance(pose, Pose3D)
    np.testing.assert_array_equal(pose.positions, pose3d.positions)
    assert pose.frame == "camera"
    assert read(as_file(_saved(pose3d.root_relative().positions)), skeleton="h36m").frame == "root"
    assert len(read(as_file(_saved(pose3d.positions[0])), skeleton="h36m")) == 1
    with pytest.raises(SkeletonError, match="17 joints"):
        read(path, skeleton="halpe")


def test_array_of_an_archive(pose3d: Pose3D, as_file: AsFile) -> None:
    one = as_file(_saved(pose3d.positions, frames=np.arange(9)))
    assert len(read(one, skeleton="h36m")) == 9
    two = as_file(_saved(pose3d.positions, other=pose3d.positions[:3]))
    with pytest.raises(FormatError, match="pose, other"):
        read(two, skeleton="h36m")
    assert len(read(two, skeleton="h36m", key="other")) == 3


def test_units(pose3d: Pose3D, as_file: AsFile) -> None:
    with pytest.raises(FormatError, match="millimetres"):
        read(as_file(_saved(pose3d.positions * 1000)), skeleton="h36m")
    with pytest.raises(FormatError, match="one point"):
        read(as_file(_saved(np.zeros((5, 17, 3)))), skeleton="h36m")


def test_array_of_keypoints(body: Body, as_file: AsFile) -> None:
    xy = body(5)[..., :2].copy()
    xy[2, 3] = np.nan
    pose = read(as_file(_saved(xy)), skeleton="coco")
    assert isinstance(pose, Pose2D)
    assert pose.score[2, 3] == 0
    assert pose.score.sum() == 5 * 17 - 1


# VideoPose3D


def _videopose3d(body: Body, **metadata: Any) -> bytes:
    table = body(6)[..., :2]
    positions = {"S1": {"Walking 1": [table.astype(np.float32), table + 1]}, "clip.mp4": {"custom": [table]}}
    sides = [list(range(1, 17, 2)), list(range(2, 17, 2))]
    given = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": sides,
             "video_metadata": {"clip.mp4": {"w": 1280, "h": 720}}} | metadata  # fmt: skip
    stream = io.BytesIO()
    np.savez_compressed(stream, positions_2d=np.array(positions, object), metadata=np.array(given, object))
    return stream.getvalue()


def test_videopose3d_only_on_trust(body: Body, as_file: AsFile) -> None:
    path = as_file(_videopose3d(body))
    with pytest.raises(FormatError, match="--trust"):
        read_people(path)
    people = read_people(path, trust=True)
    assert [person.name for person in people] == ["S1/Walking 1/0", "S1/Walking 1/1", "clip.mp4/custom/0"]
    assert isinstance(people[2], Pose2D)
    assert (people[2].width, people[2].height, people[0].width) == (1280, 720, None)
    np.testing.assert_allclose(people[0].positions, body(6)[..., :2], rtol=1e-6)
    mirrored = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    assert (
        read_people(as_file(_videopose3d(body, keypoints_symmetry=mirrored)), trust=True)[0].skeleton.name == "h36m_17"
    )
    with pytest.raises(SkeletonError, match="--skeleton"):
        read_people(as_file(_videopose3d(body, keypoints_symmetry=mirrored[::-1])), trust=True)


def _evil(payload: bytes) -> bytes:
    """A .npz whose object array is the given pickle."""
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "|O", "fortran_order": False, "shape": ()})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("positions_2d.npy", array.getvalue() + payload)
    return stream.getvalue()


class _Runs:
    def __reduce__(self) -> Any:
        import os

        return os.mkdir, ("/tmp/posemend_must_not_exist",)


def _forged_array() -> bytes:
    """An object array that claims a million entries and has one: reading it with NumPy would run out of bounds."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        b"(K\x01(J\x40\x42\x0f\x00tcnumpy\ndtype\n(U\x02O8K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
        b"\x89]K\x01atb."
    )


@pytest.mark.parametrize(
    "payload",
    [
        pickle.dumps(np.array({"a": _Runs()}, object)),
        pickle.dumps(_Runs()),
        b"cbuiltins\neval\n(S'1+1'\ntR.",
        b"cos\nsystem\n(S'true'\ntR.",
        _forged_array(),
        b"",
        b"garbage",
        b"(" * 5000 + b"t" * 5000 + b".",
        pickle.dumps({"S1": {"a": [1, 2]}}),
    ],
)
def test_trust_lets_in_nothing_but_data(as_file: AsFile, payload: bytes) -> None:
    with pytest.raises(FormatError):
        read_people(as_file(_evil(payload)), trust=True)
    assert not Path("/tmp/posemend_must_not_exist").exists()


# recognising


def test_kind_is_not_told_by_the_suffix(body: Body, as_file: AsFile, pose3d: Pose3D) -> None:
    assert read(as_file(_alphapose(body(3), [0, 1, 2]), "a.npz")).skeleton.name == "coco_17"
    assert len(read(as_file(_saved(pose3d.positions), "a.json"), skeleton="h36m")) == 9


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2, 3], "hello, world\n1,2\n", 7, [], {}, [[]], [None], "null"])
def test_unknown_kind_lists_the_choices(as_file: AsFile, content: object) -> None:
    with pytest.raises(FormatError, match=r"openpose.*alphapose.*mediapipe.*array"):
        read(as_file(content))


@pytest.mark.parametrize("kind", ["openpose", "alphapose", "coco", "mmpose", "mediapipe", "gastnet", "posemend",
                                  "videopose3d", "array", "nonsense"])  # fmt: skip
def test_wrong_kind_by_name(as_file: AsFile, pose3d: Pose3D, kind: str) -> None:
    contents: list[Any] = [{"a": 1}, [1, 2], "text", b"\0\1\2\3"]
    if kind not in ("array", "posemend"):
        contents.append(_saved(pose3d.positions))
    for content in contents:
        with pytest.raises(InputError):
            read(as_file(content), kind=kind, width=100, height=100)
