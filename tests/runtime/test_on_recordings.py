"""The shipped models on real recordings, with bounds a good way above what was measured (docs/results.md)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemend.datasets import blendmimic3d
from posemend.formats import read_people
from posemend.metrics import mpjpe
from posemend.occlusion.hide import keypoints_for
from posemend.runtime.apply import refine
from posemend.runtime.pipeline import run

BOUNDS = [("default", "gt", 80), ("default", "detector", 130), ("research", "gt", 70), ("research", "detector", 110)]


@pytest.mark.parametrize(("bundle", "given", "most"), BOUNDS)
def test_blendmimic3d_walking(shared_data: Path, bundle: str, given: str, most: float) -> None:
    (take,) = blendmimic3d.read(shared_data / "blendmimic3d", subjects=["S2"], actions=["WalkCircle"], cameras=[1])
    refined = run([keypoints_for(take, given)], bundle=bundle)[0].refined
    assert float(mpjpe(refined.positions, take.truth.positions)) < most


def test_a_true_pose_is_left_alone(shared_data: Path) -> None:
    (take,) = blendmimic3d.read(shared_data / "blendmimic3d", subjects=["S1"], actions=["Greeting"], cameras=[2])
    raw = replace(take.truth, visible=np.ones_like(take.truth.visible), score=np.ones_like(take.truth.score))
    changed = refine(raw, keypoints_for(take, "gt"))
    assert float(mpjpe(changed.positions, take.truth.positions)) < 25


def test_a_real_detectors_people_come_out_human(shared_data: Path) -> None:
    people = read_people(shared_data / "formats" / "pose2sim_demo" / "pose" / "cam01_json", width=1088, height=1920)
    person = max(people, key=lambda pose: float((pose.score > 0).sum()))
    refined = run([person])[0].refined
    names = refined.skeleton.joints
    at = {name: refined.positions[:, names.index(name)] for name in names}
    assert len(refined) == len(person)
    upright = at["r_ankle"][:, 1] + at["l_ankle"][:, 1] - at["r_shoulder"][:, 1] - at["l_shoulder"][:, 1]
    assert np.median(upright) > 1.5  # two legs and the trunk below the shoulders, y down
    thigh = np.linalg.norm(at["l_knee"] - at["l_hip"], axis=-1)
    assert 0.3 < np.median(thigh) < 0.55
