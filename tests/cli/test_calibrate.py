"""``calibrate`` on held-out made-up motions, which need no data folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemend.body.pose import Take
from posemend.contract import certainty
from posemend.contract.card import find, read_card, write_card
from posemend.errors import RecipeError

pytest.importorskip("torch")

from posemend.training import calibrating


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The default set, as if it had learnt from a few made-up motions only."""
    for task in ("lift", "refine"):
        shutil.copytree(find("default", task), tmp_path / "set" / task)
        card = read_card(tmp_path / "set" / task)
        data = {**card.recipe["data"], "packs": {"procedural": 1.0}, "procedural_minutes": 20, "held_out": 0.2}
        write_card(tmp_path / "set" / task, replace(card, recipe={**card.recipe, "data": data}, calibration={}))
    return tmp_path / "set"


def test_cards_get_their_routes(call, bundle: Path, tmp_path: Path) -> None:
    said = call("calibrate", bundle, "--root", tmp_path, "--clips", 3, "--json")
    assert said.code == 0, said.err
    assert set(said.json["routes"]) == set(certainty.ROUTES)
    for task, routes in (("lift", {"lift"}), ("refine", {"keypoints", "alone"})):
        card = read_card(bundle / task)
        assert set(card.calibration["routes"]) == routes
        for route in routes:
            found = certainty.read(card.calibration, route)
            assert found is not None and (found.radii[2] > found.radii[0]).all()
    assert said.json["routes"]["lift"]["noisy"]["joint_frames"]["absent"] > 0
    # measured by what the networks state themselves: a second time gives the same
    again = call("calibrate", bundle, "--root", tmp_path, "--clips", 3, "--json")
    assert again.json["routes"] == said.json["routes"]


def test_wrong_requests(call, bundle: Path, tmp_path: Path) -> None:
    assert call("calibrate", bundle, "--root", tmp_path, "--clips", 0).code == 2
    assert call("calibrate", tmp_path / "nowhere", "--root", tmp_path).code == 1
    said = call("calibrate", "default", "--root", tmp_path)  # no packs there
    assert said.code == 2 and "data.root" in said.err


def test_virtual_cameras_take_what_they_say(bundle: Path, tmp_path: Path) -> None:
    split = calibrating.split(read_card(bundle / "lift").recipe, tmp_path, 4, 0)
    assert len(split.takes) == 4 and {take.truth.fps for take in split.takes} == set(calibrating.RATES)
    assert any(take.keypoints.camera is None for take in split.takes)
    known = [take for take in split.takes if take.keypoints.camera is not None]
    for take in known:
        _reprojects(take)
    same = calibrating.split(read_card(bundle / "lift").recipe, tmp_path, 4, 0)
    assert (same.takes[3].keypoints.positions == split.takes[3].keypoints.positions).all()


def _reprojects(take: Take) -> None:
    camera, keypoints = take.keypoints.camera, take.keypoints
    assert camera is not None and take.truth.root is not None
    x, y = keypoints.positions[..., 0], keypoints.positions[..., 1]
    outside = (x < -1) | (x > camera.width + 1) | (y < -1) | (y > camera.height + 1)  # sides are whole pixels
    assert not (keypoints.visible & outside).any()  # what lies outside of the picture is hidden
    assert outside.mean() < 0.5
    np.testing.assert_allclose(
        camera.project(take.truth.positions + take.truth.root[:, None]), keypoints.positions, atol=0.1
    )


def test_calibrated_on_actions_kept_out_of_training_and_as_many_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from posemend.datasets.procedural import demo_clip
    from posemend.training import sources

    takes = [
        replace(demo_clip(), subject=subject, action=action, camera=f"Cam_{camera}")
        for subject in ("S1", "S2")
        for action in ("Phone", "Arguing", "Greeting")
        for camera in range(4)
    ]
    monkeypatch.setattr(calibrating.blendmimic3d, "read", lambda root, subjects: takes)
    recipe = dict(read_card(find("research", "lift")).recipe)
    recipe["data"] = {**recipe["data"], "calibration": []}
    seen = calibrating.split(recipe, tmp_path, 9, 0)
    assert {take.action for take in seen.takes} == {"Phone", "Arguing"} and "trained on" in seen.data
    assert len({(take.subject, take.camera) for take in seen.takes}) == 8  # every camera of either subject
    recipe["data"] = {**recipe["data"], "calibration": ["Phone"]}
    own = calibrating.split(recipe, tmp_path, 9, 0)
    actions = [take.action for take in own.takes]
    assert actions == ["Phone"] * 4 + ["Arguing"] * 4 and "4 clips of BlendMimic3D's Phone, kept out" in own.data
    assert len({(take.subject, take.camera) for take in own.takes[:4]}) == 4
    assert [take.action for take in calibrating.split(recipe, tmp_path, 1, 0).takes] == ["Phone"]
    whole = calibrating.split(recipe, tmp_path, 48, 0)
    assert [take.action for take in whole.takes].count("Phone") == 8  # never more than there are
    assert {take.action for take in sources.training_takes(tmp_path, ["Phone"])} == {"Arguing"}
    recipe["data"] = {**recipe["data"], "calibration": ["Greeting"]}  # validation is never opened
    with pytest.raises(RecipeError, match="calibrate on"):
        calibrating.split(recipe, tmp_path, 9, 0)


def test_a_recipe_that_is_not_understood(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Export the model again"):
        calibrating.split({"name": "x"}, tmp_path, 3, 0)
