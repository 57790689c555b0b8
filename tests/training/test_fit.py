"""A whole training in small: it writes what it says, and a killed run goes on exactly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from posemend.errors import RecipeError
from posemend.nn import checkpoint
from posemend.training import loop, tasks
from posemend.training.recipe import Recipe, parse


def recipe(name: str = "patch-tcn", steps: int = 3, held_out: float = 0.45) -> Recipe:
    """Two made-up minutes, of which a share of 0.45 holds one out."""
    options = {
        "patch-tcn": {"width": 16, "hidden": 16, "dilations": [1, 2], "dropout": 0.0},
        "videopose3d": {"channels": 8, "widths": [3, 3], "in_features": 3, "dropout": 0.0},
    }
    return parse(
        {
            "name": "tiny", "task": "lift", "seed": 3,
            "network": {"name": name, "options": options[name]},
            "data": {"packs": {"procedural": 1}, "procedural_minutes": 2, "held_out": held_out},
            "optim": {"steps": steps, "batch": 2, "frames": 16, "warmup": 1, "save_every": 1, "validate_every": 2,
                      "precision": "float32"},
        }
    )  # fmt: skip


class Killed(Exception):
    """What stands for the power cut."""


def test_a_killed_run_goes_on_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = loop.fit(recipe(), tmp_path / "whole", show=False)
    assert whole["steps"] == 3

    learn = loop._learn

    def killed_at_2(batch, number, *rest):  # type: ignore[no-untyped-def]
        if number == 2:
            raise Killed
        return learn(batch, number, *rest)

    monkeypatch.setattr(loop, "_learn", killed_at_2)
    with pytest.raises(Killed):
        loop.fit(recipe(), tmp_path / "killed", show=False)
    monkeypatch.undo()
    assert checkpoint.facts(tmp_path / "killed" / "checkpoint")["step"] == 2
    loop.fit(recipe(), tmp_path / "killed", resume=True, show=False)

    for name in ("weights.safetensors", "state.safetensors"):
        one, other = (load_file(tmp_path / run / "checkpoint" / name) for run in ("whole", "killed"))
        assert one.keys() == other.keys() and len(one) > 5
        for key in one:
            assert np.array_equal(one[key], other[key]), f"{name}: {key}"

    network, facts = checkpoint.load_network(tmp_path / "whole" / "checkpoint")
    assert facts["step"] == 3 and facts["finished"] is True
    assert parse(facts["recipe"]) == recipe()
    assert facts["network"] == {"name": "patch-tcn", "options": {
        "joints": 17, "patch": 2, "width": 16, "hidden": 16, "dilations": [1, 2], "dropout": 0.0}}  # fmt: skip
    assert facts["parameters"] == sum(p.numel() for p in network.parameters())
    rows = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 3]
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert (tmp_path / "whole" / "curves.png").stat().st_size > 1000

    # a folder that is taken is not overwritten, and not gone on with by another recipe
    with pytest.raises(RecipeError, match="already holds a checkpoint.*--resume"):
        loop.fit(recipe(), tmp_path / "whole", show=False)
    other = recipe().model_copy(update={"seed": 4})
    with pytest.raises(RecipeError, match="another recipe"):
        loop.fit(other, tmp_path / "whole", resume=True, show=False)
    # but a run may be made longer
    loop.fit(recipe(steps=4), tmp_path / "whole", resume=True, show=False)
    longer = checkpoint.facts(tmp_path / "whole" / "checkpoint")
    assert longer["step"] == 4 and [row["step"] for row in longer["history"]] == [2, 3, 4]


def test_other_networks_can_be_trained(tmp_path: Path) -> None:
    done = loop.fit(recipe("videopose3d", steps=1), tmp_path / "run", show=False)
    assert done["steps"] == 1
    network, _ = checkpoint.load_network(tmp_path / "run" / "checkpoint")
    assert network.config.widths == (3, 3)


def test_nothing_held_out(tmp_path: Path) -> None:
    loop.fit(recipe(steps=1, held_out=0), tmp_path / "run", show=False)
    about = (tmp_path / "run" / "checkpoint" / "checkpoint.json").read_text()
    assert "NaN" not in about


def test_learning_rate() -> None:
    made = parse({**recipe().model_dump(), "optim": {"steps": 110, "warmup": 10, "rate": 1.0}})
    assert [loop.rate_at(step, made) for step in (0, 4, 9, 10, 60)] == pytest.approx([0.1, 0.5, 1, 1, 0.5])
    assert loop.rate_at(109, made) < 0.001


def test_missing_data_is_told(tmp_path: Path) -> None:
    wanting = parse({**recipe().model_dump(), "data": {"packs": {"cmu": 1.0}, "root": str(tmp_path)}})
    with pytest.raises(RecipeError, match=r"Pack 'cmu' is not at .*cmu\.npz"):
        loop.fit(wanting, tmp_path / "run", show=False)
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_hidden_joints_can_count_for_more() -> None:
    """Where only hidden joints are wrong, the position loss grows with their weight."""
    made = recipe()
    batch = tasks.maker(made).batch(0)
    target = torch.from_numpy(np.ascontiguousarray(batch.target))
    wrong = target + 0.1 * torch.from_numpy(batch.hidden)[..., None]
    answer = (wrong, torch.zeros(wrong.shape[:3]))

    def loss(hidden: float) -> float:
        bare = {"position": 1, "velocity": 0, "sigma": 0, "hidden": hidden}
        weighed = parse({**made.model_dump(), "loss": bare})
        return tasks.loss(answer, batch, weighed, torch.device("cpu"))[0].item()

    share = batch.hidden.mean()
    assert 0 < share < 1
    assert loss(1) == pytest.approx(0.1 * 3**0.5 * share, rel=1e-3)
    assert loss(3) == pytest.approx(0.1 * 3**0.5 * 3 * share / (3 * share + 1 - share), rel=1e-3)


def test_training_leaves_tiny_numbers_to_others(tmp_path: Path) -> None:
    loop.fit(recipe(steps=1, held_out=0), tmp_path / "run", show=False)
    assert float(torch.tensor(1e-40) * 1) > 0
    assert np.float32(1e-40) * np.float32(1) > 0
