"""The virtual camera: there and back, and what does not depend on place, size or garbage."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D
from posemend.contract import codec
from posemend.datasets.procedural import generate
from posemend.errors import InputError
from posemend.geometry.camera import Camera

Floats = NDArray[np.float32]
FPS = 50.0
# world x, y, z (up) to camera right, down, forward
UPRIGHT = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)


def person(distance: float = 5.0, frames: int = 60) -> Floats:
    """(T, 17, 3) a moving person before a camera, camera axes."""
    body = generate(3, frames / FPS, FPS).positions
    centred = (body - body[:, :1].mean(0)) @ UPRIGHT.T
    return (centred + np.array([0, 0, distance])).astype(np.float32)


def image(points: Floats) -> Floats:
    return points[..., :2] / points[..., 2:]


def turned(points: Floats, yaw: float) -> Floats:
    """The person carried around the camera."""
    c, s = np.cos(yaw), np.sin(yaw)
    return (points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T).astype(np.float32)


def encoded(points: Floats, score: Floats | None = None) -> codec.Encoded:
    return codec.encode(image(points), np.ones(points.shape[:2], np.float32) if score is None else score, FPS, True)


def test_turn_there_and_back() -> None:
    points = person()
    code = encoded(points)
    there = codec.turn(points, code.rotation)
    assert codec.turn_back(there, code.rotation) == pytest.approx(points, abs=1e-5)
    assert np.linalg.norm(there, axis=-1) == pytest.approx(np.linalg.norm(points, axis=-1), rel=1e-5)
    assert np.abs(there - points).max() > 1e-3


def test_input_is_the_image_of_the_turned_body() -> None:
    """What the network sees is what a camera along the turned axes sees, over the size that it is told."""
    points = turned(person(), 0.4)
    code = encoded(points)
    size = np.exp(code.clip[:, None, 2:3] - 2)
    assert code.joints[..., :2] * size == pytest.approx(image(codec.turn(points, code.rotation)), abs=1e-4)
    assert (code.joints[..., 2] == 1).all()


@pytest.mark.parametrize("middle", [(0.0, 0.0), (0.5, 0.0), (-0.3, 0.7)])
def test_look_at(middle: tuple[float, float]) -> None:
    rotation = codec.look_at(np.array(middle, np.float32))
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-6)
    ray = rotation @ np.array([*middle, 1])
    assert ray[:2] == pytest.approx([0, 0], abs=1e-6) and ray[2] > 0
    assert rotation[0, 1] == 0, "no roll"


@pytest.mark.parametrize("yaw", [-0.5, 0.2, 0.5])
def test_same_code_wherever_the_person_stands(yaw: float) -> None:
    straight, aside = encoded(person()), encoded(turned(person(), yaw))
    assert np.abs(image(turned(person(), yaw)) - image(person())).mean() > 0.1
    assert np.abs(aside.joints - straight.joints).max() < 0.02
    assert aside.clip[:, 2] == pytest.approx(straight.clip[:, 2], abs=0.02)
    # and the answer in virtual-camera axes is the same too
    here, there = (
        codec.turn(points - points[:, :1], code.rotation)
        for points, code in ((person(), straight), (turned(person(), yaw), aside))
    )
    assert np.abs(here - there).max() < 0.02


def test_nearly_the_same_code_however_large() -> None:
    near, far = encoded(person(15)), encoded(person(30))
    assert np.abs(near.joints - far.joints).max() < 0.15
    assert (near.clip[:, 2] - far.clip[:, 2]) == pytest.approx(np.full(60, np.log(2)), abs=0.03)


@pytest.mark.parametrize("joint", H36M_17.joints)
def test_a_missing_joint_hardly_moves_the_others(joint: str) -> None:
    score = np.ones((60, 17), np.float32)
    gone = H36M_17.index(joint)
    score[20:40, gone] = 0
    whole, holes = encoded(person()), encoded(person(), score)
    rest = np.arange(17) != gone
    assert np.abs(whole.joints - holes.joints)[:, rest].max() < 0.3
    assert (holes.joints[20:40, gone] == 0).all()
    # the picture does not jump where the joint disappears
    jump = np.abs(np.diff(holes.joints - whole.joints, axis=0))[:, rest]
    assert jump.max() < 0.03


def test_what_stands_at_absent_joints_does_not_matter() -> None:
    score = (np.random.default_rng(0).random((60, 17)) < 0.7).astype(np.float32)
    rays = image(person())
    other = np.where(score[..., None] > 0, rays, np.float32(1e4))
    one, two = (codec.encode(x, score, FPS, True) for x in (rays, other))
    assert (one.joints == two.joints).all() and (one.clip == two.clip).all() and (one.rotation == two.rotation).all()


def test_gross_errors_are_clipped() -> None:
    rays = image(person())
    rays[30, H36M_17.index("l_wrist")] = (800, -800)
    code = codec.encode(rays, np.ones((60, 17), np.float32), FPS, True)
    assert np.abs(code.joints[..., :2]).max() <= codec.FARTHEST
    assert np.isfinite(code.joints).all() and np.isfinite(code.rotation).all()


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_short_clips(frames: int) -> None:
    code = encoded(person()[:frames])
    assert code.joints.shape == (frames, 17, codec.JOINT_FEATURES)
    assert code.clip.shape == (frames, codec.CLIP_FEATURES)
    assert np.isfinite(code.joints).all()
    assert np.abs(code.joints[..., :2]).max() < 3


def test_first_and_last_frames_look_at_the_person() -> None:
    code = encoded(turned(person(), 0.4))
    middle = code.joints[..., :2].mean(1)
    assert np.abs(middle).max() < 0.3
    assert np.sqrt((code.joints[..., :2] ** 2).sum(-1).mean(-1)) == pytest.approx(np.ones(60), abs=0.3)


def test_frames_without_anybody() -> None:
    score = np.ones((60, 17), np.float32)
    score[20:] = 0
    code = encoded(person(), score)
    assert np.isfinite(code.joints).all() and np.isfinite(code.clip).all()
    assert (code.joints[20:] == 0).all()
    assert code.rotation @ np.swapaxes(code.rotation, -1, -2) == pytest.approx(np.tile(np.eye(3), (60, 1, 1)), abs=1e-5)


def test_samples_of_a_batch_know_nothing_of_each_other() -> None:
    clips = np.stack([person(), turned(person(8), 0.3)])
    score = np.ones(clips.shape[:3], np.float32)
    score[1, :, 3] = 0.5
    known = np.array([1.0, 0.0], np.float32)
    together = codec.encode(image(clips), score, FPS, known)
    for row in range(2):
        alone = codec.encode(image(clips[row]), score[row], FPS, bool(known[row]))
        for name in ("joints", "clip", "rotation"):
            assert getattr(together, name)[row] == pytest.approx(getattr(alone, name), abs=1e-5)
    assert together.clip[:, 0, 4].tolist() == [1, 0]


def test_frame_rate_is_told() -> None:
    rays, score = image(person()), np.ones((60, 17), np.float32)
    assert codec.encode(rays, score, 50, True).clip[0, 3] == 0
    assert codec.encode(rays, score, 25, True).clip[0, 3] == pytest.approx(np.log(0.5))


def keypoints(**more) -> Pose2D:  # type: ignore[no-untyped-def]
    return Pose2D(np.full((2, 17, 2), (700, 300), np.float32), H36M_17, **more)


def test_rays_of_a_calibrated_camera() -> None:
    camera = Camera(
        focal=(1000.0, 500.0), centre=(600.0, 400.0), width=1000, height=800,
        rotation=np.eye(3), translation=np.zeros(3),
    )  # fmt: skip
    rays, known = codec.rays_of(keypoints(camera=camera))
    assert known
    assert rays[0, 0] == pytest.approx([0.1, -0.2])


def test_rays_of_an_unknown_camera() -> None:
    rays, known = codec.rays_of(keypoints(width=1000, height=800))
    assert not known
    assert rays[0, 0] == pytest.approx([200 / 900, -100 / 900])
    upright, _ = codec.rays_of(keypoints(width=800, height=1000))
    assert upright[0, 0] == pytest.approx([300 / 900, -200 / 900])


@pytest.mark.parametrize("size", [{}, {"width": 1000}, {"height": 800}])
def test_image_size_is_wanted(size: dict[str, int]) -> None:
    with pytest.raises(InputError, match="--width and --height"):
        codec.rays_of(keypoints(**size))


def test_flags_lower_the_trust() -> None:
    score = np.ones((2, 17), np.float32)
    score[:, 1], score[:, 2], score[:, 3] = 0.1, 0, 0.9
    visible = np.ones((2, 17), bool)
    visible[0] = False
    trusted = codec.trusted_score(keypoints(score=score, visible=visible))
    assert trusted[1] == pytest.approx(score[1])
    assert trusted[0, :4] == pytest.approx([codec.HIDDEN_SCORE, 0.1, 0, codec.HIDDEN_SCORE])


@pytest.mark.parametrize(("fps", "clips"), [(5, 1), (30, 1), (75, 1), (76, 2), (120, 2), (240, 4), (1000, 14)])
def test_high_frame_rates_are_interleaved(fps: float, clips: int) -> None:
    assert codec.interleave(fps) == clips
