"""``posemend adapt``: what it hands on, says and refuses; the learning itself is tested in its room."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import posemend
from posemend.formats.calibration import write_cameras
from posemend.geometry.lens import Lens
from posemend.training import adapting
from tests.cli.conftest import seen
from tests.multiview.scene import person, ring
from tests.multiview.scene import seen as filmed


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for the learning; gives what it was called with."""
    calls: list[dict[str, Any]] = []
    figures = {"reprojection_px": 3.0, "reprojection_percent": 4.0, "bone_change_mm": 9.0, "height_spread": None}

    def adapt(people, out, folder, minutes, bundle, moments, seed, show):  # type: ignore[no-untyped-def]
        assert Path(folder).is_dir()
        calls.append({"people": people, "minutes": minutes, "bundle": bundle, "moments": moments, "seed": seed})
        check = {"exact": 50.0, "detector": 90.0}
        return SimpleNamespace(
            steps=7, seconds=1.0, share=0.5, check={"before": check, "after": check},
            clips={"before": figures, "after": figures},
        )  # fmt: skip

    monkeypatch.setattr(adapting, "adapt", adapt)
    return calls


def test_says_what_it_did(call, keypoints: Path, teacher) -> None:
    said = call("adapt", keypoints, "-o", "mine", "--minutes", 2, "--json")
    assert said.code == 0, said.err
    assert said.json["check_mm"]["after"] == {"exact": 50.0, "detector": 90.0}
    assert said.json["steps"] == 7 and said.json["without_truth"]["before"]["height_spread"] is None
    (made,) = teacher
    assert made["minutes"] == 2 and made["bundle"] == "default" and made["moments"] == []
    np.testing.assert_array_equal(made["people"][0].positions, seen().positions)
    plain = call("adapt", keypoints, "-o", "mine").out
    assert "built-in check, detector, mm" in plain and "--bundle mine" in plain


def test_cameras_make_one_moment_of_undistorted_clips(call, tmp_path: Path, teacher) -> None:
    views, world = ring(3, Lens((-0.2, 0.05, 0.0, 0.0))), person(frames=10)
    write_cameras(tmp_path / "cameras.json", views)
    for view in views:
        posemend.write(tmp_path / f"{view.name}.npz", filmed(world, view))
    files = [f"{view.name}.npz" for view in views]
    assert call("adapt", *files, "--cameras", "cameras.json", "-o", "mine").code == 0
    assert teacher[0]["moments"] == [0, 0, 0]
    for one, view in zip(teacher[0]["people"], views, strict=True):
        wanted = view.camera.project(view.camera.to_camera(world))
        np.testing.assert_allclose(one.positions, wanted, atol=0.01)
        np.testing.assert_array_equal(one.camera.rotation, view.camera.rotation)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("-o", "mine"), "at least one keypoint file"),
        (("keypoints.npz", "-o", "no/such/mine"), "no folder"),
        (("pose.npz", "-o", "mine"), "2D keypoints are wanted"),
        (("nosuch.npz", "-o", "mine"), "nosuch.npz"),
    ],
)
def test_refusals(call, keypoints: Path, pose: Path, words: tuple[str, ...], part: str, teacher) -> None:
    said = call("adapt", *words)
    assert said.code == 2 and part in said.err and "Traceback" not in said.err
    assert teacher == []


def test_one_frame(call, tmp_path: Path) -> None:
    posemend.write(tmp_path / "still.npz", seen(1))
    said = call("adapt", "still.npz", "-o", "mine")
    assert said.code == 2 and "1 frame;" in said.err and not Path("mine").exists()
