"""Films, lessons and module D in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from posemend.body.catalogue import ITOP_15
from posemend.contract.card import read_card
from posemend.contract.depth_time import FAULTS, TIME_FEATURES
from posemend.errors import RecipeError
from posemend.nn.export import PARITY, export
from posemend.nn.table import build
from posemend.training import depth_time, loop, tasks
from posemend.training.depth import loss, scene_maker
from posemend.training.depth_batch import DepthBatch
from posemend.training.depth_films import Film, detected, films
from posemend.training.recipe import Recipe, parse


def recipe(lessons: Path | str = "", **optim: object) -> Recipe:
    return parse(
        {
            "name": "tiny", "task": "depth-time", "seed": 5,
            "network": {"name": "depth-time", "options": {"width": 16, "dilations": [1, 2]}},
            "data": {"packs": {"procedural": 1}, "procedural_minutes": 2, "held_out": 0.45},
            "depth": {"type": "films", "lessons": str(lessons)}, "loss": {"sigma": 0.01},
            "optim": {"steps": 2, "batch": 4, "frames": 12, "warmup": 1, "validate_every": 2, "precision": "float32"}
            | optim,
        }
    )  # fmt: skip


@pytest.fixture
def lessons(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("learn-0000", "learn-0001", "held-0000"):
        np.savez(
            tmp_path / f"{name}.npz", evidence=rng.normal(0, 0.5, (3, 20, 15, TIME_FEATURES)).astype(np.float16),
            faults=rng.normal(0, 0.1, (3, 20, FAULTS)).astype(np.float32),
            target=rng.normal(0, 0.05, (3, 20, 15, 3)).astype(np.float32), hidden=rng.random((3, 20, 15)) < 0.3,
        )  # fmt: skip
    return tmp_path


@pytest.fixture(scope="module")
def filmed() -> list[Film]:
    return films(scene_maker(recipe(), False), np.random.default_rng(3), 4, 10)


def test_a_film_is_one_room_and_one_person(filmed: list[Film]) -> None:
    for film in filmed:
        scenes = film.looks.scenes
        assert scenes is not None and len(film.looks) == len(film.pixels) == 10
        for still in (scenes.radius, scenes.box_centre, scenes.box_half, scenes.normal, scenes.offset):
            assert (still == still[:1]).all()
        steps = np.linalg.norm(np.diff(film.looks.joints, axis=0), axis=-1)
        assert 0 < steps.mean() < 0.1, "people move a little from frame to frame"
        assert film.looks.depth.shape == (10, 240, 320)
    assert 0.05 < np.mean([film.looks.hidden.mean() for film in filmed]) < 0.8
    again = films(scene_maker(recipe(), False), np.random.default_rng(3), 4, 10)
    assert np.array_equal(again[1].pixels, filmed[1].pixels)


def test_hidden_joints_are_found_worse(filmed: list[Film]) -> None:
    looks = filmed[0].looks
    truth = np.repeat(looks.pixels[:1], 400, 0)
    none, some = np.zeros((400, 15), bool), np.ones((400, 15), bool)
    joints = np.repeat(looks.joints[:1], 400, 0)
    off = []
    for own, other in ((none, none), (none, some)):
        runs = [detected(truth, own, other, joints, looks.camera, np.random.default_rng(k)) for k in range(12)]
        off.append(np.median([np.linalg.norm(pixels - truth, axis=-1) for pixels, _ in runs]))
        assert all(((score >= 0) & (score < 1)).all() for _, score in runs)
    assert off[1] > 2 * off[0] > 0


def test_mirrored_twice_is_the_same(lessons: Path) -> None:
    source = depth_time.source(recipe(lessons))
    evidence, target, hidden = source.evidence.astype(np.float32), source.target, source.hidden
    once = depth_time.mirrored(evidence, target, hidden)
    left, right = ITOP_15.index("l_wrist"), ITOP_15.index("r_wrist")
    assert np.array_equal(once[1][:, :, left, 0], -target[:, :, right, 0])
    assert np.array_equal(once[0][:, :, left, 6], -evidence[:, :, right, 6])
    assert np.array_equal(once[0][:, :, left, 7], evidence[:, :, right, 7])
    for was, now in zip((evidence, target, hidden), depth_time.mirrored(*once), strict=True):
        assert np.array_equal(was, now)


def test_batches_repeat_and_people_are_held_out(lessons: Path) -> None:
    source, held = depth_time.source(recipe(lessons)), depth_time.source(recipe(lessons), held_out=True)
    assert len(source.target) == 6 and len(held.target) == 3
    one, again, other = (source.batch(number) for number in (1, 1, 2))
    assert one.target.shape == (4, 12, 15, 3)
    for a, b, c in zip(one.inputs(), again.inputs(), other.inputs(), strict=True):
        assert a.dtype == np.float32 and np.array_equal(a, b) and not np.array_equal(a, c)


def test_training_and_export(lessons: Path, tmp_path: Path) -> None:
    done = loop.fit(recipe(lessons), tmp_path / "run", show=False)
    assert done["validation_mm"]["raw"] > 0
    card = export(tmp_path / "run", tmp_path / "set" / "depth-time")
    assert card.task == "depth-time" and card.parity["torch_m"] <= PARITY and card.reach == 3
    assert card.commercial and card == read_card(tmp_path / "set" / "depth-time")


def test_frames_beyond_reach_change_nothing() -> None:
    torch.manual_seed(0)
    network = build("depth-time", {"width": 16, "dilations": [1, 2]}).eval()
    torch.nn.init.normal_(network.last.weight)
    evidence, told = network.example(20)
    other = evidence.clone()
    other[:, 12:] += 1
    with torch.no_grad():
        one, two = network(evidence, told)[0], network(other, told)[0]
    assert torch.allclose(one[:, : 12 - 3], two[:, : 12 - 3], atol=1e-5) and not torch.allclose(one[:, 10], two[:, 10])


def test_mistakes_are_told(lessons: Path) -> None:
    with pytest.raises(RecipeError, match="holds no lessons. Make them with"):
        tasks.maker(recipe(lessons / "nowhere"))
    with pytest.raises(RecipeError, match="lessons have 20 frames"):
        tasks.maker(recipe(lessons, frames=21))
    (lessons / "learn-0002.npz").write_bytes(b"nothing")
    with pytest.raises(RecipeError, match=r"learn-0002.npz cannot be read"):
        tasks.maker(recipe(lessons))


def test_what_is_lost_counts_little() -> None:
    """A joint 100 m off must not outweigh one that is off by as much as can be mended."""
    target = np.array([[[[0.15, 0.0, 0.0], [100.0, 0.0, 0.0]]]], np.float32)
    one = np.ones((1, 1, 2), np.float32)
    batch = DepthBatch((), target, one < 0, one, one)
    for near_mm, wanted in ((0, (0.15 + 100) / 2), (150, (0.075 + 0.15) / 2)):
        bounded = recipe().model_copy(update={"depth": recipe().depth.model_copy(update={"near_mm": near_mm})})
        bounded = bounded.model_copy(update={"loss": bounded.loss.model_copy(update={"sigma": 0.0})})
        total, error = loss((torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 2)), batch, bounded, torch.device("cpu"))
        assert float(total) == pytest.approx(bounded.loss.position * wanted, rel=2e-3)
        assert error == pytest.approx((0.15 + 100) / 2 * 1000, rel=1e-3)  # what is told stays millimetres


def test_joints_tell_one_another() -> None:
    """What one joint shows changes the answer for others, at that moment and within reach of it."""
    network = build("depth-time", {"width": 16, "dilations": [1, 2]}).eval()
    torch.nn.init.normal_(network.last.weight)
    evidence, faults = torch.zeros(1, 20, 15, TIME_FEATURES), torch.zeros(1, 20, FAULTS)
    changed = evidence.clone()
    changed[0, 10, 3] += 1
    with torch.no_grad():
        moved = (network(changed, faults)[0] - network(evidence, faults)[0]).abs().amax(-1)[0]
    assert (moved[10] > 1e-6).all() and (moved[:7] == 0).all() and (moved[14:] == 0).all()
