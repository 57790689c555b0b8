"""``evaluate`` on the published layout: somebody's predictions, refined or not; needs the shared recordings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import posemend
from posemend.datasets import blendmimic3d

CLIP = ("--subjects", "S1", "--actions", "WalkCircle", "--cameras", "0")


@pytest.fixture
def words(shared_data: Path, tmp_path: Path) -> list[object]:
    """The call, and predictions that are off by 10 mm in every joint but the root."""
    root = shared_data / "blendmimic3d"
    if not root.is_dir():
        pytest.skip("no blendmimic3d among the shared recordings")
    (take,) = blendmimic3d.read(root, ["S1"], ["WalkCircle"], [0])
    moved = take.truth.positions.copy()
    moved[:, 1:, 2] += 0.01
    path = tmp_path / "theirs" / f"{take.name}.npz"
    path.parent.mkdir(parents=True)
    posemend.write(path, replace(take.truth, positions=moved))
    return ["evaluate", "--on", "blendmimic3d", "--root", root, *CLIP, "--predictions", "theirs"]


def test_predictions_are_judged(call, words: list[object], tmp_path: Path) -> None:
    said = call(*words, "--input", "gt+flags", "--json", "--output", "mine.json")
    assert said.code == 0, said.err
    result = said.json
    assert result["protocol"]["on"] == "blendmimic3d" and result["protocol"]["input"] == "gt+flags"
    assert result["clips"] == 1
    for column in ("all", "visible", "hidden"):
        assert result["mpjpe_mm"][column] == pytest.approx(10, abs=0.01)
    assert result["harm_mm"]["mean"] is None
    written = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert written["mpjpe_mm"] == result["mpjpe_mm"]
    assert "hidden" in call(*words).out


def test_predictions_can_be_refined(call, words: list[object], chain) -> None:
    said = call(*words, "--refine", "--json")
    assert said.code == 0, said.err
    assert said.json["raw"]["mpjpe_mm"]["all"] == pytest.approx(10, abs=0.01)
    assert isinstance(chain[0]["keypoints"], posemend.Pose2D)
    assert np.isfinite(said.json["harm_mm"]["mean"])


def test_a_missing_prediction_is_named(call, words: list[object]) -> None:
    said = call(*words[:-4], "WalkCircle", "--predictions", "theirs")
    assert said.code == 2
    assert "Cam_1.npz" in said.err
    assert "SUBJECT/ACTION/CAMERA.npz" in said.err


def test_published_lifters_are_judged(call, words: list[object], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from posemend.nn import checkpoint
    from posemend.nn.table import build, options_of

    network = build("martinez", {"width": 8})
    about = {"network": {"name": "martinez", "options": options_of(network)}, "recipe": {"task": "blind"}}
    checkpoint.save(tmp_path / "run" / "checkpoint", network.state_dict(), {}, about)
    judged = [*words[:-2], "--input", "missing", "--no-refine", "--json", "--lifter"]
    said = call(*judged, f"martinez={tmp_path / 'run'}")
    assert said.code == 0, said.err
    assert said.json["protocol"]["lifter"] == "martinez" and said.json["mpjpe_mm"]["hidden"] > 50

    for wrong, part in (("martinez", "NAME=FILE"), ("hourglass=x", "martinez, semgcn"), ("d3dp=nosuch", "cannot be")):
        said = call(*judged, wrong)
        assert said.code == 2 and part in said.json["error"]["message"]
