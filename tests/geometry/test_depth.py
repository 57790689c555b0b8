"""Depth maps: units, points, crops at the border, and honest holes."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.errors import InputError
from posemend.geometry import depth as d
from posemend.geometry.camera import Camera

CAMERA = Camera((100.0, 120.0), (32.0, 24.0), 64, 48)


def plane(z: float = 2.0) -> np.ndarray:
    return np.full((1, 48, 64), z, np.float32)


def test_points_lie_on_their_pixels() -> None:
    z = np.random.default_rng(0).uniform(1, 3, (2, 48, 64)).astype(np.float32)
    z[0, 3, 4] = 0
    xyz, there = d.points(z, CAMERA)
    assert not there[0, 3, 4] and there.sum() == z.size - 1
    assert np.allclose(xyz[..., 2], z)
    back = d.project(xyz, CAMERA)
    v, u = np.mgrid[:48, :64] + 0.5
    assert np.allclose(back[there], np.broadcast_to(np.stack([u, v], -1), back.shape)[there], atol=1e-3)
    assert np.allclose(d.look_up(z, back)[there], z[there])


def test_outside_and_behind_is_no_depth() -> None:
    pixels = np.array([[[-0.1, 5], [64.0, 5], [5, 48.0], [1e9, 1], [np.nan, 3], [63.9, 47.9], [0, 0]]], np.float32)
    assert d.look_up(plane(), pixels)[0].tolist() == [0, 0, 0, 0, 0, 2, 2]
    assert (d.project(np.array([[0.0, 0, -1], [0, 0, 0]], np.float32), CAMERA) < -1e5).all()
    lifted, found = d.lift(plane(), pixels, CAMERA, window=1)
    assert found[0].tolist() == [False, False, False, False, False, True, True]
    assert np.isfinite(lifted).all() and (lifted[0, :5] == 0).all()


@pytest.mark.parametrize("joint", [(30.5, 20.5), (0.5, 0.5), (63.5, 47.5), (1.5, 40.5), (-3.5, 10.5)])
@pytest.mark.parametrize("step", [1.0, 2.0])
def test_cutouts_are_centred_everywhere(joint: tuple[float, float], step: float) -> None:
    """RefiNet's are empty near the left border and shifted near the right one (systems.md, 4.5)."""
    z = (np.arange(48 * 64, dtype=np.float32).reshape(1, 48, 64) + 1) / 1000
    cut = d.patches(z, np.array([[joint]], np.float32), 8, step)[0, 0]
    assert cut.shape == (8, 8)
    for row in range(8):
        for column in range(8):
            u = int(np.floor(joint[0] + (column - 4) * step))
            v = int(np.floor(joint[1] + (row - 4) * step))
            wanted = z[0, v, u] if 0 <= u < 64 and 0 <= v < 48 else 0
            assert cut[row, column] == wanted


def test_lifting_takes_the_nearer_part_of_the_window() -> None:
    z = plane(4.0)
    z[0, :, 30:33] = 2.0  # a thin arm before a wall, with holes
    z[0, 20, 30:33] = 0
    pixels = np.array([[[31.5, 20.5]]], np.float32)
    median, _ = d.lift(z, pixels, CAMERA, 9, 0.5)
    nearer, found = d.lift(z, pixels, CAMERA, 5, 0.3)
    assert median[0, 0, 2] == 4.0 and nearer[0, 0, 2] == 2.0 and found.all()
    assert np.allclose(nearer[0, 0], [(31.5 - 32) / 100 * 2, (20.5 - 24) / 120 * 2, 2])
    z[:] = 0
    nothing, found = d.lift(z, pixels, CAMERA)
    assert not found.any() and (nothing == 0).all()


def test_clouds_are_of_one_size_and_say_what_is_padding() -> None:
    z = plane(2.0)
    z[0, :, :30] = 0
    centres = np.array([[[0, 0, 2.05], [0, 0, 2.5], [-0.5, 0, 2.0], [5, 0, 2.0], [0, 0, -1]]], np.float32)
    points, mask = d.clouds(z, centres, CAMERA, half=0.15, grid=6)
    assert points.shape == (1, 5, 36, 3) and mask.shape == (1, 5, 36)
    assert 0 < mask[0, 0].sum() < 36  # the left part is a hole
    assert np.allclose(points[0, 0][mask[0, 0]][:, 2], -0.05)
    assert np.abs(points).max() <= 0.15
    assert not mask[0, 1:].any(), "too far behind, in the hole, outside the map, behind the camera"
    assert (points[~mask] == 0).all()


@pytest.mark.parametrize(
    ("value", "kind", "unit"), [(2000, np.uint16, 0.001), (2.5, np.float16, 1.0), (3000.0, np.float32, 0.001)]
)
def test_the_unit_is_told_by_the_numbers(value: float, kind: type, unit: float) -> None:
    clip = d.DepthClip(np.full((3, 48, 64), value, kind), CAMERA)
    assert clip.unit == unit
    assert clip.metres(slice(0, 1)).mean() == pytest.approx(value * unit, rel=1e-3)


@pytest.mark.parametrize(
    ("maps", "unit", "words"),
    [
        (np.zeros((2, 48, 64), np.uint16), None, "hold no distance"),
        (np.full((2, 48, 64), 65535, np.uint16), None, "saturated"),
        (np.full((2, 48, 64), np.nan, np.float32), None, "hold no distance"),
        (np.full((2, 48, 64), 100.0, np.float32), None, "cannot be told"),
        (np.full((2, 48, 64), 2000, np.uint16), 1.0, "look like mm"),
        (np.full((2, 48, 64), 2.0, np.float32), 0.001, "look like m"),
        (np.full((2, 48, 64), 2.0, np.float32), -1.0, "above 0"),
        (np.full((2, 24, 32), 2.0, np.float32), None, "32x24 pixels and the intrinsics are for 64x48"),
        (np.full((48, 64), 2.0, np.float32), None, r"\(T, H, W\)"),
    ],
)
def test_what_cannot_be_depth_is_refused(maps: np.ndarray, unit: float | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        d.DepthClip(maps, CAMERA, unit)


def test_zero_frames_and_saturated_pixels_are_holes_of_a_good_clip() -> None:
    maps = np.full((3, 48, 64), 1500, np.uint16)
    maps[1] = 0
    maps[2, 0, 0] = 65535
    metres = d.DepthClip(maps, CAMERA)[1:].metres()
    assert not metres[0].any() and metres[1, 0, 0] == 0 and metres[1, 1, 1] == pytest.approx(1.5)


def test_registered_depth_is_where_the_other_camera_sees_it() -> None:
    other = Camera((90.0, 90.0), (40.0, 30.0), 80, 60, translation=np.array([0.1, 0.0, 0.02]))
    z = np.zeros((48, 64), np.float32)
    z[10:40, 10:50] = 2.0
    z[20:25, 20:25] = 1.0  # nearer: wins where both land
    moved = d.register(z, CAMERA, other)
    xyz, there = d.points(z, CAMERA)
    pixels = d.project((xyz[there] + [0.1, 0, 0.02]).astype(np.float32), other)
    found = d.look_up(moved[None], pixels[None])[0]
    near = np.abs(found - xyz[there][:, 2] - 0.02) < 1e-4
    assert near.mean() > 0.93 and near[xyz[there][:, 2] == 1].all()
    hull = (pixels[:, 0].min() - 1, pixels[:, 0].max() + 1)
    assert not moved[:, : int(hull[0])].any() and not moved[:, int(hull[1]) + 1 :].any()


def test_scaled_camera_sees_the_same() -> None:
    half = d.scaled(CAMERA, 0.5)
    point = np.array([[0.2, -0.1, 2.0]], np.float32)
    assert np.allclose(d.project(point, half) * 2, d.project(point, CAMERA))
