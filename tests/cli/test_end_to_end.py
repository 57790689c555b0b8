"""The whole job with the bundles that are shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import posemend
from posemend.datasets.procedural import demo_clip
from posemend.occlusion.hide import keypoints_for

BUNDLES = Path(posemend.__file__).parent / "bundles"

# that bundles are shipped at all is a law of its own (tests/laws/test_repository.py)
pytestmark = pytest.mark.skipif(not list(BUNDLES.rglob("card.json")), reason="no bundle lies in posemend/bundles")


def test_demo_helps_where_joints_are_hidden(call, tmp_path: Path) -> None:
    said = call("demo", "--json")
    assert said.code == 0, said.err
    blind, raw, refined = (said.json[name]["mpjpe_mm"] for name in ("blind", "raw", "refined"))
    assert 0.05 < said.json["hidden_share"] < 0.6
    for part in ("all", "visible", "hidden"):
        assert refined[part] < 0.95 * blind[part]  # what handling occlusion is worth
        assert refined[part] < 1.02 * raw[part]  # our own lifter's pose has little left to repair
    assert Path(said.json["html"]) == (tmp_path / "posemend-demo.html").resolve()
    table = call("demo", "-o", "again.html").out
    assert f"{raw['hidden']:.1f}" in table and "again.html" in table


def test_run_is_lift_then_refine(call) -> None:
    keypoints = keypoints_for(demo_clip(), "missing")[:120]
    posemend.write("in.npz", keypoints)
    for words in (
        ("run", "in.npz", "-o", "run.npz"),
        ("lift", "in.npz", "-o", "lifted.npz"),
        ("refine", "lifted.npz", "--keypoints", "in.npz", "-o", "refined.npz"),
    ):
        assert call(*words).code == 0
    found = {name: posemend.read(f"{name}.npz") for name in ("run", "lifted", "refined")}
    for pose in found.values():
        assert len(pose) == 120 and pose.fps == keypoints.fps and pose.skeleton == keypoints.skeleton
        assert np.isfinite(pose.positions).all()
    # not the same numbers: `refine` cannot know that the pose is our lifter's, and trusts it by its written score
    apart = np.abs(found["run"].positions - found["refined"].positions).mean()
    assert apart < 0.02
    np.testing.assert_array_equal(found["run"].visible, keypoints.visible)


def test_one_frame_is_enough(call) -> None:
    posemend.write("one.npz", keypoints_for(demo_clip(), "gt")[:1])
    assert call("run", "one.npz", "-o", "out.npz").code == 0
    assert len(posemend.read("out.npz")) == 1


def test_python_says_what_the_command_says(call) -> None:
    posemend.write("in.npz", keypoints_for(demo_clip(), "gt")[:60])
    assert call("run", "in.npz", "-o", "out.npz").code == 0
    (pose,) = posemend.run("in.npz")
    np.testing.assert_array_equal(pose.positions, posemend.read("out.npz").positions)
