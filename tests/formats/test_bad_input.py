"""Damaged and hostile files: always a `PosemendError` with the cure, never anything else."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemend.body.pose import Pose2D, Pose3D
from posemend.errors import FormatError, InputError, PosemendError
from posemend.formats import archive as archive_module
from posemend.formats import read, read_people, write

AsFile = Callable[..., Path]
Body = Callable[..., np.ndarray]


def _npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        warnings.simplefilter("ignore")  # about names that occur twice
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _openpose(keypoints: list[Any]) -> dict[str, Any]:
    return {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": keypoints}]}


# files that are no files


def test_places(tmp_path: Path, as_file: AsFile) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (tmp_path / "none.json", tmp_path, fifo, "/dev/null", "a\0b"):
        with pytest.raises(FormatError):
            read(path)


@pytest.mark.parametrize(
    "content", [b"", b"  \n ", b"\xff\xfe{\x00}\x00", b"\x80abc", b'{"people": "\xff"}', b"\0" * 99]
)
def test_empty_and_not_text(as_file: AsFile, content: bytes) -> None:
    with pytest.raises(FormatError):
        read(as_file(content))


@pytest.mark.parametrize("text", [
    '{"people": [], "people": []}', "[" * 100_000, '{"people": [' + "9" * 5000 + "]}", '{"people": [}', "[1, 2",
])  # fmt: skip
def test_json_that_is_none(as_file: AsFile, text: str) -> None:
    with pytest.raises(FormatError):
        read(as_file(text))


def test_a_key_twice_is_named(as_file: AsFile) -> None:
    with pytest.raises(FormatError, match="'people' occurs twice"):
        read(as_file('{"people": [], "people": []}'))


# truncation


def _cuts(length: int) -> list[int]:
    return sorted({round(part) for part in np.linspace(0, length - 2, 50)})


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("flat", [True, False])
def test_cut_off_own_files(tmp_path: Path, pose2d: Pose2D, pose3d: Pose3D, suffix: str, flat: bool) -> None:
    whole = write(tmp_path / f"whole{suffix}", pose2d if flat else pose3d).read_bytes()
    for cut in _cuts(len(whole)):
        path = tmp_path / "cut"
        path.write_bytes(whole[:cut])
        with pytest.raises(PosemendError):
            read(path)


def test_cut_off_csv(tmp_path: Path, pose3d: Pose3D) -> None:
    """A cut between rows cannot be seen; every other one can."""
    whole = write(tmp_path / "whole.csv", pose3d).read_bytes()
    path = tmp_path / "cut"
    for cut in _cuts(len(whole) - 20):
        path.write_bytes(whole[:cut])
        try:
            assert len(read(path)) < len(pose3d)
        except PosemendError:
            continue


@pytest.mark.parametrize("name", [
    "openpose_body25/000.json", "gastnet/baseball.json", "coco/test_coco.json", "halpe/test_halpe.json",
    "alphapose/alphapose-results.json", "mediapipe/world_landmarks_17.csv", "mediapipe/image_landmarks_33.csv",
])  # fmt: skip
def test_cut_off_samples(shared_data: Path, tmp_path: Path, name: str) -> None:
    whole = (shared_data / "formats" / name).read_bytes()
    whole = whole[: 200_000 if name.endswith("json") else 20_000]
    path = tmp_path / "cut"
    for cut in _cuts(len(whole) - 2):
        path.write_bytes(whole[:cut])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_people(path, width=640, height=480)
        except PosemendError:
            continue
        assert name.endswith(".csv"), f"{name} cut at {cut} was read"


def test_cut_off_arrays(tmp_path: Path, pose3d: Pose3D) -> None:
    stream = io.BytesIO()
    np.save(stream, pose3d.positions)
    path = tmp_path / "cut"
    for whole in (stream.getvalue(), _npz(pose=pose3d.positions)):
        for cut in _cuts(len(whole)):
            path.write_bytes(whole[:cut])
            with pytest.raises(PosemendError):
                read(path, skeleton="h36m")


def test_flipped_bytes(tmp_path: Path, pose2d: Pose2D) -> None:
    """Any byte may change: a pose or a `PosemendError`, never another exception."""
    rng = np.random.default_rng(0)
    path = tmp_path / "flipped"
    for suffix in (".npz", ".json", ".csv"):
        whole = write(tmp_path / f"whole{suffix}", pose2d).read_bytes()
        for place in rng.integers(0, len(whole), 100):
            path.write_bytes(whole[:place] + bytes([rng.integers(256)]) + whole[place + 1 :])
            with contextlib.suppress(PosemendError):
                read(path)


def test_random_json_values(as_file: AsFile) -> None:
    """Every value of a file replaced by something odd: a pose or a `PosemendError`."""
    files: list[Any] = [
        _openpose([1.0] * 75),
        [{"image_id": "1.jpg", "keypoints": [1.0] * 51, "idx": 1, "box": [1]}],
        {"images": [{"id": 1, "width": 9, "height": 9}], "annotations": [{"image_id": 1, "keypoints": [1, 1, 2] * 17}]},
        {"meta_info": {"keypoint_id2name": {"0": "nose"}}, "instance_info": [
            {"frame_id": 1, "instances": [{"keypoints": [[1, 2]] * 17, "keypoint_scores": [1] * 17}]}]},
        {"data": [{"frame_index": 1, "skeleton": [{"pose": [[1, 2]] * 17, "score": [[1]] * 17}]}]},
        {"frames": [{"landmarks": [{"x": 0.1, "y": 0.1, "z": 0.1, "visibility": 1}] * 33}], "fps": 30},
        [{"pose_world_landmarks": [{"x": 0.1, "y": 0.1, "z": 0.1, "visibility": 1}] * 33}],
        {"0.jpg": {"bodies": [{"joints": [1.0] * 54}]}},
    ]  # fmt: skip
    odd: list[Any] = [
        None,
        -1,
        10**30,
        1.5,
        "x",
        "",
        [],
        {},
        [None],
        True,
        float("nan"),
        float("inf"),
        [[[1]]],
        {"a": 1},
    ]
    tried = 0
    for content in files:
        for place in _places(content):
            for value in odd:
                text = json.dumps(_replaced(content, place, value))
                tried += 1
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        poses = read_people(as_file(text), width=100, height=100)
                except PosemendError:
                    continue
                assert all(np.isfinite(pose.positions).all() for pose in poses)
    assert tried > 500


def _places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values of a JSON tree are; of lists only the first entry."""
    found = [path] if path else []
    if isinstance(content, dict):
        for key, value in content.items():
            found += _places(value, (*path, key))
    elif isinstance(content, list) and content:
        found += _places(content[0], (*path, 0))
    return found


def _replaced(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(content))
    target = copy
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    return copy


# numbers


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_not_a_number_in_json(as_file: AsFile, bad: float) -> None:
    with pytest.raises(FormatError, match="score 0"):
        read(as_file(_openpose([bad, 5.0, 0.9] + [1.0] * 72)))
    if np.isnan(bad):
        assert read(as_file(_openpose([bad, 5.0, 0.0] + [1.0] * 72))).score[0, 0] == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_not_a_number_in_arrays(as_file: AsFile, pose2d: Pose2D, pose3d: Pose3D, bad: float) -> None:
    positions = pose3d.positions.copy()
    positions[4, 3, 1] = bad
    for name in ({}, {"skeleton": "h36m_17"}):
        with pytest.raises(FormatError, match="NaN" if np.isnan(bad) else "nfinite"):
            read(as_file(_npz(positions_3d=positions, **name)), skeleton="h36m_17")
    flat = pose2d.positions.copy()
    flat[0, 0] = bad
    path = as_file(_npz(positions_2d=flat, skeleton="coco_17"))
    if np.isnan(bad):
        assert read(path).score[0, 0] == 0
    else:
        with pytest.raises(FormatError):
            read(path)


@pytest.mark.parametrize("content", [
    _openpose([0] * 75), {"version": 1.3, "people": []},
    [{"image_id": 1, "keypoints": [0] * 51, "score": 1}],
    {"instance_info": [{"frame_id": 0, "instances": []}]},
    {"data": [{"frame_index": 1, "skeleton": []}]},
    {"frames": [{"landmarks": [[0, 0, 0, 0]] * 33}]},
])  # fmt: skip
def test_nobody_there(as_file: AsFile, content: Any) -> None:
    with pytest.raises(InputError):
        read(as_file(content), width=100, height=100)


def test_nobody_in_own_file(as_file: AsFile) -> None:
    with pytest.raises(InputError, match="all joints are missing"):
        read(as_file(_npz(positions_2d=np.ones((3, 17, 2)), score=np.zeros((3, 17)), skeleton="coco_17")))


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e9])
def test_impossible_frame_rates(as_file: AsFile, fps: float) -> None:
    with pytest.raises(InputError, match="--fps"):
        read(as_file(_openpose([1.0] * 75)), fps=fps)
    with pytest.raises(InputError, match="--fps"):
        read(as_file(_npz(positions_2d=np.ones((3, 17, 2)), skeleton="coco_17", fps=fps)))


@pytest.mark.parametrize("size", [0, -5, 1.5, 10**9])
def test_impossible_sizes(as_file: AsFile, size: float) -> None:
    with pytest.raises(InputError, match="--width"):
        read(as_file(_openpose([1.0] * 75)), width=size, height=100)  # type: ignore[arg-type]


def test_own_file_without_a_size_has_none(as_file: AsFile) -> None:
    pose = read(as_file(_npz(positions_2d=np.ones((3, 17, 2)), skeleton="coco_17")))
    assert isinstance(pose, Pose2D)
    assert (pose.width, pose.height, pose.fps) == (None, None, 30)


# frame numbers


def test_frame_number_of_a_billion(body: Body, openpose_folder: Callable[..., Path], as_file: AsFile) -> None:
    one = body(1)[0]
    with pytest.raises(FormatError, match="frame numbers run"):
        read(openpose_folder({0: [one], 10**9: [one]}, "{}.json"))
    for number in (10**9, 10**400, -3, 1.5, float("nan")):
        table = [{"frame_id": n, "instances": [{"keypoints": one[:, :2].tolist(), "keypoint_scores": [1] * 17}]}
                 for n in (0, number)]  # fmt: skip
        with pytest.raises(FormatError):
            read(as_file(table))
    text = "Frame,LandmarkID,X,Y\n0,0,0.5,0.5\n1000000000,0,0.5,0.5\n"
    with pytest.raises(FormatError):
        read(as_file(text), width=9, height=9)


def test_two_cameras_in_one_folder(body: Body, openpose_folder: Callable[..., Path]) -> None:
    one = body(2)
    openpose_folder({0: [one[0]], 1: [one[1]]}, "cam1.{:04d}.json")
    with pytest.raises(FormatError, match="one camera"):
        read(openpose_folder({0: [one[0]], 1: [one[1]]}, "cam2.{:04d}.json"))


def test_damaged_frame_is_named(body: Body, openpose_folder: Callable[..., Path]) -> None:
    folder = openpose_folder({t: [one] for t, one in enumerate(body(5))})
    bad = folder / "clip_000000000003_keypoints.json"
    bad.write_text(bad.read_text()[:50])
    with pytest.raises(FormatError, match="000000000003"):
        read(folder)


# headers and archives that lie


@pytest.mark.parametrize("shape", [(10**9, 17, 3), (10**18, 10**18, 3), (2**40,), (3, 17, 3), (-5, 17, 3)])
def test_headers_that_lie(as_file: AsFile, shape: tuple[int, ...]) -> None:
    limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    head = _header(shape)
    name = {"skeleton.npy": _header((), "<U7") + "coco_17".encode("utf-32-le")}
    for content in (head + b"\0" * 100, _zipped({"positions_3d.npy": head + b"\0" * 100, **name})):
        with pytest.raises(FormatError):
            read(as_file(content), skeleton="h36m")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - limit < 200_000  # kB: nothing of the kind was allocated


def test_zip_bomb(as_file: AsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert archive_module.BOMB_BYTES < archive_module.MAX_BYTES
    monkeypatch.setattr(archive_module, "BOMB_BYTES", 16 * 1024**2)
    zeros = 20 * 1024**2
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("pose.npy", "w") as member:
        member.write(_header((zeros // 204, 17, 3)))
        for _ in range(zeros // 1024**2):
            member.write(b"\0" * 1024**2)
    with pytest.raises(FormatError, match="bomb"):
        read(as_file(stream.getvalue()), skeleton="h36m")


def test_zip_directory_that_claims_terabytes(as_file: AsFile) -> None:
    content = bytearray(_zipped({"pose.npy": _header((5, 17, 3)) + bytes(5 * 17 * 12)}))
    place = content.rindex(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<I", 2**32 - 2)
    with pytest.raises(FormatError, match="too large"):
        read(as_file(bytes(content)), skeleton="h36m")


@pytest.mark.parametrize("name", ["../pose.npy", "/etc/pose.npy", "a/../../pose.npy", "..\\pose.npy", "C:\\pose.npy"])
def test_names_that_escape(as_file: AsFile, name: str) -> None:
    with pytest.raises(FormatError, match="points outside"):
        read(as_file(_zipped({name: _header((1, 17, 3)) + bytes(204)})), skeleton="h36m")


def test_odd_archives(as_file: AsFile) -> None:
    array = _header((1, 17, 3)) + bytes(204)
    twice = bytearray(_zipped({"pose.npy": array, "posf.npy": array}))
    while (place := twice.find(b"posf.npy")) >= 0:
        twice[place : place + 8] = b"pose.npy"
    for content, words in (
        (bytes(twice), "twice"),
        (_zipped({"readme.txt": b"hello"}), "not an array"),
        (_zipped({}), "0 arrays|kind"),
        (_zipped({f"a{n}.npy": b"" for n in range(1001)}), "1001"),
        (_zipped({"pose.npy": b"no header"}), "header"),
    ):
        with pytest.raises(FormatError, match=words):
            read(as_file(content), skeleton="h36m")


def test_object_arrays_are_refused_with_the_cure(as_file: AsFile) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], object))
    for content in (
        stream.getvalue(),
        _npz(pose=np.array([{"a": 1}], object)),
        _npz(positions_2d=np.array({"a": 1}, object)),
        _npz(positions_3d=np.ones((2, 17, 3)), skeleton=np.array("h36m_17", object)),
    ):
        with pytest.raises(FormatError, match="--trust"):
            read(as_file(content), skeleton="h36m")


def test_own_file_that_contradicts_itself(as_file: AsFile, pose3d: Pose3D) -> None:
    good = {"positions_3d": pose3d.positions, "skeleton": "h36m_17"}
    assert len(read(as_file(_npz(**good)))) == 9
    for change in (
        {"skeleton": "blendmimic3d"}, {"skeleton": "halpe_26"}, {"joints": np.array(["a", "b"])},
        {"score": np.full((9, 17), "x")},
        {"joints": np.array(pose3d.skeleton.joints)[::-1]}, {"score": np.ones((9, 16))},
        {"visible": np.ones(3)}, {"root": np.ones((9, 2))}, {"sigma": np.full((9, 17), np.nan)}, {"frame": "moon"},
        {"positions_2d": np.ones((9, 17, 2))}, {"positions_3d": np.ones((0, 17, 3))}, {"fps": np.ones(2)},
        {"positions_3d": np.ones((9, 17, 3), complex)}, {"positions_3d": np.full((9, 17, 3), "x")},
    ):  # fmt: skip
        with pytest.raises(InputError):
            read(as_file(_npz(**(good | change))))


def test_wish_against_the_file(as_file: AsFile, pose3d: Pose3D) -> None:
    path = as_file(_npz(positions_3d=pose3d.positions, skeleton="h36m_17"))
    with pytest.raises(InputError, match="Leave out --skeleton"):
        read(path, skeleton="blendmimic3d_17")


def test_error_is_raised_before_anything_is_written(tmp_path: Path, as_file: AsFile) -> None:
    before = set(tmp_path.iterdir())
    path = as_file(b"")
    with pytest.raises(FormatError):
        write(tmp_path / "out.npz", read(path))
    assert set(tmp_path.iterdir()) - before == {path}
