"""A refiner's batches, its training in small, and its export."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posemend.contract.card import read_card
from posemend.contract.codec import turn
from posemend.contract.evidence import EVIDENCE_CLIP_FEATURES, EVIDENCE_FEATURES, bounded
from posemend.errors import RecipeError
from posemend.nn import checkpoint
from posemend.nn.export import export
from posemend.nn.lifters.apply import Manner, lift_array
from posemend.nn.table import build, options_of
from posemend.training import loop
from posemend.training.recipe import Recipe, parse
from posemend.training.refining import RefinerSource, filled
from posemend.training.tasks import maker

NETWORK = {"width": 16, "dilations": [1, 2]}


@pytest.fixture(scope="module")
def opinion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained lifter."""
    folder = tmp_path_factory.mktemp("lifter") / "checkpoint"
    torch.manual_seed(1)
    network = build("patch-tcn", {"patch": 4, "width": 16, "hidden": 16, "dilations": [1]})
    facts = {"network": {"name": "patch-tcn", "options": options_of(network)}}
    checkpoint.save(folder, network.state_dict(), {"none": torch.zeros(1)}, facts)
    return folder.parent


def recipe(opinion: Path, **raw: Any) -> Recipe:
    return parse(
        {
            "name": "tiny-refiner", "task": "refine", "seed": 5,
            "network": {"name": "stgcn-six", "options": NETWORK},
            "data": {"packs": {"procedural": 1}, "procedural_minutes": 1, "held_out": 0},
            "raw": {"opinion": str(opinion), **raw},
            "loss": {"harm": 0.5, "symmetry": 0.1},
            "optim": {"steps": 3, "batch": 4, "frames": 32, "warmup": 1, "save_every": 3, "validate_every": 3,
                      "precision": "float32"},
        }
    )  # fmt: skip


def test_a_batch_depends_on_its_number_only(opinion: Path) -> None:
    one, other = (maker(recipe(opinion)).batch(7) for _ in range(2))
    for field in fields(one):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name))
    assert one.evidence.shape == (4, 32, 17, EVIDENCE_FEATURES)
    assert one.clip.shape == (4, 32, EVIDENCE_CLIP_FEATURES)
    assert np.isfinite(one.evidence).all()


def test_own_poses_are_the_opinion_itself(opinion: Path) -> None:
    batch = maker(recipe(opinion, own=1.0, corrupted=0.0, keypoints=1.0)).batch(0)
    giants = np.abs(batch.raw).max((-1, -2)) > 1.29  # these are shrunk, and so no longer the opinion
    assert not giants.all()
    assert (batch.evidence[~giants][..., 9:12] == 0).all()
    assert (batch.clip[..., 5:] == 1).all()


def test_without_keypoints_nothing_of_them_is_shown(opinion: Path) -> None:
    batch = maker(recipe(opinion, keypoints=0.0)).batch(0)
    assert (batch.evidence[..., 3:8] == 0).all()
    assert (batch.evidence[..., 9:] == 0).all()
    assert (np.delete(batch.clip, 3, axis=-1) == 0).all()
    assert batch.raw.shape == batch.target.shape


@pytest.fixture(scope="module")
def lifters(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two untrained published lifters."""
    folders = []
    for name, options in (("martinez", {"width": 32}), ("videopose3d", {"widths": [3], "channels": 16})):
        folder = tmp_path_factory.mktemp(name) / "checkpoint"
        network = build(name, options)
        facts = {"network": {"name": name, "options": options_of(network)}}
        checkpoint.save(folder, network.state_dict(), {"none": torch.zeros(1)}, facts)
        folders.append(str(folder.parent))
    return folders


def test_published_lifters_are_run_on_what_the_keypoints_show(opinion: Path, lifters: list[str]) -> None:
    """Their poses come from filled keypoints, turned into the virtual camera's axes; each sample has one of them."""
    shares = {"own": 0.0, "corrupted": 0.0, "published": 1.0, "lifters": lifters, "keypoints": 1.0}
    made = maker(recipe(opinion, **shares))
    one = made.batch(3)
    assert np.array_equal(one.raw, maker(recipe(opinion, **shares)).batch(3).raw)
    assert np.isfinite(one.raw).all()
    assert (one.raw[:, :, 0] == 0).all()
    opinion_pose = one.raw + one.evidence[..., 9:12]
    assert np.abs(opinion_pose - one.raw).max() > 0.01, "the raw pose is not the opinion"
    given = made._base.batch(3)
    network, _ = checkpoint.load_network(Path(lifters[0]) / "checkpoint")
    xy = filled(given.rays, given.score) / given.half[:, None, None, None]
    by_first = np.stack([lift_array(network, line, Manner(flip=False)) for line in xy])
    same = [
        np.allclose(bounded(turn(p, r)), raw, atol=1e-5)
        for p, r, raw in zip(by_first, given.rotation, one.raw, strict=True)
    ]
    assert any(same)
    assert not all(same), "every sample came from the first lifter"


def test_mediocre_poses_err_more_than_the_opinion(opinion: Path) -> None:
    shares = {"own": 0.0, "corrupted": 0.0, "mediocre": 1.0, "keypoints": 1.0}
    batch = maker(recipe(opinion, **shares)).batch(1)
    change = np.linalg.norm(batch.evidence[..., 9:12], axis=-1)[..., 1:]
    assert change.mean() > 0.01
    assert np.isfinite(batch.raw).all()


def test_published_needs_lifters(opinion: Path) -> None:
    with pytest.raises(RecipeError, match=r"raw\.lifters"):
        maker(recipe(opinion, published=0.5))


def test_an_opinion_is_needed() -> None:
    with pytest.raises(RecipeError, match=r"raw\.opinion"):
        RefinerSource(
            recipe(Path("")).model_copy(update={"raw": recipe(Path("x")).raw.model_copy(update={"opinion": ""})}), None
        )  # type: ignore[arg-type]


def test_training_and_export(opinion: Path, tmp_path: Path) -> None:
    """A refiner that has learnt a little still gives torch's numbers in ONNX Runtime, at every length."""
    loop.fit(recipe(opinion), tmp_path / "run", show=False)
    network, _ = checkpoint.load_network(tmp_path / "run" / "checkpoint")
    assert float(network.head.weight.detach().abs().max()) > 0  # type: ignore[union-attr,operator]
    card = export(tmp_path / "run", tmp_path / "bundle")
    assert card.task == "refine"
    assert card.parity["torch_m"] < 1e-4
    assert card.commercial
    assert read_card(tmp_path / "bundle") == card


def test_smoothnet_is_trained_and_exported_like_others(opinion: Path, tmp_path: Path) -> None:
    base = recipe(opinion, keypoints=1.0)
    tiny = parse({
        **base.model_dump(), "name": "tiny-smoothnet",
        "network": {"name": "smoothnet", "options": {"frames": 8, "width": 16, "inner": 8, "residual": True}},
        "loss": {"position": 0, "velocity": 0, "sigma": 0, "absolute": 1, "acceleration": 1},
    })  # fmt: skip
    loop.fit(tiny, tmp_path / "run", show=False)
    network, _ = checkpoint.load_network(tmp_path / "run" / "checkpoint")
    assert float(network.decoder.weight.detach().abs().max()) > 0  # type: ignore[union-attr,operator]
    card = export(tmp_path / "run", tmp_path / "bundle")
    assert (card.task, card.network["name"], card.reach) == ("refine", "smoothnet", 7)
    assert card.parity["torch_m"] < 1e-4
