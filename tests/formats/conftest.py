"""Made-up people and files for the tests of this room."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import SKELETONS
from posemend.body.pose import Pose2D, Pose3D
from posemend.geometry.camera import Camera

# an upright person facing the camera, 100 px wide: COCO-17
_BODY = np.array([
    (50, 10), (54, 6), (46, 6), (58, 8), (42, 8), (70, 40), (30, 40), (78, 80), (22, 80), (80, 115), (20, 115),
    (62, 120), (38, 120), (63, 170), (37, 170), (64, 220), (36, 220),
], float)  # fmt: skip


@pytest.fixture
def body() -> Callable[..., np.ndarray]:
    """(T, 17, 3) COCO keypoints of a person who walks: ``body(frames, x, step)``."""

    def make(frames: int = 20, x: float = 100.0, step: float = 3.0, y: float = 50.0, score: float = 0.9) -> np.ndarray:
        xy = _BODY[None] + np.array([x, y]) + np.arange(frames)[:, None, None] * np.array([step, 0.0])
        return np.concatenate([xy, np.full((frames, 17, 1), score)], axis=2)

    return make


@pytest.fixture
def pose2d(body: Callable[..., np.ndarray]) -> Pose2D:
    rng = np.random.default_rng(0)
    table = body(12)
    score = rng.uniform(0.1, 1, (12, 17)) * (rng.uniform(size=(12, 17)) > 0.2)
    camera = Camera((1000.5, 1001.25), (640.0, 360.0), 1280, 720, translation=np.array([0.1, 0.2, 3.0]))
    visible = (score > 0) & (rng.uniform(size=score.shape) > 0.5)
    xy = table[..., :2] + rng.normal(0, 1, (12, 17, 2))
    return Pose2D(xy, SKELETONS["coco_17"], score, visible, 29.97, 1280, 720, camera, "Zoë 1")


@pytest.fixture
def pose3d() -> Pose3D:
    rng = np.random.default_rng(1)
    shape = (9, 17)
    return Pose3D(
        rng.normal(0, 0.4, (*shape, 3)), SKELETONS["h36m_17"], rng.uniform(0.1, 1, shape),
        rng.uniform(size=shape) > 0.3, 50.0, "camera", rng.normal(0, 1, (9, 3)), rng.uniform(0, 0.1, shape), "p0",
        rng.integers(0, 3, shape), np.array([[0.5, 0.8, 0.7], [0.9, 2.1, 1.9]]),
    )  # fmt: skip


@pytest.fixture
def openpose_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write OpenPose files from ``{frame number: [keypoints (J, 3), …]}``."""

    def make(frames: dict[int, list[np.ndarray]], name: str = "clip_{:012d}_keypoints.json", ids: bool = False) -> Path:
        folder = tmp_path / "openpose"
        folder.mkdir(exist_ok=True)
        for number, people in frames.items():
            entries = [
                {"person_id": [place if ids else -1], "pose_keypoints_2d": np.asarray(one).ravel().tolist()}
                for place, one in enumerate(people)
            ]
            (folder / name.format(number)).write_text(json.dumps({"version": 1.3, "people": entries}))
        return folder

    return make


@pytest.fixture
def as_file(tmp_path: Path) -> Callable[..., Path]:
    """Write text, bytes or a JSON value to a file without a telling suffix."""

    def make(content: object, name: str = "input.dat") -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return make
