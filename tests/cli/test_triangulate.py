"""``posemend triangulate``: what it writes, says and refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import posemend
from posemend.formats.calibration import write_cameras
from tests.multiview.scene import person, ring, seen


@pytest.fixture
def rig(tmp_path: Path) -> list[str]:
    """Four keypoint files and ``cameras.json`` in the folder; gives the files' names."""
    views, world = ring(4), person(frames=10) + [0.9, 0.5, 0]
    write_cameras(tmp_path / "cameras.json", views)
    for view in views:
        posemend.write(tmp_path / f"{view.name}.json", seen(world, view, 1.0))
    return [f"{view.name}.json" for view in views]


def test_writes_a_pose_and_reports(call, rig: list[str]) -> None:
    said = call("triangulate", *rig, "--cameras", "cameras.json", "-o", "out.npz", "--json")
    assert said.code == 0, said.err
    found = posemend.read("out.npz")
    assert found.frame == "world"
    error = np.linalg.norm(found.positions - person(frames=10) - [0.9, 0.5, 0], axis=-1)
    assert error.max() < 0.03
    report = said.json["reprojection"]
    assert set(report["cameras"]) == {"cam_0", "cam_1", "cam_2", "cam_3"}
    assert report["all"]["found"] == 1 and 0.3 < report["all"]["pixels"] < 2
    assert set(report["joints"]["l_knee"]) == {"pixels", "mm", "used", "found", "sigma_mm"}
    plain = call("triangulate", *rig[:2], "--cameras", "cameras.json", "--views", "cam_0", "cam_1", "-o", "b.npz")
    assert plain.code == 0 and "cam_1" in plain.out and "100% of the joints found" in plain.out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--cameras", "cameras.json", "--views", "cam_0", "cam_9"), "no camera 'cam_9'"),
        (("--cameras", "cameras.json", "--views", "cam_0", "cam_1"), "4 views and 2 cameras"),
        (("--cameras", "cameras.json", "--views", "cam_1", "cam_0", "cam_2", "cam_3"), "contradict the keypoints"),
        (("--cameras", "cameras.json", "--tolerance", "0"), "--tolerance"),
        (("--cameras", "none.toml"), "none.toml"),
        ((), "carry no camera"),
    ],
)
def test_refusals(call, rig: list[str], words: tuple[str, ...], part: str) -> None:
    said = call("triangulate", *rig, *words, "-o", "out.npz")
    assert said.code == 2 and part in said.err and "Traceback" not in said.err
    assert not Path("out.npz").exists()


def test_three_d_is_refused(call, rig: list[str], pose: Path) -> None:
    said = call("triangulate", rig[0], pose, "-o", "out.npz")
    assert said.code == 2 and "2D keypoints" in said.err


def test_cameras_in_the_files(call, tmp_path: Path) -> None:
    world, views = person(frames=4), ring(3)
    for view in views:
        posemend.write(tmp_path / f"{view.name}.npz", replace(seen(world, view), camera=view.camera))
    said = call("triangulate", *(f"{view.name}.npz" for view in views), "-o", "out.csv")
    assert said.code == 0, said.err
