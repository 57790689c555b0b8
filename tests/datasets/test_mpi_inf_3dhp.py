"""MPI-INF-3DHP: made-up files in the layouts of its authors (MATLAB 5 and 7.3) and of P-STMO."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from posemend.body.catalogue import MPI_INF_3DHP_17, MPI_INF_3DHP_28
from posemend.body.handedness import handedness
from posemend.datasets import mpi_inf_3dhp
from posemend.datasets.matlab import load_matlab
from posemend.errors import FormatError, InputError, MissingExtra

from .person import as_joints, in_front, walking

FRAMES = 25
NAMES = {
    "neck": "thorax", "head": "nose", "spine2": "spine", "spine3": "spine", "spine4": "thorax",
    "l_clavicle": "thorax", "r_clavicle": "thorax", "l_hand": "l_wrist", "r_hand": "r_wrist",
    "l_foot": "l_ankle", "r_foot": "r_ankle", "l_toe": "l_ankle", "r_toe": "r_ankle",
}  # fmt: skip
CAMERA = in_front(2048, 2048, 1500.0)


def seen(skeleton=MPI_INF_3DHP_17, frames: int = FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """(F, J, 2) pixels and (F, J, 3) millimetres in camera axes."""
    points = CAMERA.to_camera(as_joints(walking(frames), skeleton, NAMES))
    return CAMERA.project(points), points * 1000


def save_training(folder: Path, scale: float = 1.1) -> None:
    """``annot.mat``; every camera is another 10 mm to the right, and universal positions are larger."""
    pixels, points = seen(MPI_INF_3DHP_28)
    cells = {name: np.empty((14, 1), object) for name in ("annot2", "annot3", "univ_annot3")}
    for camera in range(14):
        moved = points + [10.0 * camera, 0, 0]
        cells["annot2"][camera, 0] = CAMERA.project(moved / 1000).reshape(FRAMES, -1)
        cells["annot3"][camera, 0] = moved.reshape(FRAMES, -1)
        cells["univ_annot3"][camera, 0] = (scale * moved).reshape(FRAMES, -1)
    folder.mkdir(parents=True)
    savemat(folder / "annot.mat", cells | {"cameras": np.arange(14.0)[None], "frames": np.arange(FRAMES)[:, None]})


def save_test(folder: Path, valid: np.ndarray, scale: float = 1.1) -> None:
    """``annot_data.mat`` as MATLAB 7.3 writes it: HDF5 with all axes reversed behind 512 bytes of its own."""
    h5py = pytest.importorskip("h5py")
    pixels, points = seen()
    folder.mkdir(parents=True)
    with h5py.File(folder / "annot_data.mat", "w", userblock_size=512) as file:
        file["annot2"] = pixels[:, None]
        file["annot3"] = points[:, None]
        file["univ_annot3"] = scale * points[:, None]
        file["valid_frame"] = valid.astype(float)[:, None]
        file["activity_annotation"] = np.ones((FRAMES, 1))
    with (folder / "annot_data.mat").open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))


def save_npz(folder: Path) -> None:
    pixels, points = seen()
    view = {"data_2d": pixels.astype("float32"), "data_3d": points.astype("float32")}
    training = {"S1 Seq2": [{"0": view, "8": view}, 50], "S7 Seq1": [{"0": view}, 25]}
    np.savez_compressed(folder / "data_train_3dhp.npz", data=training)
    test = {"TS1": view | {"valid": np.arange(FRAMES) % 2 == 0}, "TS6": view | {"valid": np.ones(FRAMES)}}
    np.savez_compressed(folder / "data_test_3dhp.npz", data=test)


def check(take, scale: float = 1.0, shift: float = 0.0) -> None:
    assert take.truth.skeleton == take.keypoints.skeleton == MPI_INF_3DHP_17
    pelvis = MPI_INF_3DHP_17.index("pelvis")
    assert (take.truth.positions[:, pelvis] == 0).all()
    _, points = seen()
    wanted = scale * (points / 1000 + [shift, 0, 0])
    got = take.truth.positions + take.truth.root[:, None]
    np.testing.assert_allclose(got, wanted, atol=2e-5)
    assert handedness(take.truth).verdict == "right"
    assert np.abs(take.keypoints.camera.project(got.astype(float)) - take.keypoints.positions).max() < 0.05
    assert take.keypoints.camera.focal == pytest.approx((1500, 1500), rel=1e-4)
    knees = [take.truth.skeleton.index(name) for name in ("l_knee", "head_top")]
    assert (np.diff(got[:, knees, 1], axis=1) < 0).all(), "the head is above the knees"


def test_training_annotations(tmp_path) -> None:
    save_training(tmp_path / "S3" / "Seq2")
    takes = mpi_inf_3dhp.read(tmp_path)
    assert [take.name for take in takes] == [f"S3/Seq2/{camera}" for camera in mpi_inf_3dhp.CAMERAS]
    assert {(take.truth.fps, take.keypoints.width) for take in takes} == {(50, 2048)}
    check(takes[2], 1.1, 0.02)
    (own,) = mpi_inf_3dhp.read(tmp_path, ["S3"], ["Seq2"], [13], universal=False)
    check(own, 1.0, 0.13)


def test_test_annotations_in_matlab_7_3(tmp_path) -> None:
    valid = np.arange(FRAMES) > 4
    save_test(tmp_path / "mpi_inf_3dhp_test_set" / "TS2", valid)
    (take,) = mpi_inf_3dhp.read(tmp_path, ["TS2"])
    assert take.name == "TS2/test/0" and take.truth.fps == 25
    np.testing.assert_array_equal(take.truth.score, np.repeat(valid[:, None], 17, 1))
    assert (take.truth.positions[~valid] == 0).all() and (take.keypoints.score == 1).all()
    part = mpi_inf_3dhp.read(tmp_path, ["TS2"], universal=False, test_fps=30)[0]
    assert part.truth.fps == 30
    _, points = seen()
    for found, scale in ((take, 1.1), (part, 1.0)):
        np.testing.assert_allclose(
            (found.truth.positions + found.truth.root[:, None])[valid], scale * points[valid] / 1000, atol=2e-5
        )
        assert found.keypoints.camera.focal == pytest.approx((1500, 1500), rel=1e-4)


def test_both_generations_of_matlab_give_the_same(tmp_path) -> None:
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    table, cells = rng.normal(size=(3, 4, 5)), [rng.normal(size=(2, 3)), rng.normal(size=(4, 1))]
    packed = np.empty((2, 1), object)
    packed[:, 0] = cells
    savemat(tmp_path / "old.mat", {"table": table, "cells": packed})
    with h5py.File(tmp_path / "new.mat", "w") as file:
        file["table"] = table.T
        references = file.create_dataset("cells", (1, 2), dtype=h5py.ref_dtype)
        for place, cell in enumerate(cells):
            file[f"#refs#/{place}"] = cell.T
            references[0, place] = file[f"#refs#/{place}"].ref
        file.create_group("struct")
    for name in ("old.mat", "new.mat"):
        found = load_matlab(tmp_path / name, ("table", "cells"))
        np.testing.assert_array_equal(found["table"], table)
        assert len(found["cells"]) == 2
        for one, other in zip(found["cells"], cells, strict=True):
            np.testing.assert_array_equal(one, other)
        with pytest.raises(FormatError, match="lacks the variables more"):
            load_matlab(tmp_path / name, ("table", "more"))
    with pytest.raises(FormatError, match="group"):
        load_matlab(tmp_path / "new.mat", ("struct",))
    (tmp_path / "cut.mat").write_bytes((tmp_path / "old.mat").read_bytes()[:300])
    with pytest.raises(FormatError):
        load_matlab(tmp_path / "cut.mat", ("table",))


def test_p_stmos_files(tmp_path) -> None:
    save_npz(tmp_path)
    takes = mpi_inf_3dhp.read(tmp_path, trust=True)
    assert [take.name for take in takes] == ["S1/Seq2/0", "S1/Seq2/8", "S7/Seq1/0", "TS1/test/0", "TS6/test/0"]
    assert [take.truth.fps for take in takes] == [50, 50, 25, 25, 25]
    check(takes[0])
    assert (takes[4].keypoints.width, takes[4].keypoints.height) == (1920, 1080)
    assert takes[3].truth.score[:, 0].tolist() == [1, 0] * 12 + [1]
    with pytest.raises(FormatError, match="trust"):
        mpi_inf_3dhp.read(tmp_path)
    with pytest.raises(InputError, match="universal positions only"):
        mpi_inf_3dhp.read(tmp_path, trust=True, universal=False)


def test_joints_outside_the_image_are_hidden(tmp_path) -> None:
    save_npz(tmp_path)
    take = mpi_inf_3dhp.read(tmp_path, ["TS6"], trust=True)[0]  # square projections in a wide image
    low = take.keypoints.positions[..., 1] > 1080
    assert 0 < low.sum() < low.size
    np.testing.assert_array_equal(take.keypoints.visible, ~low)


def test_no_camera_where_2d_and_3d_do_not_agree(tmp_path) -> None:
    pixels, points = seen()
    pixels = pixels + np.random.default_rng(0).normal(0, 30, pixels.shape)
    np.savez(tmp_path / "data_test_3dhp.npz", data={"TS1": {"data_2d": pixels, "data_3d": points}})
    assert mpi_inf_3dhp.read(tmp_path, trust=True)[0].keypoints.camera is None


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"subjects": ["S9"]}, "no subject S9"),
        ({"subjects": ["TS3"]}, "nothing|not there"),
        ({"cameras": [14]}, "no camera '14'"),
        ({"actions": ["Seq3"]}, "nothing"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, asked, words) -> None:
    save_training(tmp_path / "S1" / "Seq1")
    with pytest.raises(InputError, match=words):
        mpi_inf_3dhp.read(tmp_path, **asked)


def test_damaged_and_reordered_files_are_refused(tmp_path) -> None:
    pixels, points = seen(frames=60)
    order = list(MPI_INF_3DHP_17.mirror)
    for view, words in (
        ({"data_2d": pixels[:, order], "data_3d": points[:, order]}, "left and right"),
        ({"data_2d": pixels[:9], "data_3d": points}, "9 frames of 2D"),
        ({"data_2d": pixels, "data_3d": points[:, :16]}, "17, 3"),
        ({"data_2d": pixels, "data_3d": points * 100}, "millimetres"),
    ):
        np.savez(tmp_path / "data_test_3dhp.npz", data={"TS1": view})
        with pytest.raises(FormatError, match=words):
            mpi_inf_3dhp.read(tmp_path, trust=True)
    with pytest.raises(InputError, match="not there"):
        mpi_inf_3dhp.read(tmp_path / "nowhere")


def test_a_missing_package_is_named(tmp_path, monkeypatch) -> None:
    save_test(tmp_path / "TS1", np.ones(FRAMES, bool))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"posemend\[datasets\]"):
        mpi_inf_3dhp.read(tmp_path)
