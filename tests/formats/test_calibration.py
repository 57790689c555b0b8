"""Camera files: three forms in, one form out, and errors that say what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemend.errors import FormatError, InputError
from posemend.formats.calibration import read_cameras, rotation_from, write_cameras
from posemend.geometry.camera import Camera
from posemend.geometry.lens import Lens, Viewpoint

TABLE = """[cam_01]
name = "left"
size = [ 1088.0, 1920.0]
matrix = [ [ 1681.2, 0.0, 532.9], [ 0.0, 1680.0, 948.1], [ 0.0, 0.0, 1.0]]
distortions = [ -0.0007, 0.002, 9.5e-06, 1.0e-05]
rotation = [ 0.0, 0.0, 1.5707963267948966]
translation = [ 0.3, 0.9, 2.8]
fisheye = false

[metadata]
adjusted = false
error = 0.0
"""


def put(folder: Path, text: str, name: str = "calib.toml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_pose2sims_toml(tmp_path: Path) -> None:
    (view,) = read_cameras(put(tmp_path, TABLE))
    assert view.name == "left"
    assert view.camera.focal == (1681.2, 1680.0) and view.camera.centre == (532.9, 948.1)
    assert (view.camera.width, view.camera.height) == (1088, 1920)
    np.testing.assert_allclose(view.camera.rotation, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(view.camera.translation, [0.3, 0.9, 2.8])
    assert view.lens == Lens((-0.0007, 0.002, 9.5e-06, 1.0e-05))
    (small,) = read_cameras(put(tmp_path, TABLE), unit="mm")
    np.testing.assert_allclose(small.camera.translation, [0.0003, 0.0009, 0.0028])


def test_rotation_vectors() -> None:
    vector = np.array([0.3, -1.2, 0.7])
    turned = rotation_from(vector)
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turned @ vector, vector, atol=1e-12)
    assert np.trace(turned) == pytest.approx(1 + 2 * np.cos(np.linalg.norm(vector)))
    np.testing.assert_array_equal(rotation_from(np.zeros(3)), np.eye(3))


def test_own_json_comes_back(tmp_path: Path) -> None:
    rotation = rotation_from(np.array([0.1, 0.2, 0.3]))
    views = [
        Viewpoint("a", Camera((900, 901), (320, 240), 640, 480, rotation, np.array([1.0, 2, 3]))),
        Viewpoint("b", Camera((800, 800), (320, 240), 640, 480), Lens((0.1, 0.01, 0, 0), True)),
    ]
    write_cameras(tmp_path / "cameras.json", views)
    found = read_cameras(tmp_path / "cameras.json")
    for one, other in zip(found, views, strict=True):
        assert (one.name, one.lens, one.camera.focal, one.camera.centre, one.camera.width) == (
            other.name, other.lens, other.camera.focal, other.camera.centre, other.camera.width)  # fmt: skip
        np.testing.assert_allclose(one.camera.rotation, other.camera.rotation)
        np.testing.assert_allclose(one.camera.translation, other.camera.translation)


def test_matrices(tmp_path: Path) -> None:
    k = np.array([[[900, 0, 320], [0, 910, 240], [0, 0, 1.0]]] * 2)
    rt = np.concatenate([np.stack([np.eye(3)] * 2), np.array([[[0], [0], [2]], [[1], [0], [2.0]]])], 2)
    np.savez(tmp_path / "m.npz", K=k, RT=rt)
    found = read_cameras(tmp_path / "m.npz")
    assert [view.name for view in found] == ["Cam_0", "Cam_1"]
    assert found[1].camera.focal == (900, 910) and (found[1].camera.width, found[1].camera.height) == (640, 480)
    np.testing.assert_allclose(found[1].camera.translation, [1, 0, 2])


def test_blendmimic3d_and_pose2sim(shared_data: Path) -> None:
    assert len(read_cameras(shared_data / "blendmimic3d" / "S1" / "Cameras" / "matrices_S1.npz")) == 4
    demo = shared_data / "formats" / "pose2sim_demo" / "calibration"
    names = [view.name for view in read_cameras(demo / "Calib_qualisys.toml")]
    assert names == ["cam_01", "cam_02", "cam_03", "cam_04"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE.replace("translation", "place"), "no 'translation'"),
        (TABLE.replace("[ 0.3, 0.9, 2.8]", "[ 0.3, 0.9]"), r"'translation' wants \(3,\)"),
        (TABLE.replace("[ 0.3, 0.9, 2.8]", "[ 0.3, 0.9, nan]"), "finite"),
        (TABLE.replace("[ 0.3, 0.9, 2.8]", "'here'"), "not made of numbers"),
        (TABLE.replace("1681.2", "-1681.2"), "focal lengths above 0"),
        ("[metadata]\nerror = 1\n", "holds no camera"),
        ("what is this", "not TOML"),
        ("{}", "no camera file"),
        ('{"format": "posemend-cameras", "cameras": [{}]}', "no 'focal'"),
        ('{"format": "posemend-cameras", "cameras": [3]}', "no table"),
        (TABLE + TABLE.split("[metadata]")[0].replace("cam_01", "cam_02").replace("0.3, 0.9", "4000, 0.9"), "--unit"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_cameras(put(tmp_path, text))


def test_bad_archives_and_units(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", K=np.zeros((2, 3, 3)))
    with pytest.raises(FormatError, match="wanted K and RT"):
        read_cameras(tmp_path / "m.npz")
    with pytest.raises(InputError, match="No unit"):
        read_cameras(tmp_path / "m.npz", unit="feet")
    with pytest.raises(FormatError, match="Cannot read"):
        read_cameras(tmp_path / "none.toml")


@pytest.mark.parametrize("coefficients", [(1.0,), (1.0, 2, 3, 4, 5, 6), (float("nan"), 0, 0, 0)])
def test_bad_lens(coefficients: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="distortion coefficients"):
        Lens(coefficients)
