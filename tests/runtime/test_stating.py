"""A calibrated card changes what is stated, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose3D, Take
from posemend.contract.card import find, read_card, write_card
from posemend.occlusion.hide import keypoints_for
from posemend.runtime.apply import lift, refine
from posemend.runtime.pipeline import run

ROUTES = {"lift": {"lift": 2.0}, "refine": {"keypoints": 4.0, "alone": 5.0}}


def _inputs(factor: float) -> dict:
    one = {
        "scale": {"seen": factor, "doubted": factor, "absent": 2 * factor},
        "radius_over_sigma": {"seen": [1.0, 2.0], "hidden": [0.5, 1.5]},
    }
    return {"clean": one, "noisy": one}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The default set without a calibration, and with one."""
    folder = tmp_path_factory.mktemp("bundles")
    for name in ("plain", "calibrated"):
        for task, routes in ROUTES.items():
            shutil.copytree(find("default", task), folder / name / task)
            table = {"levels": [0.5, 0.9], "routes": {route: _inputs(factor) for route, factor in routes.items()}}
            card = replace(read_card(folder / name / task), calibration=table if name == "calibrated" else {})
            write_card(folder / name / task, card)
    return str(folder / "plain"), str(folder / "calibrated")


def _check(plain: Pose3D, found: Pose3D, factor: float, absent: np.ndarray | None) -> None:
    np.testing.assert_array_equal(found.positions, plain.positions)
    assert plain.radii is None and found.radii is not None and plain.sigma is not None and found.sigma is not None
    wanted = plain.sigma * (factor if absent is None else np.where(absent, 2 * factor, factor))
    np.testing.assert_allclose(found.sigma, wanted, rtol=1e-4)
    inferred = found.provenance == 2
    np.testing.assert_allclose(found.radius(0.9), wanted * np.where(inferred, 1.5, 2.0), rtol=1e-4)
    np.testing.assert_allclose(plain.radius(0.9), plain.sigma * np.log(10), rtol=1e-4)


def test_every_route_has_its_own(clip: Take, bundles: tuple[str, str]) -> None:
    keypoints = keypoints_for(clip, "missing")
    absent = keypoints.score == 0
    assert absent.any()
    plain, calibrated = (run([keypoints], bundle)[0] for bundle in bundles)
    _check(plain.lifted, calibrated.lifted, 2.0, absent)
    _check(plain.refined, calibrated.refined, 2.0, absent)
    with_keypoints = [refine(clip.truth, keypoints, bundle=bundle) for bundle in bundles]
    _check(*with_keypoints, 4.0, absent)
    alone = [refine(clip.truth, bundle=bundle) for bundle in bundles]
    _check(*alone, 5.0, None)


def test_on_other_skeletons_too(clip: Take, bundles: tuple[str, str]) -> None:
    keypoints = to_skeleton(keypoints_for(clip, "gt"), COCO_17)
    plain, calibrated = (lift(keypoints, bundle) for bundle in bundles)
    assert plain.sigma is not None and calibrated.sigma is not None
    body = [COCO_17.index(name) for name in ("l_wrist", "r_knee", "l_shoulder")]
    ratio = (calibrated.sigma / plain.sigma)[:, body]
    assert ratio.min() > 1.99 and ratio.max() < 4.01


def test_shipped_cards_can_be_read() -> None:
    for name in ("default", "research"):
        for task, routes in ROUTES.items():
            card = read_card(find(name, task))
            if card.calibration:
                assert set(card.calibration["routes"]) == set(routes)


def test_a_bundle_with_a_damaged_calibration_is_refused(bundles: tuple[str, str], tmp_path: Path) -> None:
    from posemend.errors import BundleError
    from posemend.runtime.session import Model

    shutil.copytree(Path(bundles[1]) / "lift", tmp_path / "lift")
    card = read_card(tmp_path / "lift")
    write_card(tmp_path / "lift", replace(card, calibration={**card.calibration, "levels": [2.0, 3.0]}))
    with pytest.raises(BundleError, match="calibration"):
        Model(tmp_path / "lift")
