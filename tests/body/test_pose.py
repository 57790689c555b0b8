"""Poses are checked at birth and frozen; being hidden is never a zero or a NaN."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, H36M_17
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.errors import InputError, PosemendError, SkeletonError

KINDS = pytest.mark.parametrize(("kind", "size"), [(Pose2D, 2), (Pose3D, 3)])


def numbers(size: int, frames: int = 4, joints: int = 17) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, joints, size))


@KINDS
def test_defaults(kind: Any, size: int) -> None:
    pose = kind(numbers(size), H36M_17)
    assert pose.positions.dtype == np.float32 and pose.score.dtype == np.float32 and pose.visible.dtype == bool
    assert (pose.score == 1).all() and pose.visible.all() and len(pose) == 4 and pose.fps == 50


@KINDS
def test_frozen_and_not_shared_with_the_caller(kind: Any, size: int) -> None:
    source = numbers(size).astype(np.float32)
    pose = kind(source, H36M_17)
    source[:] = 9
    assert not (pose.positions == 9).any()
    for array in (pose.positions, pose.score, pose.visible):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(FrozenInstanceError):
        pose.fps = 25


@KINDS
def test_absent_joints_hold_zero_and_are_not_visible(kind: Any, size: int) -> None:
    x, score = numbers(size), np.ones((4, 17))
    score[1, 3], x[1, 3] = 0, np.nan
    pose = kind(x, H36M_17, score)
    assert (pose.positions[1, 3] == 0).all() and not pose.visible[1, 3]
    assert pose.visible.sum() == 4 * 17 - 1
    assert (kind(x, H36M_17, score * 7).score <= 1).all()  # scores beyond [0, 1] are clipped


@KINDS
@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"positions": lambda x: x[0]}, InputError, "shape"),
        ({"positions": lambda x: np.concatenate([x, x], -1)}, InputError, "shape"),
        ({"positions": lambda x: x[:0]}, InputError, "at least one frame"),
        ({"positions": lambda x: x[:, :16]}, SkeletonError, "16 joints"),
        ({"positions": lambda x: x.astype(object)}, InputError, "object"),
        ({"positions": lambda x: np.where(x == x[0, 0, 0], np.nan, x)}, InputError, "NaN or infinite"),
        ({"positions": lambda x: np.where(x == x[0, 0, 0], np.inf, x)}, InputError, "NaN or infinite"),
        ({"score": lambda x: np.ones((4, 16))}, InputError, "score of shape"),
        ({"score": lambda x: np.full((4, 17), np.nan)}, InputError, "finite scores"),
        ({"visible": lambda x: np.ones((3, 17), bool)}, InputError, "visible of shape"),
        ({"fps": lambda x: 0}, InputError, "fps"),
        ({"fps": lambda x: -25}, InputError, "fps"),
        ({"fps": lambda x: float("nan")}, InputError, "fps"),
        ({"fps": lambda x: float("inf")}, InputError, "fps"),
    ],
)
def test_bad_input_is_refused(kind: Any, size: int, change: dict[str, Any], error: type, says: str) -> None:
    x = numbers(size)
    fields: dict[str, Any] = {"positions": x, "skeleton": H36M_17}
    fields.update({name: make(x) for name, make in change.items()})
    with pytest.raises(error, match=says) as caught:
        kind(**fields)
    assert isinstance(caught.value, PosemendError)


@pytest.mark.parametrize("size", [{"width": 0}, {"height": -5}, {"width": 10**9}])
def test_impossible_image_size(size: dict[str, int]) -> None:
    with pytest.raises(InputError, match="image size"):
        Pose2D(numbers(2), H36M_17, **size)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"frame": "image"}, "frame in"),
        ({"root": np.zeros((3, 3))}, "root of shape"),
        ({"root": np.full((4, 3), np.nan)}, "finite root"),
        ({"sigma": np.zeros((4, 16))}, "sigma of shape"),
        ({"sigma": np.full((4, 17), np.inf)}, "finite sigma"),
        ({"provenance": np.zeros((4, 16))}, "provenance of shape"),
        ({"provenance": np.full((4, 17), 3)}, "0, 1 or 2"),
    ],
)
def test_impossible_3d_extras(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Pose3D(numbers(3), H36M_17, **fields)


def test_slices_keep_everything_in_step() -> None:
    pose = Pose3D(
        numbers(3), H36M_17, root=np.arange(12).reshape(4, 3), sigma=np.full((4, 17), 0.1), fps=25, name="a",
        provenance=np.arange(4)[:, None] % 3 * np.ones(17),
    )  # fmt: skip
    part = pose[1:3]
    assert len(part) == 2 and part.fps == 25 and part.name == "a"
    assert np.array_equal(part.positions, pose.positions[1:3])
    assert part.root is not None and part.root[0].tolist() == [3, 4, 5]
    assert part.sigma is not None and part.sigma.shape == (2, 17)
    assert part.provenance is not None and part.provenance[:, 3].tolist() == [1, 2]
    flat = Pose2D(numbers(2), H36M_17, width=640, height=480)[::2]
    assert len(flat) == 2 and flat.width == 640
    with pytest.raises(InputError, match="at least one frame"):
        pose[4:]


def test_root_relative_puts_the_pelvis_at_the_origin() -> None:
    pose = Pose3D(numbers(3), H36M_17, frame="camera").root_relative()
    assert pose.frame == "root" and np.allclose(pose.positions[:, 0], 0)
    coco = Pose3D(numbers(3), COCO_17, frame="camera").root_relative()
    hips = [COCO_17.index("l_hip"), COCO_17.index("r_hip")]
    assert np.allclose(coco.positions[:, hips].mean(1), 0, atol=1e-6)


def test_take_is_named_after_its_parts() -> None:
    take = Take(Pose2D(numbers(2), H36M_17), Pose3D(numbers(3), H36M_17), "S1", "Walk", "Cam_0")
    assert take.name == "S1/Walk/Cam_0" and take.cuts == ()


RADII = np.array([[0.5, 0.8, 0.6], [0.9, 2.0, 1.5]])


def stated(**more: Any) -> Pose3D:
    sigma = np.full((4, 17), 0.1)
    provenance = np.zeros((4, 17), np.uint8)
    provenance[:, 3], provenance[:, 4] = 2, 1
    return Pose3D(numbers(3), H36M_17, sigma=sigma, **({"provenance": provenance, "radii": RADII} | more))


def test_radius_by_the_poses_own_table_seen_and_inferred_apart() -> None:
    pose = stated()
    found = pose.radius(0.9)
    assert found.shape == (4, 17)
    np.testing.assert_allclose(found[:, 3], 0.15, rtol=1e-5)
    np.testing.assert_allclose(np.delete(found, 3, 1), 0.2, rtol=1e-5)  # measured and repaired joints alike
    between, beyond = pose.radius(0.75), pose.radius(0.99)
    np.testing.assert_allclose(
        between[:, 3] / 0.1, np.interp(np.log(4), [np.log(2), np.log(10)], [0.6, 1.5]), rtol=1e-5
    )
    np.testing.assert_allclose(beyond, 2 * found, rtol=1e-5)  # -ln(1 - 0.99) is twice -ln(1 - 0.9)
    flags = np.ones((4, 17), bool)
    flags[:, 5] = False
    by_flags = stated(provenance=None, visible=flags).radius(0.9)
    np.testing.assert_allclose(by_flags[:, 5], 0.15, rtol=1e-5)
    np.testing.assert_allclose(by_flags[:, 3], 0.2, rtol=1e-5)


def test_radius_without_a_table_is_the_exponential_laws() -> None:
    np.testing.assert_allclose(stated(radii=None).radius(0.9), 0.2302585, rtol=1e-5)


def test_radii_ride_along_with_parts_and_conversions() -> None:
    pose = stated()
    assert pose[1:3].radii is not None
    np.testing.assert_allclose(pose[1:3].radius(), pose.radius()[1:3])


@pytest.mark.parametrize("level", [0, 1, 1.2, float("nan")])
def test_radius_wants_a_probability(level: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        stated().radius(level)


def test_radius_wants_stated_errors() -> None:
    with pytest.raises(InputError, match="no expected errors"):
        Pose3D(numbers(3), H36M_17).radius()


@pytest.mark.parametrize(
    "table", [RADII[:, :2], RADII[::-1], RADII * [1, -1, 1], RADII * [1.2, 1, 1], RADII * np.nan, RADII[:0]]
)
def test_impossible_radii_are_refused(table: np.ndarray) -> None:
    with pytest.raises(InputError, match="radii of shape"):
        stated(radii=table)
