"""Label curves: what is done is not done again, means are means, and a quick try is no result."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks import labels, labels_page, record
from posemend.datasets import blendmimic3d
from posemend.errors import BundleError
from posemend.training import loop, sources
from posemend.training.recipe import Recipe
from posemend.training.tasks import maker


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quick try."""
    folder = tmp_path_factory.mktemp("labels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "batches", lambda recipe, first, last: map(maker(recipe).batch, range(first, last)))
        patch.setattr(sources, "PROCEDURAL_SECONDS", 12.0)
        # a fifth of a minute each: the third performer of the recipe's three minutes is the one who is watched
        recipe_of = labels.recipe_of
        patch.setattr(labels, "recipe_of", lambda *words: _short(recipe_of(*words)))
        words = ["--quick", "--output", str(folder / "try.json"), "--runs", str(folder / "runs")]
        assert labels.main(words) == 0
        patch.setattr(loop, "fit", _never)
        before = (folder / "try.json").read_text(encoding="utf-8")
        assert labels.main(words) == 0  # all is done: nothing is trained again
        assert json.loads(before)["rows"] == json.loads((folder / "try.json").read_text(encoding="utf-8"))["rows"]
    return folder


def _short(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"procedural_minutes": 0.6})})


def _never(*_: Any, **__: Any) -> None:
    raise AssertionError("trained again")


def test_the_record_holds_what_it_must(tried: Path) -> None:
    found = json.loads((tried / "try.json").read_text(encoding="utf-8"))
    record.check(found)
    with pytest.raises(ValueError, match=r"quick try.*fewer than 3 seeds"):
        record.check(found, published=True)
    assert [row["way"] for row in found["rows"]] == ["labelled", "single"]
    assert set(found["rows"][0]["mm"]) == {"gt", "detector"}
    assert found["rows"][0]["mm"]["detector"]["hidden"] > 0 and found["rows"][0]["mm"]["gt"]["all"] > 0
    assert (tried / "try.png").stat().st_size > 1000
    bent = copy.deepcopy(found)
    bent["summary"][0]["mean"] += 1
    with pytest.raises(ValueError, match="is not that of its runs"):
        record.check(bent)
    del bent["settings"]["watched"]
    with pytest.raises(ValueError, match=r"settings\.watched"):
        record.check(bent)


def test_intervals() -> None:
    assert labels.interval([3.0]) is None
    assert labels.interval([1.0, 2.0, 3.0]) == pytest.approx(4.30 / 3**0.5)
    rows = [
        {"way": "weak", "share": 0.1, "masks": True, "mm": {"gt": {"all": value, "visible": value, "hidden": None}}}
        for value in (1.0, 2.0, 3.0)
    ]
    lines = labels.summarised(rows)
    assert [(line["joints"], line["mean"], line["seeds"]) for line in lines] == [("all", 2.0, 3), ("visible", 2.0, 3)]


@pytest.mark.parametrize("on", labels.PEOPLE)
@pytest.mark.parametrize("network", labels.NETWORKS)
def test_every_way_is_a_recipe(on: str, network: str) -> None:
    settings = labels._arguments(["--on", on, "--network", network, "--output", "x.json"])
    recipes = {way: labels.recipe_of(labels.Case(way, 0.1, True, 0), settings, 100).weak for way in labels.WAYS}
    assert recipes["cold"].warmup == 0 and recipes["weak"].warmup == 20
    assert recipes["leak"].root == "true" and recipes["full"].supervision == "full"
    assert recipes["multi"].pseudo > 0 and recipes["single"].consistency > 0
    assert len(list(labels.cases(settings))) == 3 * 5 * 4 * 2
    settings.plain_shares = [0.1]
    assert len(list(labels.cases(settings))) == 3 * 4 * (5 + 1)


def _row(way: str, seed: int, error: float, masks: bool = True) -> dict[str, Any]:
    errors = {given: {"all": error, "visible": error, "hidden": error} for given in labels.HIDING}
    return {"way": way, "share": 1.0, "masks": masks, "seed": seed, "steps": 9, "mm": errors}


def test_the_page_of_results() -> None:
    rows = [_row(way, seed, error + seed) for seed in (0, 1, 2)
            for way, error in (("labelled", 99.0), ("single", 79.0), ("full", 49.0), ("weak", 59.0))]  # fmt: skip
    rows += [_row("single", seed, 157.0 + seed, masks=False) for seed in (0, 1, 2)]
    told = {"on": "motion", "steps": 9, "seeds": [0, 1, 2], "people": labels.PEOPLE["motion"], "input": "gt"}
    made = {"settings": told, "rows": rows, "summary": labels.summarised(rows), "commit": "abc"}
    lines = labels_page.curves("labels-motion", made)
    half = labels.interval([79.0, 80.0, 81.0])
    wide = labels.interval([100 * (80 / 100 - 1), 100 * (79 / 99 - 1), 100 * (81 / 101 - 1)])
    cell = f"80.0 ± {half:.1f} (-20 ± {wide:.0f} %)"
    assert f"| 100 % | single view | yes | {cell} | {cell} | {cell} |" in lines
    assert "Masks change the error of hidden joints: single view at 100 % -49 %." in lines
    table = labels_page.rows_of_wsgcn([made])
    ratios = [59 / 49, 60 / 50, 61 / 51]
    over_full = f"{np.mean(ratios):.2f} ± {labels.interval(ratios):.2f}"
    assert f"| weak, warm-up, bone lengths : full | {over_full} |" in table
    assert "| weak, bone lengths, no warm-up | – |" in table  # was not run, and so has no ratio
    assert not any(line.startswith("| weak, bone lengths, no warm-up : full") for line in table)
    assert labels_page.rows_of_wsgcn([]) == labels_page.adapted({}) == []


def test_the_page_of_adaptations() -> None:
    before = {"all": 100.0, "hidden": 200.0, "aligned": 50.0}
    done = {
        "seed": 0, "handed_over": True, "seconds": 90.0, "mm": {"all": 80.0, "hidden": 180.0, "aligned": 51.0},
        "check_mm": {"before": {"exact": 70.0, "detector": 80.0}, "after": {"exact": 69.3, "detector": 80.4}},
    }  # fmt: skip
    rows = [done, {"seed": 1, "handed_over": False, "why": "worse"}]
    lines = labels_page.adapted({"several": {"before_mm": before, "rows": rows}})
    wanted = "| several | 0 | 1.5 | 100.0 → 80.0 (-20.0 %) | 200.0 → 180.0 (-10.0 %) | 50.0 → 51.0 (+2.0 %) | +0.5 % |"
    assert wanted in lines and any(line.startswith("| several | 1 | refused |") for line in lines)


@pytest.mark.parametrize("words", [["--shares", "2"], ["--ways", "magic"], []])
def test_bad_words(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        labels.main([*words, *(["--output", "x.json"] if words else [])])
    assert stopped.value.code == 2


def test_bad_output(tmp_path: Path) -> None:
    assert labels.main(["--quick", "--output", str(tmp_path / "no" / "x.json")]) == 2


def test_the_steepest_actions_are_chosen_and_adapted_on(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import adapt

    takes = blendmimic3d.read(shared_data / "blendmimic3d", ["S1", "S2"], ["Phone", "Directions"], [0, 1])
    steep = {take.name: adapt.steepness(take) for take in takes}
    assert all(0 <= value < 1.6 for value in steep.values())
    (first, second) = adapt.chosen(takes, 1)
    assert (first.subject, first.action) == (second.subject, second.action)
    mean = {key: np.mean([steep[take.name] for take in takes if (take.subject, take.action) == key])
            for key in {(take.subject, take.action) for take in takes}}  # fmt: skip
    assert mean[first.subject, first.action] == max(mean.values())

    def refused(*words: Any) -> None:
        raise BundleError("worse on the built-in check")

    monkeypatch.setattr(adapt, "adapt", refused)
    words = ["--data", str(shared_data / "blendmimic3d"), "--actions", "Phone", "--count", "1", "--seeds", "0"]
    assert adapt.main([*words, "--output", str(tmp_path / "a.json")]) == 0
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    record.check(found)
    assert found["rows"] == [{"seed": 0, "handed_over": False, "why": "worse on the built-in check"}]
    assert 20 < found["before_mm"]["all"] < 300
    with pytest.raises(ValueError, match="fewer than 3 seeds"):
        record.check(found, published=True)
