"""Training the occlusion-resilient graph and its lifter in small: batches, masks, resumption, export."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from posemend.errors import RecipeError
from posemend.nn import checkpoint
from posemend.nn.export import export
from posemend.nn.table import build, options_of
from posemend.occlusion.masks import RunLengths, omega
from posemend.training import loop, sources, tasks
from posemend.training.batches import Batch
from posemend.training.masking import MaskedBatch, Thinned
from posemend.training.recipe import Recipe, parse
from posemend.training.refining import RefinerBatch
from posemend.training.rooted import RootedBatch
from posemend.training.tasks import held_out_batches, maker

GRAPH = {"name": "masked-graph", "options": {"width": 8, "strides": [1, 2], "neighbours": 1}}


@pytest.fixture(scope="module")
def opinion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained lifter."""
    folder = tmp_path_factory.mktemp("lifter") / "checkpoint"
    torch.manual_seed(1)
    network = build("patch-tcn", {"patch": 4, "width": 16, "hidden": 16, "dilations": [1]})
    facts = {"network": {"name": "patch-tcn", "options": options_of(network)}}
    checkpoint.save(folder, network.state_dict(), {"none": torch.zeros(1)}, facts)
    return folder.parent


def recipe(opinion: Path, task: str = "masked", network: dict | None = None, **masked: object) -> Recipe:
    return parse(
        {
            "name": "tiny", "task": task, "seed": 5, "network": network or GRAPH,
            "data": {"packs": {"procedural": 1}, "procedural_minutes": 2, "held_out": 0.45},
            "raw": {"opinion": str(opinion)},
            "masked": {"frames": 16, "number": 4, "share": 0.2, "overlap": 0.1, "clean": 0.25, **masked},
            "optim": {"steps": 3, "batch": 4, "frames": 32, "warmup": 1, "save_every": 1, "validate_every": 3,
                      "precision": "float32"},
        }
    )  # fmt: skip


def test_each_graph_is_given_a_mask_of_the_set(opinion: Path) -> None:
    source = maker(recipe(opinion))
    hidden = omega(4, 0.2, 0.1, 16, lengths=RunLengths())
    found = set()
    for number in range(6):
        batch = source.batch(number)
        assert isinstance(batch, MaskedBatch)
        assert batch.evidence.shape[:3] == batch.keep.shape == (8, 16, 17)
        for keep in batch.keep:
            same = [n for n in range(4) if np.array_equal(~keep, hidden[n])]
            assert same or keep.all()
            found.add(same[0] if same else "clean")
    assert found == {0, 1, 2, 3, "clean"}


def test_graphs_are_pieces_of_the_refiners_samples(opinion: Path) -> None:
    whole = maker(recipe(opinion, task="refine", network={"name": "stgcn-six"})).batch(3)
    cut = maker(recipe(opinion)).batch(3)
    for field in fields(RefinerBatch):
        one, other = getattr(whole, field.name), getattr(cut, field.name)
        assert np.array_equal(one.reshape(other.shape), other)
    again = maker(recipe(opinion)).batch(3)
    assert np.array_equal(again.keep, cut.keep) and np.array_equal(again.noise, cut.noise)


def test_one_frame_of_so_many_is_a_node(opinion: Path) -> None:
    """Frames are those of the whole sample from a random one on, at a lower rate."""
    whole = sources.source(recipe(opinion)).batch(2)
    thin = Thinned(sources.source(recipe(opinion)), 4).batch(2)
    first = [n for n in range(4) if np.array_equal(thin.target, whole.target[:, n::4])]
    assert first and np.array_equal(thin.rays, whole.rays[:, first[0] :: 4])
    np.testing.assert_allclose(np.exp(thin.clip[..., 3]), np.exp(whole.clip[:, first[0] :: 4, 3]) / 4, rtol=1e-5)
    assert thin.fps == whole.fps / 4 and np.array_equal(thin.half, whole.half)
    batch = maker(recipe(opinion, every=4, frames=8)).batch(2)
    assert batch.evidence.shape[:2] == (4, 8)  # type: ignore[attr-defined]
    starts = set()
    for number in range(8):
        base = sources.source(recipe(opinion))
        thin, whole = Thinned(base, 4).batch(number).target, base.batch(number).target
        starts |= {first for first in range(4) if np.array_equal(thin, whole[:, first::4])}
    assert len(starts) > 1


def test_opinions_are_not_asked_for_where_nobody_looks(opinion: Path) -> None:
    pose = {"name": "masked-graph", "options": {**GRAPH["options"], "inputs": "pose"}}  # type: ignore[dict-item]
    made = recipe(opinion, network=pose)
    alone = made.model_copy(update={"raw": made.raw.model_copy(update={"own": 0.0, "corrupted": 1.0})})
    for name, wanted in ((made, True), (alone, False)):
        batch = maker(name).batch(0)
        assert (np.abs(batch.evidence[..., 9:]).max() > 0) == wanted  # type: ignore[attr-defined]
        assert np.abs(batch.raw).max() > 0.1  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "rates"), [("dropedge", (0.2, 0)), ("mc-dropout", (0, 0.2)), ("none", (0, 0))])
def test_the_methods_compared_with_see_the_same_samples(opinion: Path, kind: str, rates: tuple[float, float]) -> None:
    batch, masked = maker(recipe(opinion, kind=kind)).batch(1), maker(recipe(opinion)).batch(1)
    assert np.array_equal(batch.evidence, masked.evidence)
    assert batch.keep.all() and not masked.keep.all()
    assert tuple(batch.noise[:2]) == rates and tuple(masked.noise[:2]) == (0, 0)


def test_held_out_clips_are_whole_and_unmasked(opinion: Path) -> None:
    batches = held_out_batches(recipe(opinion), 1)
    assert type(batches[0]) is RefinerBatch
    assert batches[0].evidence.shape[1] == 32


@pytest.mark.parametrize(
    ("masked", "words"), [({"frames": 12}, "divisor of optim.frames"), ({"number": 9, "overlap": 0.0}, "at least")]
)
def test_impossible_masks_are_refused(opinion: Path, masked: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        maker(recipe(opinion, **masked))


@pytest.mark.parametrize("kind", ["dropedge", "mc-dropout"])
def test_dropping_depends_on_the_batch_alone(opinion: Path, kind: str) -> None:
    """So a killed run goes on exactly, however often chance was asked before."""
    inputs = [torch.from_numpy(np.ascontiguousarray(x)) for x in maker(recipe(opinion, kind=kind)).batch(0).inputs()]
    network = build("masked-graph", GRAPH["options"]).train()  # type: ignore[arg-type]
    torch.nn.init.normal_(network.head.weight)  # type: ignore[union-attr,arg-type]
    with torch.no_grad():
        first = network(*inputs)[0]
        torch.rand(7)
        assert torch.equal(network(*inputs)[0], first)
        inputs[3][2] += 1
        assert not torch.equal(network(*inputs)[0], first)


def test_training_and_export_of_the_graph(opinion: Path, tmp_path: Path) -> None:
    loop.fit(recipe(opinion), tmp_path / "run", show=False)
    network, about = checkpoint.load_network(tmp_path / "run" / "checkpoint")
    assert float(network.head.weight.detach().abs().max()) > 0  # type: ignore[union-attr,operator]
    assert float(network.bones.detach().abs().max()) > 0  # type: ignore[union-attr,operator]
    assert {"visible", "hidden", "raw"} <= set(about["history"][-1])
    card = export(tmp_path / "run", tmp_path / "bundle")
    assert card.task == "refine" and card.patch == 1
    assert card.parity["torch_m"] < 1e-4


def test_lnet_is_told_the_distance_in_training_only(opinion: Path, tmp_path: Path) -> None:
    rooted = recipe(opinion, task="lift-rooted", network={"name": "lnet", "options": {"width": 16}})
    batch = maker(rooted).batch(0)
    assert isinstance(batch, RootedBatch) and len(batch.inputs()) == 3
    assert batch.distance.shape == (4, 32) and batch.distance.min() > 0.5
    assert type(held_out_batches(rooted, 1)[0]) is Batch

    network = build("lnet", {"width": 16})
    answer = network(*(torch.from_numpy(np.ascontiguousarray(x)) for x in batch.inputs()))
    loss, error = tasks.loss(answer, batch, rooted, torch.device("cpu"))
    loss.backward()
    assert error > 0 and float(network.head.weight.grad[0].abs().max()) > 0  # type: ignore[union-attr,index]
    without = rooted.model_copy(update={"loss": rooted.loss.model_copy(update={"root": 0.0})})
    assert tasks.loss(answer, batch, without, torch.device("cpu"))[0] < loss

    facts = {"network": {"name": "lnet", "options": options_of(network)}, "recipe": rooted.model_dump(), "commit": ""}
    checkpoint.save(tmp_path / "checkpoint", network.state_dict(), {}, facts)
    card = export(tmp_path, tmp_path / "bundle")
    assert card.task == "lift" and card.parity["torch_m"] < 1e-4
