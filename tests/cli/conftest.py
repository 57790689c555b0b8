"""A command line that is called in this process, and a chain of models that needs no model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import posemend
import posemend.runtime
from posemend.body.catalogue import H36M_17
from posemend.body.handedness import check_handedness
from posemend.body.pose import Pose2D, Pose3D
from posemend.cli.main import main


@dataclass
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Said]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Said:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


STANDING = {
    # metres, camera axes (y down), facing the camera: the person's left is at +x
    "pelvis": (0, 0), "r_hip": (-0.13, 0), "r_knee": (-0.14, 0.45), "r_ankle": (-0.14, 0.88),
    "l_hip": (0.13, 0), "l_knee": (0.14, 0.45), "l_ankle": (0.14, 0.88), "spine": (0, -0.24), "thorax": (0, -0.49),
    "nose": (0, -0.6), "head_top": (0, -0.72), "l_shoulder": (0.18, -0.46), "l_elbow": (0.22, -0.18),
    "l_wrist": (0.24, 0.07), "r_shoulder": (-0.18, -0.46), "r_elbow": (-0.22, -0.18), "r_wrist": (-0.24, 0.07),
}  # fmt: skip


def standing(frames: int = 12, bend: float = 0.1) -> Pose3D:
    """A person who stands with bent knees and elbows; a negative ``bend`` makes them bend the wrong way."""
    still = np.zeros((frames, len(H36M_17), 3), np.float32)
    still[:, :, :2] = [STANDING[joint] for joint in H36M_17.joints]
    for joint, forward in (("l_knee", 1), ("r_knee", 1), ("l_elbow", -1), ("r_elbow", -1)):
        still[:, H36M_17.index(joint), 2] = -bend * forward  # forward is towards the camera: -z
    return Pose3D(still, H36M_17, fps=25.0)


def seen(frames: int = 12) -> Pose2D:
    """The same person's keypoints, one wrist hidden."""
    positions = standing(frames).positions[..., :2] * 300 + np.array([640, 360], np.float32)
    score = np.full(positions.shape[:2], 0.9, np.float32)
    score[:, H36M_17.index("l_wrist")] = 0
    return Pose2D(positions, H36M_17, score, fps=25.0, width=1280, height=720)


@pytest.fixture
def keypoints(tmp_path: Path) -> Path:
    path = tmp_path / "keypoints.npz"
    posemend.write(path, seen())
    return path


@pytest.fixture
def pose(tmp_path: Path) -> Path:
    path = tmp_path / "pose.npz"
    posemend.write(path, standing())
    return path


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for the models: every person stands; the refined one a little apart. Gives the calls made."""
    calls: list[dict[str, Any]] = []

    def run(poses: list[Pose2D], bundle: str = "default", refine: bool = True, progress: Any = None) -> list[Any]:
        calls.append({"people": len(poses), "bundle": bundle, "refine": refine})
        results = []
        for person in poses:
            lifted = standing(len(person))
            visible = person.visible if len(person.skeleton) == len(H36M_17) else None
            refined = Pose3D(lifted.positions + 0.01, H36M_17, fps=lifted.fps, visible=visible)
            results.append(SimpleNamespace(keypoints=person, lifted=lifted, refined=refined if refine else lifted))
        return results

    def repair(
        pose: Pose3D, pose2d: Pose2D | None = None, visible: Any = None, bundle: str = "default",
        fix_handedness: bool = False,
    ) -> Pose3D:  # fmt: skip
        pose = check_handedness(pose, repair=fix_handedness)
        calls.append({"keypoints": pose2d, "bundle": bundle})
        return Pose3D(pose.positions + 0.01, pose.skeleton, fps=pose.fps)

    monkeypatch.setitem(sys.modules, "posemend.runtime.pipeline", SimpleNamespace(run=run))
    monkeypatch.setitem(sys.modules, "posemend.runtime.apply", SimpleNamespace(refine=repair))
    monkeypatch.setattr(posemend.runtime, "pipeline", SimpleNamespace(run=run), raising=False)
    monkeypatch.setattr(posemend.runtime, "apply", SimpleNamespace(refine=repair), raising=False)
    return calls
