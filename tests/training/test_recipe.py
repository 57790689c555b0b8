"""Recipes: mistakes are named with a guess, overrides are read as TOML."""

from __future__ import annotations

from pathlib import Path

import pytest

from posemend.errors import RecipeError
from posemend.nn.table import build
from posemend.training.recipe import Recipe, load, parse

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = """
name = "small"
task = "lift"
[network]
name = "patch-tcn"
options = { width = 8 }
[data]
packs = { procedural = 1 }
[optim]
steps = 10
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(TEXT, encoding="utf-8")
    return file


def test_defaults(path: Path) -> None:
    recipe = load(path)
    assert recipe.optim.steps == 10
    assert recipe.loss.position == 1
    assert recipe.network.options == {"width": 8}


def test_recipe_survives_json(path: Path) -> None:
    recipe = load(path)
    assert parse(recipe.model_dump(mode="json")) == recipe


def test_overrides(path: Path) -> None:
    recipe = load(
        path,
        ["optim.steps=3", "optim.rate=1e-4", "optim.precision='float32'", "name=other name", "views.focal=[1, 1.5]",
         "network.options.dilations=[1, 2]", "data.packs.cmu=0.5"],
    )  # fmt: skip
    assert (recipe.optim.steps, recipe.optim.rate, recipe.optim.precision) == (3, 1e-4, "float32")
    assert recipe.name == "other name"
    assert recipe.views.focal == (1, 1.5)
    assert recipe.network.options == {"width": 8, "dilations": [1, 2]}
    assert recipe.data.packs == {"procedural": 1, "cmu": 0.5}


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optim.step=3", "unknown key 'optim.step'.* Did you mean 'steps'"),
        ("hidding.noise=3", "unknown key 'hidding'.* Did you mean 'hiding'"),
        ("variety.zzz=3", "unknown key 'variety.zzz'.*Known here: mix"),
        ("optim.steps=0", "optim.steps: .*greater than or equal to 1.*got 0"),
        ("optim.steps=many", "optim.steps: .*got 'many'"),
        ("task=dance", "task: .*'lift'.*'refine'.*got 'dance'"),
        ("optim.steps", "is no override"),
        ("name.first=3", "'name' is a value, not a section"),
    ],
)
def test_mistakes(path: Path, override: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load(path, [override])


def test_all_mistakes_are_told_at_once(path: Path) -> None:
    with pytest.raises(RecipeError, match=r"optim\.batch.*loss\.symetry|loss\.symetry.*optim\.batch"):
        load(path, ["optim.batch=-1", "loss.symetry=1"])


def test_missing_keys_are_named() -> None:
    with pytest.raises(RecipeError, match="network.*data.*optim"):
        parse({"name": "x", "task": "lift"})


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"broken\.toml cannot be read"):
        load(broken)


def test_recipes_cannot_be_changed(path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(path).seed = 3  # type: ignore[misc]


@pytest.mark.parametrize("file", sorted((REPOSITORY / "recipes").glob("*.toml")), ids=lambda file: file.stem)
def test_our_own_recipes(file: Path) -> None:
    recipe = load(file)
    assert isinstance(recipe, Recipe)
    build(recipe.network.name, recipe.network.options)


def test_recipes_train_on_no_fitted_detector_unless_told(path: Path) -> None:
    from posemend.training.sources import source

    assert load(path).hiding.fitted == 0
    tiny = ["data.procedural_minutes=1", "data.held_out=0", "optim.batch=4", "optim.frames=16"]
    told = load(path, [*tiny, "hiding.fitted=0.5", "hiding.detectors=['mediapipe']"])
    assert source(told).hiding.fitted == 0.5
    with pytest.raises(RecipeError, match=r"hiding\.detectors: No detector is called 'cpn'"):
        source(load(path, [*tiny, "hiding.fitted=0.5", "hiding.detectors=['cpn']"]))
    with pytest.raises(RecipeError, match=r"hiding\.fitted"):
        load(path, ["hiding.fitted=1.5"])
