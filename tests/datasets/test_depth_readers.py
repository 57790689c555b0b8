"""ITOP, Baracca, RGB-D clips and intrinsics, in the layouts that their makers write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemend.datasets import baracca, intrinsics, itop, rgbd
from posemend.errors import FormatError, InputError
from posemend.geometry.depth import project

h5py = pytest.importorskip("h5py")
Image = pytest.importorskip("PIL.Image")


def write_itop(root: Path, people: tuple[str, ...] = ("04", "06"), frames: int = 5) -> np.ndarray:
    """ITOP's side training part in small; gives the joints as the file has them (y up)."""
    chance = np.random.default_rng(0)
    ids = [f"{person}_{number:05d}".encode() for person in people for number in range(frames)]
    count = len(ids)
    joints = chance.normal(0, 0.4, (count, 15, 3)) + [0, 0, 3]
    joints[:, 9:11, :2] = joints[:, 8:9, :2]
    u, v = joints[..., 0] / joints[..., 2] / 0.0035 + 160, 120 - joints[..., 1] / joints[..., 2] / 0.0035
    valid = np.ones(count, np.uint8)
    valid[2] = 0
    joints[2] = np.nan
    depth = np.full((count, 240, 320), 3.0, np.float16)
    depth[:, :10] = 0
    depth += np.arange(count, dtype=np.float16)[:, None, None] * np.float16(0.125) * (depth > 0)
    with h5py.File(root / "ITOP_side_train_depth_map.h5", "w") as file:
        file["id"], file["data"] = np.array(ids), depth
    with h5py.File(root / "ITOP_side_train_labels.h5", "w") as file:
        file["id"], file["is_valid"] = np.array(ids), valid
        file["visible_joints"] = (chance.random((count, 15)) < 0.8).astype(np.int16)
        file["image_coordinates"] = np.nan_to_num(np.stack([u, v], -1)).astype(np.int16)
        file["real_world_coordinates"] = joints.astype(np.float32)
        file["segmentation"] = np.zeros((count, 240, 320), np.int8)
    return joints


def test_itop(tmp_path: Path) -> None:
    truth = write_itop(tmp_path)
    recording = itop.Recording(tmp_path)
    assert len(recording) == 9 and recording.people() == ("04", "06")
    take, clip = recording.clip("04")
    assert take.cuts == (2,) and len(take.truth) == len(clip) == 4
    assert clip.metres(slice(2, 3))[0, 100, 100] == pytest.approx(3.375)  # frame 3: frame 2 is not valid
    assert not clip.metres()[:, :10].any()
    there = take.truth.positions + take.truth.root[:, None]
    assert np.allclose(there[3], truth[4] * [1, -1, 1], atol=1e-5)
    # the file's pixels are whole numbers, cut off
    assert np.abs(project(there, clip.camera) - take.keypoints.positions).max() <= 1.01
    frames = recording.frames([8, 0, 8])
    assert frames.depth[:, 50, 50].tolist() == [4.125, 3.0, 4.125]
    with pytest.raises(InputError, match="no person '09'.*04, 06"):
        recording.clip("09")


def test_itop_trains(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from posemend.training import tasks
    from posemend.training.recipe import load

    write_itop(tmp_path)
    for name in ("patch", "body", "cloud"):
        recipe = load(
            Path(__file__).parents[2] / "recipes" / f"depth-{name}.toml", [f"depth.itop={tmp_path}", "optim.batch=3"]
        )
        learned = {tasks.maker(recipe).maker._recording.person[row] for row in tasks.maker(recipe).maker._chosen}
        assert learned == {"06"}, "04 and 05 are held out"
        batch = tasks.maker(recipe).batch(0)
        assert all(np.isfinite(x).all() for x in batch.inputs())
        assert len(tasks.held_out_batches(recipe, 1)) == 1


def test_itop_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ITOP_side_train_depth_map.h5, which is not there"):
        itop.Recording(tmp_path)
    write_itop(tmp_path)
    with h5py.File(tmp_path / "ITOP_side_train_labels.h5", "a") as file:
        names = file["id"][:]
        names[0] = b"05_00000"
        file["id"][:] = names
    with pytest.raises(FormatError, match="different frames"):
        itop.Recording(tmp_path)
    (tmp_path / "ITOP_side_train_labels.h5").write_bytes(b"no hdf5 at all")
    with pytest.raises(FormatError, match="cannot be read as HDF5"):
        itop.Recording(tmp_path)


def write_png(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def write_baracca(root: Path, angle: int, shape: tuple[int, int]) -> None:
    (root / "viewpoints.json").write_text(json.dumps({str(n): {"orientation": [angle]} for n in range(8)}))
    for number in range(10):
        values = np.full(shape, 600 + number, np.uint16)
        write_png(root / "002" / "003" / f"imgDepth_002_003_{number:03d}.png", values)


@pytest.mark.parametrize(("angle", "shape"), [(0, (480, 640)), (90, (640, 480)), (180, (480, 640)), (270, (640, 480))])
def test_baracca(tmp_path: Path, angle: int, shape: tuple[int, int]) -> None:
    write_baracca(tmp_path, angle, shape)
    clip = baracca.clip(tmp_path, 2, 3)
    assert len(clip) == 10 and clip.unit == 0.001
    assert clip.metres(slice(4, 5))[0, 5, 5] == pytest.approx(0.604)
    # a point seen by the sensor at (u, v) is where turning the picture puts it
    level = intrinsics.preset("baracca")
    point = np.array([[0.1, -0.2, 1.0]], np.float32)
    turn = {0: (0.1, -0.2), 90: (-0.2, -0.1), 180: (-0.1, 0.2), 270: (0.2, 0.1)}[angle]
    (u, v), (a, b) = project(point, level)[0], project(np.array([[*turn, 1.0]], np.float32), clip.camera)[0]
    wanted = {0: (u, v), 90: (v, 640 - u), 180: (640 - u, 480 - v), 270: (480 - v, u)}[angle]
    assert np.allclose((a, b), wanted, atol=1e-3)


def test_baracca_keypoints_and_mistakes(tmp_path: Path) -> None:
    write_baracca(tmp_path, 90, (480, 640))
    with pytest.raises(FormatError, match="turned by 90 degrees it should be 480x640"):
        baracca.clip(tmp_path, 2, 3)
    with pytest.raises(InputError, match="which is not there"):
        baracca.clip(tmp_path, 9, 3)
    values = np.arange(30 * 8 * 10 * 18 * 2, dtype=np.float64).reshape(30, 8, 10, 18, 2) % 400
    values[1, 3, 0, 5] = 0  # not found
    np.savez(tmp_path / "kpts.npz", values)
    pose = baracca.keypoints(tmp_path, tmp_path / "kpts.npz", 2, 3)
    assert (pose.width, pose.height) == (480, 640)
    assert pose.score[0, 3] == 0 and pose.score[1, 3] == 1  # l_shoulder is the detector's 5
    assert np.allclose(pose.positions[1, 4], values[1, 3, 1, 3] + 0.5)  # r_elbow is its 3
    with pytest.raises(InputError, match="subjects 1 to 30"):
        baracca.keypoints(tmp_path, tmp_path / "kpts.npz", 31, 3)


PLAIN = {"fx": 300.0, "fy": 310.0, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48}


def test_folder_of_pngs(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write_png(tmp_path / f"depth_{number}.png", np.full((48, 64), 1000 + number, np.uint16))
    (tmp_path / "intrinsics.json").write_text(json.dumps(PLAIN))
    clip, colour = rgbd.read(tmp_path, fps=15)
    assert colour is None and clip.fps == 15 and clip.unit == 0.001
    assert clip.camera.centre == (32.0, 24.0)  # makers call the first pixel's middle 0
    assert np.allclose(clip.metres()[:, 0, 0], [1.001, 1.002, 1.010]), "2 comes before 10"
    write_png(tmp_path / "depth_01.png", np.full((48, 64), 5, np.uint16))
    with pytest.raises(FormatError, match="number 1"):
        rgbd.read(tmp_path)


@pytest.mark.parametrize(
    ("values", "words"),
    [(np.zeros((48, 64), np.uint8), "16 bits"), (np.zeros((48, 64, 3), np.uint8), "16 bits"), (None, "cannot be read")],
)
def test_pictures_that_are_no_depth(tmp_path: Path, values: np.ndarray | None, words: str) -> None:
    if values is None:
        (tmp_path / "a1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    else:
        write_png(tmp_path / "a1.png", values)
    with pytest.raises(FormatError, match=words):
        rgbd.read(tmp_path, "kinect-v2")


def test_hdf5_and_arrays(tmp_path: Path) -> None:
    maps = np.full((4, 48, 64), 1.5, np.float16)
    with h5py.File(tmp_path / "clip.h5", "w") as file:
        file["depth"] = maps
        for name, value in PLAIN.items():
            file.attrs[name] = value
    np.savez(tmp_path / "clip.npz", depth=maps, **{key: np.array(value) for key, value in PLAIN.items()}, fps=25.0)
    for name, fps in (("clip.h5", 30.0), ("clip.npz", 25.0)):
        clip, _ = rgbd.read(tmp_path / name)
        assert clip.camera.focal == (300.0, 310.0) and clip.fps == fps and clip.unit == 1.0
        assert clip[1:3].metres().shape == (2, 48, 64) and clip.metres().max() == 1.5
    np.save(tmp_path / "bare.npy", maps)
    with pytest.raises(InputError, match="Give --intrinsics"):
        rgbd.read(tmp_path / "bare.npy")
    with pytest.raises(InputError, match="64x48 pixels and the intrinsics are for 320x240"):
        rgbd.read(tmp_path / "bare.npy", "itop")
    with pytest.raises(InputError, match="m, mm or metres per count"):
        rgbd.read(tmp_path / "clip.npz", unit="inch")
    with pytest.raises(FormatError, match="It holds: depth"):
        rgbd.read(tmp_path / "clip.h5", key="colour")
    with pytest.raises(InputError, match="no depth at"):
        rgbd.read(tmp_path / "nowhere.npz")


REALSENSE = {"width": 848, "height": 480, "fx": 421.1, "fy": 421.3, "ppx": 420.2, "ppy": 237.0, "coeffs": [0.0] * 5}
OPEN3D = {"width": 640, "height": 480, "intrinsic_matrix": [525.0, 0, 0, 0, 526.0, 0, 319.5, 239.5, 1]}
MATRIX = {"width": 640, "height": 480, "K": [[525.0, 0, 319.5], [0, 526.0, 239.5], [0, 0, 1]]}
KINECT = {"CalibrationInformation": {"Cameras": [
    {"Purpose": "CALIBRATION_CameraPurposeDepth", "SensorWidth": 1024, "SensorHeight": 1024,
     "Intrinsics": {"ModelParameters": [0.5, 0.51, 0.4922, 0.4923, 0.01, 0.0]}},
    {"Purpose": "PhotoVideo", "SensorWidth": 4096, "SensorHeight": 3072,
     "Intrinsics": {"ModelParameters": [0.5, 0.5, 0.47, 0.63]},
     "Rt": {"Rotation": [1, 0, 0, 0, 0.8, 0.6, 0, -0.6, 0.8], "Translation": [-32.0, -2.0, 4.0]}}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "size", "focal", "centre"),
    [
        (REALSENSE, None, (421.1, 421.3), (420.7, 237.5)),
        ({"depth": REALSENSE}, None, (421.1, 421.3), (420.7, 237.5)),
        (OPEN3D, None, (525.0, 526.0), (320.0, 240.0)),
        (MATRIX, None, (525.0, 526.0), (320.0, 240.0)),
        (KINECT, (640, 576), (504.0128, 504.1152), (320.0, 342.24)),
        (KINECT, (320, 288), (252.0064, 252.0576), (160.0, 171.12)),
    ],
)
def test_intrinsics(table: dict[str, Any], size: Any, focal: tuple[float, float], centre: tuple[float, float]) -> None:
    camera = intrinsics.parse(table, size=size).depth
    assert camera.focal == pytest.approx(focal) and camera.centre == pytest.approx(centre)
    assert size is None or (camera.width, camera.height) == size


def test_colour_camera_and_its_place() -> None:
    colour = intrinsics.parse(KINECT, size=(640, 576)).colour
    assert colour is not None and colour.translation == pytest.approx([-0.032, -0.002, 0.004])  # from millimetres
    way = {"rotation": np.eye(3).tolist(), "translation": [0.015, 0, 0]}
    both = intrinsics.parse({"depth": REALSENSE, "color": MATRIX, "extrinsics": way})
    assert both.colour is not None and both.colour.translation == pytest.approx([0.015, 0, 0])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "holds no intrinsics"), ([], "wanted a JSON object"), ({**PLAIN, "fx": "wide"}, "4 finite numbers"),
        ({"fx": 1, "fy": 1, "cx": 1, "cy": 1}, "width and height"),
        ({**REALSENSE, "coeffs": [0.2, -0.5, 0, 0, 0]}, "distortion is not small"),
        ({"Cameras": [{"Purpose": "PhotoVideo"}]}, "no depth camera"),
    ],
)  # fmt: skip
def test_intrinsics_that_are_none(table: Any, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        intrinsics.parse(table)


def test_unknown_sensor() -> None:
    with pytest.raises(InputError, match="azure-kinect-nfov"):
        intrinsics.read("kinect5")
