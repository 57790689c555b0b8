"""Depth as points beside poses: what is embedded, how much of it, and where poses stand among it."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

import posemend
from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose3D
from posemend.errors import InputError
from posemend.geometry.camera import Camera
from posemend.geometry.depth import DepthClip
from posemend.viewer import Layer, Scene, cloud
from posemend.viewer import points as points_module
from posemend.viewer.html import pack
from tests.viewer.clips import FPS, walk

CAMERA = Camera((140.0, 140.0), (80.0, 60.0), 160, 120)


def wall(frames: int, distance: float = 4.2) -> DepthClip:
    """A flat wall that comes two centimetres nearer with each frame, a hole in its corner."""
    maps = np.full((frames, 120, 160), distance, np.float32) - 0.02 * np.arange(frames, dtype=np.float32)[:, None, None]
    maps[:, :20, :20] = 0
    return DepthClip(maps, CAMERA, 1.0, FPS)


def standing(frames: int, aside: float = 0.0) -> Pose3D:
    away = walk(frames) + np.array([aside, 0.1, 4.0])
    return Pose3D(away.astype(np.float32), H36M_17, fps=FPS, frame="camera")


def test_points_are_those_of_the_maps() -> None:
    found = cloud(wall(6), standing(6))
    np.testing.assert_array_equal(found.frames, np.arange(6))
    for frame, points in enumerate(found.points):
        assert 1000 < len(points) <= points_module.MOST_A_FRAME
        np.testing.assert_allclose(points[:, 2] + found.anchors[frame, 2], 4.2 - 0.02 * frame, atol=1e-4)
        there = points + found.anchors[frame]
        pixels = there[:, :2] / there[:, 2:] * 140 + [80, 60]
        assert not ((pixels < 19.9).all(1)).any(), "a hole has no points"
        # the first half is a thinner cloud of the same thing
        half = points[: len(points) // 2]
        assert np.abs(half.mean(0) - points.mean(0)).max() < 0.08


def test_long_clips_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points_module, "MOST", 6000)
    found = cloud(wall(40), standing(40))
    assert sum(map(len, found.points)) <= 6000 and len(found.frames) == 10
    packed = pack(Scene([Layer(standing(40), "refined", "refined")], None, "", found), 8)
    data = packed["cloud"]
    assert packed["stride"] == 5 and len(data["shown"]) == 8
    numbers = np.frombuffer(base64.b64decode(data["points"]), "<i2").reshape(-1, 3) * data["scale"]
    assert len(numbers) == sum(data["counts"])
    starts = np.cumsum([0, *data["counts"]])
    for number, place in enumerate(data["shown"]):
        latest = found.frames[found.frames <= number * 5][-1]
        np.testing.assert_allclose(numbers[starts[place], 2] + 4.0, 4.2 - 0.02 * latest, atol=0.001)


def test_poses_stand_where_they_say() -> None:
    root = standing(5).root_relative()
    scene = Scene(
        [
            Layer(standing(5, 0.25), "raw", "raw"),
            Layer(root, "nowhere", "raw"),
            Layer(standing(5), "refined", "refined"),
        ],
        cloud=cloud(wall(5), standing(5)),
    )
    shifts = [np.frombuffer(base64.b64decode(text), "<f4").reshape(5, 3) for text in pack(scene)["cloud"]["shifts"]]
    np.testing.assert_allclose(shifts[0], np.tile([0.25, 0, 0], (5, 1)), atol=1e-6)
    assert not shifts[1].any() and not shifts[2].any()


def test_what_cannot_be_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="5 depth maps and 4 frames"):
        cloud(wall(5), standing(4))
    with pytest.raises(InputError, match="must say where it is"):
        posemend.view(tmp_path / "view.html", standing(5).root_relative(), depth=wall(5))
    with pytest.raises(InputError, match="5 of depth and 4"):
        Scene([Layer(standing(4), "refined", "refined")], cloud=cloud(wall(5), standing(5)))
    assert not list(tmp_path.iterdir())
