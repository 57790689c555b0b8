"""The pinhole camera: round trips, hand-made pixels, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemend.body.kinematics import turns
from posemend.errors import InputError
from posemend.geometry.camera import Camera

PLAIN = Camera((1000.0, 1100.0), (500.0, 400.0), 1000, 800)


def posed(seed: int) -> Camera:
    rng = np.random.default_rng(seed)
    return Camera((900.0, 950.0), (512.0, 380.0), 1024, 768, turns(rng.uniform(-3, 3, 3)), rng.normal(size=3))


def test_by_hand() -> None:
    assert PLAIN.project([0, 0, 2]).tolist() == [500, 400]
    assert PLAIN.project([1, 0, 2]).tolist() == [1000, 400]  # x right
    assert PLAIN.project([0, 1, 2]).tolist() == [500, 950]  # y down
    assert np.allclose(PLAIN.rays([1000, 950]), [0.5, 0.5, 1])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shape=st.sampled_from([(3,), (5, 3), (2, 4, 3)]))
def test_world_and_camera_are_inverse(seed: int, shape: tuple[int, ...]) -> None:
    camera, points = posed(seed), np.random.default_rng(seed).normal(size=shape)
    assert np.allclose(camera.to_world(camera.to_camera(points)), points)
    assert np.allclose(camera.to_camera(points), points @ camera.rotation.T + camera.translation)
    distance = np.linalg.norm(camera.to_camera(points) - camera.to_camera(np.zeros(3)), axis=-1)
    assert np.allclose(distance, np.linalg.norm(points, axis=-1))  # a rigid motion


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_project_and_rays_are_inverse(seed: int) -> None:
    camera, rng = posed(seed), np.random.default_rng(seed)
    points = rng.uniform(-1, 1, (6, 3)) + [0, 0, 3]
    assert np.allclose(camera.rays(camera.project(points)) * points[:, 2:], points)


def test_behind_the_camera_has_no_pixel() -> None:
    pixels = PLAIN.project([[0, 0, -1], [0, 0, 0], [0, 0, 1]])
    assert np.isnan(pixels[:2]).all() and np.isfinite(pixels[2]).all()
    assert PLAIN.contains(pixels).tolist() == [False, False, True]


def test_contains_the_edge_and_no_more() -> None:
    inside = PLAIN.contains([[0, 0], [1000, 800], [-0.1, 5], [5, 800.1], [1000.1, 5], [5, -0.1]])
    assert inside.tolist() == [True, True, False, False, False, False]


BAD_ROTATION = np.diag([1.0, 1.0, -1.0])  # a mirror


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rotation": np.eye(2)}, "rotation"),
        ({"translation": np.zeros(4)}, "translation"),
        ({"rotation": BAD_ROTATION}, "proper rotation"),
        ({"rotation": np.eye(3) * 2}, "proper rotation"),
        ({"rotation": np.full((3, 3), np.nan)}, "finite"),
        ({"translation": np.array([0, np.inf, 0])}, "finite"),
        ({"focal": (0.0, 1.0)}, "above 0"),
        ({"focal": (1.0, -1.0)}, "above 0"),
        ({"focal": (np.nan, 1.0)}, "finite|above 0"),
        ({"centre": (np.inf, 1.0)}, "finite"),
        ({"width": 0}, "image size"),
        ({"height": -3}, "image size"),
    ],
)
def test_impossible_cameras_are_refused(change: dict[str, Any], says: str) -> None:
    fields: dict[str, Any] = {"focal": (1000.0, 1000.0), "centre": (500.0, 500.0), "width": 1000, "height": 1000}
    with pytest.raises(InputError, match=says):
        Camera(**{**fields, **change})
