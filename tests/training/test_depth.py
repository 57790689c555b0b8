"""The depth trainings in small: batches that repeat, truth that fits, people held out, and export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from posemend.body.catalogue import ITOP_15
from posemend.contract.card import read_card
from posemend.errors import RecipeError
from posemend.geometry.depth import look_up
from posemend.nn.export import PARITY, export
from posemend.nn.table import build
from posemend.training import depth, loop, tasks
from posemend.training.recipe import Recipe, parse

TYPES = {"depth-patch": "depth", "depth-body": "base", "depth-cloud": "pcloud"}
SMALL = {
    "depth-patch": {"widths": [4, 6, 8], "hidden": 16}, "depth-body": {"width": 16},
    "depth-cloud": {"widths": [8, 8, 8], "hidden": 16},
}  # fmt: skip


def recipe(task: str, **section: object) -> Recipe:
    return parse(
        {
            "name": "tiny", "task": task, "seed": 5, "network": {"name": task, "options": SMALL[task]},
            "data": {"packs": {"procedural": 1}, "procedural_minutes": 2, "held_out": 0.45},
            "depth": {"type": TYPES[task], **section},
            "loss": {"sigma": 0.01, "symmetry": 0.1, "harm": 0.1},
            "optim": {"steps": 2, "batch": 4, "warmup": 1, "validate_every": 2, "precision": "float32"},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def sources() -> dict[str, depth.DepthSource]:
    return {task: depth.source(recipe(task)) for task in TYPES}


@pytest.mark.parametrize("task", TYPES)
def test_batches_repeat_and_differ(task: str, sources: dict[str, depth.DepthSource]) -> None:
    one, again, other = (sources[task].batch(number) for number in (1, 1, 2))
    for a, b, c in zip(one.inputs(), again.inputs(), other.inputs(), strict=True):
        assert a.dtype == np.float32 and np.isfinite(a).all()
        assert np.array_equal(a, b) and not np.array_equal(a, c)
    answer = build(task, SMALL[task]).eval()(*(torch.from_numpy(x) for x in one.inputs()))
    loss, error = depth.loss(answer, one, sources[task].recipe, torch.device("cpu"))
    assert torch.isfinite(loss) and error > 0
    rows = depth.errors(tuple(x.detach() for x in answer), one)
    assert rows["raw"] == pytest.approx(one.before.mean() * 1000)


def test_target_leads_to_the_truth(sources: dict[str, depth.DepthSource]) -> None:
    """given + target is the true pixel: offsets are added."""
    rng = np.random.default_rng(0)
    source = sources["depth-patch"]
    looks = source.maker.looks(rng, 6)
    state = rng.bit_generator.state
    pixels, score = depth.keypoints(looks, source.recipe, rng)
    rng.bit_generator.state = state
    batch = depth._patches(looks, source.recipe, rng)
    step = np.sqrt(np.prod(looks.camera.focal)) * 0.0035
    inside = (np.abs(batch.target) < 19).all(-1) & (score > 0)
    assert inside.mean() > 0.8
    assert np.allclose((pixels + batch.target * step)[inside], looks.pixels[inside], atol=0.01)


def test_depth_of_a_visible_joint_is_just_before_it(sources: dict[str, depth.DepthSource]) -> None:
    looks = sources["depth-patch"].maker.looks(np.random.default_rng(1), 40)
    found = look_up(looks.depth, looks.pixels)
    seen = ~looks.hidden & (found > 0)
    ahead = looks.joints[..., 2] - found
    assert 0.25 < looks.hidden.mean() < 0.5
    assert np.median(ahead[seen]) == pytest.approx(0.07, abs=0.05)
    assert (np.abs(ahead[seen]) < 0.25).mean() > 0.9, "its own body's surface"
    lifted, given = looks.lift(looks.pixels)
    drawn, drawn_given = depth_lift(looks)
    both = given & drawn_given
    assert both.mean() > 0.8
    assert (np.abs(lifted - drawn)[both].max(-1) < 0.06).mean() > 0.85, "cast rays are what the map would give"


def depth_lift(looks):  # type: ignore[no-untyped-def]
    from posemend.contract.depth import lift_fine

    return lift_fine(looks.depth, looks.pixels, looks.camera)


def test_refinets_noise(sources: dict[str, depth.DepthSource]) -> None:
    made = recipe("depth-patch", from_gt=True, mu=2.0, sigma=1.0)
    looks = sources["depth-patch"].maker.looks(np.random.default_rng(2), 60)
    pixels, score = depth.keypoints(looks, made, np.random.default_rng(3))
    off = (pixels - looks.pixels) / (np.sqrt(np.prod(looks.camera.focal)) * 0.0035)
    assert off.mean() == pytest.approx(2.0, abs=0.1) and off.std() == pytest.approx(1.0, abs=0.1)
    assert (score == 1).all()
    millimetres = recipe("depth-cloud", from_gt=True, sigma=42)
    batch = depth._clouds(looks, millimetres, np.random.default_rng(4))
    assert batch.target.std() == pytest.approx(0.042, abs=0.003)


def test_estimators_err_most_at_the_hands() -> None:
    truth = np.zeros((4000, 15, 3), np.float32) + np.arange(15)[:, None]
    found, given = depth.estimated(truth, np.random.default_rng(0))
    far = (np.linalg.norm(found - truth, axis=-1) > 0.15).mean(0)
    hand, torso = ITOP_15.index("r_wrist"), ITOP_15.index("torso")
    assert far[hand] > 2.5 * far[torso] > 0
    assert 0.95 < given.mean() < 0.99


def test_whole_people_are_held_out() -> None:
    made = recipe("depth-body")
    one, other = (
        {motion.subject for part, _ in depth.depth_motions(made, held) for motion in part} for held in (False, True)
    )
    assert one and other and not one & other


@pytest.mark.parametrize("task", ["depth-body"])  # the loop is one for all; batches and export of each are tested
def test_training_and_export(task: str, tmp_path: Path) -> None:
    done = loop.fit(recipe(task, plane=0.1),
                    tmp_path / "run", show=False)  # fmt: skip
    assert done["validation_mm"]["raw"] > 0
    card = export(tmp_path / "run", tmp_path / "set" / task)
    assert card.task == task and card.skeleton == "itop_15" and card.parity["torch_m"] <= PARITY
    assert card.commercial and card == read_card(tmp_path / "set" / task)


def test_the_wrong_kind_of_data_is_told() -> None:
    with pytest.raises(RecipeError, match='depth.type = "pcloud", got "base"'):
        tasks.maker(recipe("depth-cloud", type="base"))
    with pytest.raises(RecipeError, match="Did you mean 'sigma'"):
        recipe("depth-cloud", sigmaa=3)
    with pytest.raises(RecipeError, match="ITOP at depth.itop.*which is not there"):
        tasks.maker(recipe("depth-cloud", itop="nowhere"))
