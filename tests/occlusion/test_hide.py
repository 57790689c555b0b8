"""The five inputs of the protocol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.errors import InputError
from posemend.occlusion import hide


@pytest.fixture
def take() -> Take:
    rng = np.random.default_rng(0)
    visible = rng.random((8, 17)) < 0.6
    keypoints = Pose2D(rng.uniform(1, 99, (8, 17, 2)), H36M_17, visible=visible, width=100, height=100)
    truth = Pose3D(rng.normal(size=(8, 17, 3)), H36M_17, visible=visible)
    return Take(keypoints, truth, "S1", "A", "Cam_0")


def test_ground_truth_marks_everything_visible(take):
    given = hide.keypoints_for(take, "gt")
    assert given.visible.all() and (given.score == 1).all()
    np.testing.assert_array_equal(given.positions, take.keypoints.positions)


def test_flags_are_the_true_ones(take):
    given = hide.keypoints_for(take, "gt+flags")
    np.testing.assert_array_equal(given.visible, take.truth.visible)
    np.testing.assert_array_equal(given.positions, take.keypoints.positions)


def test_missing_leaves_no_trace_of_hidden_joints(take):
    given = hide.keypoints_for(take, "missing")
    hidden = ~take.truth.visible
    assert (given.score[hidden] == 0).all() and (given.positions[hidden] == 0).all() and not given.visible[hidden].any()
    np.testing.assert_array_equal(given.positions[~hidden], take.keypoints.positions[~hidden])


def test_video_is_what_the_data_set_brings(take):
    found = replace(take.keypoints, positions=take.keypoints.positions + 1)
    assert hide.keypoints_for(replace(take, detected=found), "video") is found
    with pytest.raises(InputError, match=r"'S1/A/Cam_0' comes without .*--detections"):
        hide.keypoints_for(take, "video")


def test_unknown_input(take):
    with pytest.raises(InputError, match="No input"):
        hide.keypoints_for(take, "film")
