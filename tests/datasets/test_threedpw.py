"""3DPW: made-up sequence files as Python 2 pickled them."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, SMPL_24
from posemend.body.handedness import handedness
from posemend.datasets import threedpw
from posemend.errors import FormatError, InputError

from .person import as_joints, in_front, walking

FRAMES = 24
NAMES = {
    "spine1": "spine", "spine2": "spine", "spine3": "thorax", "neck": "thorax", "skull": "nose",
    "l_clavicle": "l_shoulder", "r_clavicle": "r_shoulder", "l_hand": "l_wrist", "r_hand": "r_wrist",
    "l_foot": "l_ankle", "r_foot": "r_ankle",
}  # fmt: skip
OPENPOSE = {
    "nose": "nose", "neck": "thorax", "l_eye": "nose", "r_eye": "nose", "l_ear": "head_top", "r_ear": "head_top",
}  # fmt: skip
CAMERA = in_front(1080, 1920)
Z_TO_Y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # the files' world has y up


def sequence(people: int = 2) -> dict:
    """A table of a sequence file: a camera that moves, people side by side."""
    to_camera = np.eye(4)
    to_camera[:3, :3] = CAMERA.rotation @ Z_TO_Y.T
    to_camera[:3, 3] = CAMERA.translation
    poses = np.repeat(to_camera[None], FRAMES, 0)
    poses[:, 0, 3] += np.linspace(0, 0.5, FRAMES)
    table: dict = {
        "sequence": "outdoors_walk_00", "cam_poses": poses, "genders": ["m", "f"][:people],
        "cam_intrinsics": np.array([[1100.0, 0, 540], [0, 1100, 960], [0, 0, 1]]),
        "jointPositions": [], "poses2d": [], "campose_valid": [], "betas": [np.zeros(10)] * people,
        "img_frame_ids": np.arange(FRAMES),
    }  # fmt: skip
    for person in range(people):
        world = walking(FRAMES) + [0.3 * person, 0, 0]
        joints = as_joints(world, SMPL_24, NAMES) @ Z_TO_Y.T
        table["jointPositions"].append(joints.reshape(FRAMES, 72))
        found = as_joints(world, _Eighteen, OPENPOSE) @ Z_TO_Y.T
        camera = np.einsum("trc,tjc->tjr", poses[:, :3, :3], found) + poses[:, None, :3, 3]
        pixels = CAMERA.project(camera)
        score = np.full((FRAMES, 18, 1), 0.8)
        table["poses2d"].append(np.concatenate([pixels, score], -1).transpose(0, 2, 1))
        table["campose_valid"].append(np.ones(FRAMES, int))
    return table


class _Eighteen:
    joints = threedpw._OPENPOSE_18


class _OfPython2(pickle._Pickler):  # type: ignore[name-defined]
    """Writes what Python 2 wrote: protocol 2, and one kind of string for text and for the bytes of arrays."""

    dispatch = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, value) -> None:
        raw = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def as_python_2(value: dict) -> bytes:
    stream = io.BytesIO()
    _OfPython2(stream, protocol=2).dump(value)
    return stream.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def test_the_files_are_those_of_python_2(tmp_path) -> None:
    raw = as_python_2(sequence(1))
    assert raw[:2] == b"\x80\x02" and b"numpy.core.multiarray" in raw and b"_codecs" not in raw
    again = pickle.loads(raw, encoding="latin1")
    np.testing.assert_array_equal(again["cam_poses"], sequence(1)["cam_poses"])


def save(folder: Path, table: dict, split: str = "test", name: str = "outdoors_walk_00") -> Path:
    path = folder / "sequenceFiles" / split / f"{name}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_python_2(table))
    return path


def test_takes_of_two_people(tmp_path) -> None:
    save(tmp_path, sequence())
    save(tmp_path, sequence(1), "train", "other_00")
    takes = threedpw.read(tmp_path, ["test"], trust=True)
    assert [take.name for take in takes] == ["test/outdoors_walk_00/p0", "test/outdoors_walk_00/p1"]
    assert len(threedpw.read(tmp_path / "sequenceFiles", trust=True)) == 3
    for take in takes:
        assert take.truth.skeleton == take.keypoints.skeleton == SMPL_24
        assert (take.truth.fps, take.keypoints.width, take.keypoints.height) == (30, 1080, 1920)
        assert (take.truth.positions[:, 0] == 0).all()
        points = take.truth.positions.astype(float) + take.truth.root[:, None]
        assert np.abs(take.keypoints.camera.project(points) - take.keypoints.positions).max() < 0.05
        assert handedness(take.truth).verdict == "right"
        for joint in ("l_ankle", "r_wrist", "l_hip"):
            exact = take.keypoints.positions[:, SMPL_24.index(joint)]
            np.testing.assert_allclose(take.detected.positions[:, COCO_17.index(joint)], exact, atol=0.05)
        assert (take.detected.score == np.float32(0.8)).all() and take.detected.skeleton == COCO_17
    apart = takes[1].truth.root[:, 0] - takes[0].truth.root[:, 0]
    np.testing.assert_allclose(apart, 0.3, atol=1e-5)
    assert np.ptp(takes[0].truth.root[:, 0] - walking(FRAMES)[:, 0, 0]) == pytest.approx(0.5, abs=1e-5)


def test_frames_that_do_not_count_stay_in_their_place(tmp_path) -> None:
    table = sequence(1)
    table["campose_valid"][0][3:6] = 0
    table["poses2d"][0][10] = 0
    table["jointPositions"][0][20] = np.nan
    save(tmp_path, table)
    (take,) = threedpw.read(tmp_path, trust=True)
    counted = np.ones(FRAMES, bool)
    counted[[3, 4, 5, 10, 20]] = False
    for pose in (take.truth, take.keypoints):
        assert len(pose) == FRAMES
        np.testing.assert_array_equal(pose.score > 0, np.repeat(counted[:, None], 24, 1))
    assert (take.detected.score[10] == 0).all() and (take.detected.score[3] > 0).all()


def test_a_person_who_never_counts_gives_no_take(tmp_path) -> None:
    table = sequence(2)
    table["campose_valid"][0][:] = 0
    save(tmp_path, table)
    assert [take.camera for take in threedpw.read(tmp_path, trust=True)] == ["p1"]


def test_people_and_genders(tmp_path) -> None:
    found = threedpw.read_sequence(save(tmp_path, sequence()), trust=True)
    assert [(person.name, person.gender) for person in found.people] == [("p0", "m"), ("p1", "f")]
    chosen = threedpw.read(tmp_path, ["test"], ["outdoors_walk_00"], ["p1"], trust=True)
    assert [take.camera for take in chosen] == ["p1"]


def test_pickles_need_trust_and_hold_data_only(tmp_path) -> None:
    path = save(tmp_path, sequence(1))
    with pytest.raises(FormatError, match="trust"):
        threedpw.read(tmp_path)

    class Evil:
        def __reduce__(self):
            return print, ("ran",)

    path.write_bytes(pickle.dumps(sequence(1) | {"texture_maps": Evil()}, protocol=2))
    with pytest.raises(FormatError, match="forbidden"):
        threedpw.read(tmp_path, trust=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cam_poses": np.zeros((FRAMES, 3, 4))}, "cam_poses of shape"),
        ({"jointPositions": [np.zeros((FRAMES, 66))]}, r"\(24, 72\)"),
        ({"poses2d": []}, "0 in 2D"),
        ({"cam_intrinsics": None}, "no array 'cam_intrinsics'"),
        ({"jointPositions": [1000 * sequence(1)["jointPositions"][0]]}, "metres"),
    ],
)
def test_damaged_files_are_refused(tmp_path, change, words) -> None:
    table = sequence(1) | change
    if words == "metres":
        table["cam_poses"][:, 2, 3] = 4000
    save(tmp_path, table)
    with pytest.raises(FormatError, match=words):
        threedpw.read(tmp_path, trust=True)


def test_swapped_sides_are_refused(tmp_path) -> None:
    table = sequence(1)
    joints = table["jointPositions"][0].reshape(FRAMES, 24, 3)
    table["jointPositions"][0] = joints[:, list(SMPL_24.mirror)].reshape(FRAMES, 72)
    save(tmp_path, table)
    with pytest.raises(FormatError, match="left and right"):
        threedpw.read(tmp_path, trust=True)


def test_what_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match="sequenceFiles"):
        threedpw.read(tmp_path)
    save(tmp_path, sequence(1))
    with pytest.raises(InputError, match="no split 'train'"):
        threedpw.read(tmp_path, ["train"], trust=True)
    with pytest.raises(InputError, match="nothing counts"):
        threedpw.read(tmp_path, actions=["indoors"], trust=True)
