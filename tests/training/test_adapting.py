"""Adapting: from a bundle and keypoints to a bundle that is not worse, or to nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import posemend
from posemend.contract.card import file_hash, find, read_card, write_card
from posemend.errors import BundleError, InputError
from posemend.nn import checkpoint
from posemend.nn.export import export
from posemend.nn.from_bundle import network_of
from posemend.nn.table import build, options_of
from posemend.training import adapting, checking, loop, sources
from posemend.training.tasks import maker
from tests.training.people import weak_recipe
from tests.training.test_footage import keypoints

TINY = {"patch": 2, "width": 16, "hidden": 16, "dilations": [1, 2], "joints": 17, "dropout": 0.0}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained lifter of non-commercial parentage, as a bundle."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(1)
    network = build("patch-tcn", TINY)
    recipe = weak_recipe().model_dump(mode="json")
    recipe["data"]["packs"] = {"bandai1": 1.0}
    facts = {"network": {"name": "patch-tcn", "options": options_of(network)}, "recipe": recipe, "commit": "none"}
    checkpoint.save(folder / "checkpoint", network.state_dict(), {}, facts)
    export(folder / "checkpoint", folder / "bundle")
    return folder / "bundle"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps, short made-up people, batches made in this process."""
    monkeypatch.setattr(sources, "PROCEDURAL_SECONDS", 5.0)
    monkeypatch.setattr(loop, "batches", lambda recipe, first, last: map(maker(recipe).batch, range(first, last)))
    monkeypatch.setattr(adapting, "TRIALS", (2, 6))
    monkeypatch.setattr(adapting, "MADE_UP_MINUTES", 0.2)
    monkeypatch.setattr(checking, "CHECK_SEEDS", range(900_000, 900_002))
    checking.check_footage.cache_clear()


@pytest.mark.parametrize("name", ["default", "research"])
def test_shipped_lifters_are_read_back(name: str) -> None:
    network, card = network_of(find(name, "lift"))  # compares answers with ONNX Runtime's
    assert card.network["name"] == "patch-tcn"
    assert sum(p.numel() for p in network.parameters()) == card.parameters


@pytest.mark.parametrize(
    ("options", "message"),
    [({"width": 32}, "'stem.weight' .* is not among them"), ({"dilations": [1, 3]}, "m off the bundle")],
)
def test_a_card_that_speaks_of_another_network(
    options: dict[str, Any], message: str, bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundle, tmp_path / "bent")
    card = read_card(bundle)
    network = {**card.network, "options": {**card.network["options"], **options}}
    write_card(tmp_path / "bent", replace(card, network=network))
    with pytest.raises(BundleError, match=message):
        network_of(tmp_path / "bent")


def test_a_damaged_model(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "bent")
    (tmp_path / "bent" / "model.onnx").write_bytes(b"what is this")
    sha = file_hash(tmp_path / "bent" / "model.onnx")
    write_card(tmp_path / "bent", replace(read_card(bundle), sha256=sha))
    with pytest.raises(BundleError, match="cannot be read|is not among them"):
        network_of(tmp_path / "bent")


def test_a_bundle_is_made_and_says_what_it_is(bundle: Path, tmp_path: Path, quick: None) -> None:
    (tmp_path / "on the way").mkdir()
    done = adapting.adapt([keypoints()], tmp_path / "mine", tmp_path / "on the way", 0.001, bundle)
    assert done.steps == 6 and 0 < done.share <= 1
    for name, error in done.check["before"].items():
        assert done.check["after"][name] <= adapting.ALLOWED * error
    assert {"reprojection_px", "bone_change_mm"} <= set(done.clips["after"])
    card = read_card(tmp_path / "mine")
    assert card == done.card and card.task == "lift" and card.name == "tiny-weak-adapted"
    assert not card.commercial and any("Bandai" in line for line in card.data)  # what the parent's data ask for
    assert card.data[-1] == "adapted to 1 clips of keypoints"
    assert str(tmp_path) not in json.dumps(card.recipe)
    old, new = (posemend.lift(keypoints(), bundle=str(place)) for place in (bundle, tmp_path / "mine"))
    assert np.abs(old.positions - new.positions).max() > 1e-4
    with pytest.raises(BundleError, match="exists already"):
        adapting.adapt([keypoints()], tmp_path / "mine", tmp_path / "on the way", 0.001, bundle)


def test_several_cameras_teach_together(bundle: Path, tmp_path: Path, quick: None) -> None:
    from tests.multiview.scene import person, ring, seen

    views, world = ring(5)[:3], person(frames=40) + [0.9, 0.5, 0]
    people = [replace(seen(world, view), camera=view.camera) for view in views]
    done = adapting.adapt(people, tmp_path / "mine", tmp_path, 0.001, bundle, moments=[0, 0, 0])
    assert done.card.recipe["weak"]["pseudo"] > 0 and done.card.recipe["weak"]["moments"] == [0, 0, 0]
    crossed = [
        replace(one, camera=view.camera) for one, view in zip(people, [views[1], views[0], views[2]], strict=True)
    ]
    with pytest.raises(InputError, match="cameras contradict the 2D"):
        adapting.adapt(crossed, tmp_path / "other", tmp_path / "x", 0.001, bundle, moments=[0, 0, 0])


def test_made_up_and_own_people_share_a_batch() -> None:
    network = build("patch-tcn", TINY)
    card = read_card(find("default", "lift"))
    recipe = adapting.recipe_for(card, network, [Path("a.npz")], [], Path("start"), 50, 3)
    assert recipe.network.options["width"] == 16  # the bundle's own sizes, whatever ships
    assert recipe.weak.augment and recipe.weak.pseudo == 0 and recipe.weak.root == "solved"


def _checks(errors: dict[float, float]) -> Callable[[Any], dict[str, float]]:
    """A built-in check that answers by how far the weights went."""
    return lambda network: {"exact": errors[round(float(network.norm.bias[0].detach()), 2)], "detector": 50.0}


def _pair() -> tuple[torch.nn.Module, torch.nn.Module]:
    old, new = build("patch-tcn", TINY), build("patch-tcn", TINY)
    with torch.no_grad():
        old.norm.bias.fill_(0)
        new.norm.bias.fill_(1)
    return old, new


def test_the_way_back_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = _pair()
    monkeypatch.setattr(adapting, "built_in_check", _checks({1.0: 60.0, 0.75: 52.0, 0.5: 50.4, 0.25: 49.0}))
    share, network, after = adapting.best_allowed(old, new, {"exact": 50.0, "detector": 50.0})
    assert share == 0.5 and after["exact"] == 50.4
    torch.testing.assert_close(network.stem.weight, 0.5 * (old.stem.weight + new.stem.weight))


def test_what_got_worse_is_not_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = _pair()
    monkeypatch.setattr(adapting, "built_in_check", _checks(dict.fromkeys((1.0, 0.75, 0.5, 0.25), 51.0)))
    with pytest.raises(BundleError, match=r"worse on the built-in check.*exact 50.0 to 51.0 mm.*Nothing written"):
        adapting.best_allowed(old, new, {"exact": 50.0, "detector": 50.0})


@pytest.mark.parametrize(
    ("people", "minutes", "message"),
    [
        ([], 1, "at least one clip"),
        ([lambda: keypoints()[:1]], 1, "has 1 frame"),
        ([lambda: keypoints(score=np.zeros((40, 17)))], 1, "every joint is hidden"),
        ([keypoints], 0, "minutes between"),
        ([keypoints], float("nan"), "minutes between"),
    ],
)
def test_bad_input(people: list[Any], minutes: float, message: str, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        adapting.adapt([one() for one in people], tmp_path / "mine", tmp_path, minutes, bundle)
    assert not (tmp_path / "mine").exists()


def test_answers_and_targets_are_in_the_same_axes(quick: None) -> None:
    """A network that knows the truth has no error, one that bends it has some."""
    footage = checking.check_footage(checking.EXACT)
    said = checking.answers(build("patch-tcn", TINY).eval(), footage)
    assert len(said) == len(footage) and said[0].positions.shape == said[0].target.shape

    class Knows(torch.nn.Module):
        """Answers with the truth of the clip whose turn it is, bent."""

        config = build("patch-tcn", TINY).config

        def __init__(self, bent: float) -> None:
            super().__init__()
            self.turn, self.bent = iter(said), bent

        def forward(self, joints: torch.Tensor, clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            truth = torch.from_numpy(next(self.turn).target)[None]
            truth = truth * torch.linspace(1, 1 + self.bent, truth.shape[1])[None, :, None, None]
            pad = torch.zeros(1, joints.shape[1] - truth.shape[1], 17, 3)
            return torch.cat([truth, pad], 1), torch.zeros(1, joints.shape[1], 17)

    right = checking.answers(Knows(0.0), footage)
    assert max(np.abs(one.positions - one.target).max() for one in right) < 1e-6
    bent = checking.answers(Knows(0.3), footage)
    assert max(np.abs(one.positions - one.target).max() for one in bent) > 0.05
