"""Batched capsules, boxes and planes: against the independent engine, and against themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17, ITOP_15
from posemend.datasets.procedural import generate
from posemend.geometry.camera import Camera
from posemend.occlusion import depthmap as m
from posemend.occlusion.labels import BY_SELF, occlusion_kind
from posemend.occlusion.solids import Box, Solids, boxes, entries

CAMERA = Camera((120.0, 120.0), (80.0, 60.0), 160, 120)


@pytest.fixture(scope="module")
def seen() -> np.ndarray:
    """Eight poses in camera axes, two to four metres away."""
    world = generate(3, 20).positions[::130][:8].astype(np.float64)
    flat = world - world[:, :1]
    turned = np.stack([flat[..., 0], -flat[..., 2], flat[..., 1]], -1)
    return (turned + np.array([0.1, 0.0, 1]) * np.linspace(2, 4, 8)[:, None, None]).astype(np.float32)


@pytest.fixture(scope="module")
def scenes(seen: np.ndarray) -> m.Scenes:
    start, end, radius = m.capsules_of(seen, np.full(8, 1.7), np.ones((8, m.PARTS)))
    centre = np.tile(np.array([[[0.2, 0.3, 1.2], [0, 0, 1]]], np.float32), (8, 1, 1))
    half = np.tile(np.array([[[0.2, 0.1, 0.1], [0, 0, 0]]], np.float32), (8, 1, 1))
    angle = 0.5
    axes = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]], np.float32)
    normal, offset = np.tile(np.array([[[0, 0, 1.0]]], np.float32), (8, 1, 1)), np.full((8, 1), 5.0, np.float32)
    return m.Scenes(start, end, radius, centre, np.tile(axes, (8, 2, 1, 1)), half, normal, offset)


def test_drawing_is_casting(scenes: m.Scenes) -> None:
    rays = m.grid_rays(CAMERA)
    drawn = np.stack([m.draw(scenes, row, CAMERA) for row in range(8)])
    cast, owner = m.cast(scenes, np.broadcast_to(rays.reshape(1, -1, 2)[:, ::3], (8, 6400, 2)))
    assert np.array_equal(drawn.reshape(8, -1)[:, ::3], cast)
    assert set(np.unique(owner)) >= {m.NOTHING, 0, m.PARTS}
    assert m.PARTS + 1 not in owner, "a box of no size is not there"
    assert drawn.max() == 5.0 and drawn.min() > 0.9


def test_capsules_agree_with_the_other_engine(scenes: m.Scenes) -> None:
    """``solids.entries`` shares no code with this module."""
    chance = np.random.default_rng(0)
    rays = chance.uniform(-0.4, 0.4, (8, 400, 2)).astype(np.float32)
    bare = replace(scenes, box_half=scenes.box_half * 0, offset=scenes.offset * 1e6)
    z, _ = m.cast(bare, rays)
    for row in range(8):
        none = np.zeros((1, 0, 3), np.float32)
        other = Solids(
            scenes.start[row : row + 1], scenes.end[row : row + 1], scenes.radius[row], none,
            np.zeros((1, 0, 3, 3), np.float32), none, np.zeros((0, 3), np.float32), np.zeros((1, 0), np.float32),
            np.zeros(m.PARTS, np.int16), tuple(map(str, range(m.PARTS))),
        )  # fmt: skip
        way = np.concatenate([rays[row], np.ones((400, 1), np.float32)], -1)[None]
        wanted = entries(other, np.zeros((1, 3), np.float32), way)[0].min(-1)
        hit = np.isfinite(wanted) & (wanted > 0)
        assert hit.any()
        assert np.array_equal(hit, z[row] < 1e5)
        assert np.allclose(z[row][hit], wanted[hit], atol=2e-3)


def test_boxes_agree_with_solids(scenes: m.Scenes) -> None:
    rays = np.random.default_rng(1).uniform(-0.5, 0.6, (1, 2000, 2)).astype(np.float32)
    one = m.Scenes(*(getattr(scenes, name)[:1] for name in m.Scenes.__dataclass_fields__))
    far = replace(one, radius=one.radius * 1e-6, start=one.start + 50, end=one.end + 50)
    z, owner = m.cast(far, rays)
    # the same box for `entries`, whose vertical is z: camera (x, y, z) -> (x, z, -y)
    way = np.stack([rays[0, :, 0], np.ones(2000), -rays[0, :, 1]], -1) * 4.9
    box = Box((0.2, 1.2, -0.3), (0.4, 0.2, 0.2), 0.5)
    met = entries(boxes([box], 1), np.zeros((1, 3)), way[None])[0, :, 0]
    assert np.array_equal(owner[0] == m.PARTS, (met > 0) & (met < 1))
    assert (z[0][owner[0] == m.PARTS] < 1.5).all()


def test_hidden_joints_mostly_as_labels_say(seen: np.ndarray, scenes: m.Scenes) -> None:
    bare = replace(scenes, box_half=scenes.box_half * 0)
    ours = m.hidden(bare, seen, H36M_17)
    theirs = np.stack([occlusion_kind(seen[row : row + 1], CAMERA, height=1.7)[0] for row in range(8)]) == BY_SELF
    assert (ours == theirs).mean() > 0.85
    wall = replace(scenes, offset=scenes.offset * 0 + 1.0)
    assert m.hidden(wall, seen, H36M_17).all(), "everything is behind a wall before the body"
    assert m.owned(ITOP_15).any(1).all() and m.owned(ITOP_15).shape == (15, m.PARTS)


def test_noise_loses_and_blurs_but_invents_nothing(scenes: m.Scenes) -> None:
    exact = m.draw(scenes, 0, CAMERA)
    for name, sensor in m.SENSORS.items():
        found = m.spoiled(exact, sensor, np.random.default_rng(0))
        kept = found > 0
        assert 0.6 < kept.mean() < 1, name
        inner = kept & (np.abs(exact - 5) < 1e-6)
        assert 0 < np.abs(found - exact)[inner].mean() < 0.2
        assert np.array_equal(found, m.spoiled(exact, sensor, np.random.default_rng(0)))
    assert not m.spoiled(np.zeros_like(exact), m.XTION, np.random.default_rng(0)).any()
