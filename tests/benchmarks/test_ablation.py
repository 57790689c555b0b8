"""The ablation of masks: its settings are recipes, its figures are those of its seeds, its clips are blind."""

from __future__ import annotations

import copy
import importlib.util
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip("needs the train extra", allow_module_level=True)

import torch

from benchmarks import ablate_masks, ablation, masked_validation, masks_page, record
from posemend.datasets.procedural import demo_clip
from posemend.nn.published import PlainLifter
from posemend.nn.table import build
from posemend.occlusion.masks import omega

FACTS = {"commit": "x", "machine": {"cpu": "a", "cores": 2}, "versions": {"python": "3"}}
SITUATIONS = masked_validation.SITUATIONS
RAW = {situation: {"all": 150.0, "visible": 130.0, "hidden": 170.0} for situation in SITUATIONS}


def seeds(*hidden: float, tests: tuple[str, ...] = ("masked",)) -> list[dict[str, Any]]:
    def errors(value: float) -> dict[str, dict[str, float]]:
        return {test: {"all": 1.0, "visible": 2.0, "hidden": value + 5 * k} for k, test in enumerate(tests)}

    return [
        {"seed": n, "errors_mm": {situation: errors(value + 10 * k) for k, situation in enumerate(SITUATIONS)}}
        for n, value in enumerate(hidden)
    ]


def made() -> dict[str, Any]:
    rows = [
        ablation.row(ablation.OURS, "", math.nan, seeds(80, 82, 84, tests=("masked", "average"))),
        ablation.row("DropEdge", "", math.nan, seeds(100, 100, 105, tests=("open", "masked"))),
        ablation.row("no masks, occluded data", "", math.nan, seeds(60, 60, 60)),
    ]
    return ablation.table("kinds", rows, RAW, 100, 60.0, 1, FACTS)


def test_settings_are_recipes_with_possible_masks() -> None:
    session = ablate_masks.Session(Path("x"), Path("data"), Path("runs/lifter"), 50)
    names = [(one.table, one.name) for one in ablate_masks.settings()]
    assert len(names) == len(set(names))
    kinds = set()
    for one in ablate_masks.settings():
        recipe = session.recipe(one, 101)
        kinds.add(recipe.masked.kind)
        assert recipe.optim.steps == 50 and recipe.optim.frames % recipe.masked.frames == 0
        build(recipe.network.name, recipe.network.options)
        if one.axis in ("share", "T"):
            m = recipe.masked
            assert omega(m.number, m.share, m.overlap, m.frames, seed=m.seed).shape == (m.number, m.frames, 17)
    assert kinds == {"structured", "dropedge", "mc-dropout", "none"}


def test_base_rows_are_one_run() -> None:
    session = ablate_masks.Session(Path("x"), Path("data"), Path("runs/lifter"), 50)
    slugs = [ablation.slug(session.recipe(one, 101)) for one in ablate_masks.settings() if not one.overrides]
    assert len(slugs) == 7 and len(set(slugs)) == 1
    assert ablation.slug(session.recipe(ablate_masks.settings()[1], 101)) != slugs[0]


def test_intervals_by_hand() -> None:
    assert ablation.interval([4.0]) == {"mean": 4.0, "half": None}
    found = ablation.interval([1.0, 2.0, 3.0])
    assert found["mean"] == 2 and found["half"] == pytest.approx(4.303 / math.sqrt(3))


def test_gains_compare_with_the_best_use_of_the_others() -> None:
    gains = made()["gains"]
    assert {one["against"] for one in gains} == {"DropEdge"}  # occluded data has no masked partner here
    assert {(one["situation"], one["used"]) for one in gains} == {
        (s, t) for s in SITUATIONS for t in ("open", "masked")
    }
    found = {one["used"]: one for one in gains if one["situation"] == "missing"}
    assert found["open"]["best"] and not found["masked"]["best"]
    np.testing.assert_allclose(found["open"]["by_seed"], [20, 18, 20])
    np.testing.assert_allclose(found["masked"]["by_seed"][0], 100 * (1 - 80 / 105))
    assert found["open"]["at_least_10"]
    second = next(one for one in gains if one["situation"] == "detector" and one["used"] == "open")
    np.testing.assert_allclose(second["by_seed"][0], 100 * (1 - 90 / 110))


def test_records_are_checked() -> None:
    record.check(made(), published=True)
    wrong = copy.deepcopy(made())
    wrong["rows"][0]["situations"]["detector"]["masked"]["hidden"]["mean"] += 1
    with pytest.raises(ValueError, match="not that of the seeds"):
        record.check(wrong)
    few = ablation.table("sets", [ablation.row("a", "share", 0.1, seeds(80))], RAW, 1, 1.0, 1, FACTS)
    record.check(few)
    with pytest.raises(ValueError, match="fewer than 3 seeds"):
        record.check(few, published=True)


def test_the_page_of_results() -> None:
    assert masks_page.page({}) == []
    lines = masks_page.page({"kinds": made()})
    assert "| raw poses |  | 170.0 (130.0) | 170.0 (130.0) | 170.0 (130.0) |" in lines
    half = 4.303 * 2 / 3**0.5  # of 80, 82 and 84
    assert any(line.startswith(f"| structured masks | cut off | 82.0 ± {half:.1f} (2.0) |") for line in lines)
    (gain,) = [line for line in lines if line.startswith("| DropEdge | looked at | +")]
    assert gain.split("|")[3].strip().startswith("+19.3")


def test_pictures(tmp_path: Path) -> None:
    ablation.draw(made(), tmp_path / "kinds.png")
    rows = [ablation.row(f"{axis} {v}", axis, v, seeds(80 + v, 90)) for axis in ("share", "T") for v in (0.1, 0.2)]
    ablation.draw(ablation.table("sets", rows, RAW, 1, 1.0, 1, FACTS), tmp_path / "sets.png")
    for name in ("kinds", "sets"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


@pytest.fixture(scope="module")
def clip() -> masked_validation.Clip:
    torch.manual_seed(0)
    lifter = build("martinez", {"width": 8, "blocks": 1}).eval()
    return masked_validation.clip_of(demo_clip(), PlainLifter(lifter))


def test_clips_are_lifted_blindly_and_flagged(clip: masked_validation.Clip) -> None:
    hidden = clip.hidden
    assert hidden.any() and not hidden.all()
    assert (clip.evidence[..., 8][hidden] == 0).all() and (clip.evidence[..., 8][~hidden] == 1).all()
    assert (clip.evidence[..., 9:] == 0).all()  # no opinion
    assert np.abs(clip.target[:, 0]).max() == 0
    assert np.isfinite(clip.evidence).all()


@pytest.mark.parametrize("situation", ["detector", "flagged"])
def test_situations(situation: str, clip: masked_validation.Clip) -> None:
    """A detector's scores are its own; flags say besides what is hidden, and the lifter's pose is the same."""
    torch.manual_seed(0)
    plain = PlainLifter(build("martinez", {"width": 8, "blocks": 1}).eval())
    take = demo_clip()
    found = masked_validation.clip_of(take, plain, situation, 4)
    scored = masked_validation.clip_of(take, plain, "detector", 4)
    assert np.array_equal(found.hidden, clip.hidden[::4]) and len(found.target) == len(found.evidence)
    trusted = found.evidence[..., 8] >= 0.35
    assert (trusted & found.hidden).any() == (situation == "detector")
    visible = ~found.hidden
    np.testing.assert_array_equal(found.evidence[..., 8][visible], scored.evidence[..., 8][visible])
    assert not np.allclose(found.evidence[..., :3], clip.evidence[::4, :, :3])
    np.testing.assert_allclose(np.exp(found.clip[:, 3]) * 4, np.exp(clip.clip[::4, 3]), rtol=1e-5)


def test_errors_of_every_use(clip: masked_validation.Clip) -> None:
    found = [clip]
    raw = masked_validation.errors(found, None)
    distance = np.linalg.norm(clip.evidence[..., :3] - clip.target, axis=-1)[:, 1:] * 1000
    assert raw["hidden"] == pytest.approx(float(distance[clip.hidden[:, 1:]].mean()), rel=1e-5)
    session = ablate_masks.Session(Path("x"), Path("data"), Path("runs/lifter"), 50)
    recipe = session.recipe(ablate_masks.settings()[0], 101)
    network = build(recipe.network.name, {**recipe.network.options, "width": 8}).eval()
    uses = {
        test: ablate_masks.measure(network, test, recipe, found) for test in ("masked", "open", "average", "passes")
    }  # type: ignore[arg-type]
    assert uses["open"] == pytest.approx(raw, rel=1e-4)  # untrained, and nothing cut off: nothing changes
    # likewise the visible joints of frames whose pelvis is seen; where it is hidden a frame is moved as a whole
    kept = ~clip.hidden[:, 0]
    part = replace(clip, **{name: getattr(clip, name)[kept] for name in ("evidence", "clip", "target", "hidden")})
    assert len(part.target) > 10
    alone = masked_validation.errors([part], None)
    masked = ablate_masks.measure(network, "masked", recipe, [part])
    assert masked["visible"] == pytest.approx(alone["visible"], rel=1e-4)
    assert uses["masked"]["hidden"] != pytest.approx(raw["hidden"], rel=1e-2)
