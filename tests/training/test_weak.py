"""Task ``weak``: unlabelled people stay unlabelled, every switch is a switch, and it learns."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import posemend
from posemend.body.catalogue import H36M_17
from posemend.errors import BundleError, InputError, RecipeError
from posemend.nn import losses
from posemend.nn.export import export
from posemend.nn.unlabelled import bone_lengths
from posemend.training import loop, sources, teaching, weak
from posemend.training.tasks import errors, held_out_batches, loss, maker, taught
from posemend.training.weak import WeakBatch, weak_source
from tests.training.people import weak_recipe
from tests.training.test_footage import keypoints


@pytest.fixture(autouse=True)
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up motions are short, and the same in every test."""
    monkeypatch.setattr(sources.procedural, "generate", lambda seed, seconds: _generate(seed, 13.0))


_generate = cache(sources.procedural.generate)
DETECTOR = {"exact": 0, "flagged": 0, "missing": 0, "detector": 1}


def perfect(batch: WeakBatch, truth: np.ndarray) -> Any:
    """What a network that knows ``truth`` (virtual-camera axes) would answer."""
    if not batch.frame_joints:
        return torch.from_numpy(truth), torch.full(truth.shape[:3], -3.0)
    camera = np.matmul(truth, batch.rotation)  # the way back to camera axes
    joints = (
        [H36M_17.index(n) for n in posemend.skeleton("h36m_16").joints] if batch.frame_joints == 16 else slice(None)
    )
    return torch.from_numpy(camera[:, :, joints].reshape(-1, batch.frame_joints, 3))


def with_truth(recipe: Any, number: int = 0) -> tuple[WeakBatch, np.ndarray]:
    """A batch as it is, and the truth behind it, which only ``full`` shows."""
    full = recipe.model_copy(update={"weak": recipe.weak.model_copy(update={"supervision": "full", "pseudo": 0.0})})
    return maker(recipe).batch(number), maker(full).batch(number).target


def value(answer: Any, batch: WeakBatch, recipe: Any) -> float:
    return float(loss(answer, batch, recipe, torch.device("cpu"))[0])


@pytest.mark.parametrize("name", ["patch-tcn", "semgcn"])
def test_a_batch_depends_on_its_number_only(name: str) -> None:
    recipe = weak_recipe(name, DETECTOR, masked=0.5, consistency=1.0, pseudo=1.0)
    one, other = (maker(recipe).batch(7) for _ in range(2))
    for field in fields(one):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if field.name == "teacher":
            assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        else:
            assert np.array_equal(first, second), field.name
    assert one.labelled.tolist() == [True] * 4 + [False] * 4
    shape = (8, 16, 17, 3) if name == "patch-tcn" else (8 * 16, 16, 2)
    assert one.inputs()[0].shape == shape


def test_unlabelled_people_carry_no_truth() -> None:
    batch, truth = with_truth(weak_recipe())
    assert not batch.target[4:].any() and not batch.truth[4:].any() and not batch.pseudo.any()
    assert not batch.root.any()
    assert truth[4:].any()
    np.testing.assert_array_equal(batch.target[:4], truth[:4])
    assert maker(weak_recipe(root="true")).batch(0).root[4:].any()
    labelled = maker(weak_recipe(supervision="labelled")).batch(0)
    assert labelled.labelled.all() and len(labelled.labelled) == 8


@pytest.mark.parametrize("name", ["patch-tcn", "semgcn"])
def test_truth_costs_nothing_but_what_the_bones_of_others_cost(name: str) -> None:
    recipe = weak_recipe(name, bones=0)
    batch, truth = with_truth(recipe)
    answer = perfect(batch, truth)
    quiet = recipe.model_copy(update={"loss": recipe.loss.model_copy(update={"sigma": 0.0})})
    assert value(answer, batch, quiet) < 2e-3
    assert value(answer, batch, quiet.model_copy(update={"weak": quiet.weak.model_copy(update={"bones": 1.0})})) > 4e-3
    found = errors(answer, replace(batch, target=truth), recipe)
    assert found["all"] < 0.1


@pytest.mark.parametrize(
    "term", ["reprojection", "bones", "symmetry", "constancy", "usual", "consistency", "pseudo"]
)  # fmt: skip
def test_every_switch_is_real(term: str) -> None:
    """Switching a term on changes the loss, in proportion, after the warm-up and not before."""
    off = dict.fromkeys(("reprojection", "bones", "symmetry"), 0)
    hiding = {"exact": 0, "flagged": 0, "missing": 1, "detector": 0}
    recipes = [weak_recipe(hiding=hiding, **{**off, term: w}, warmup=5, masked=0.8) for w in (0.0, 1.0, 2.0)]
    values: dict[int, list[float]] = {}
    for number in (4, 5):
        values[number] = []
        for recipe in recipes:
            batch = maker(recipe).batch(number)
            generator = torch.Generator().manual_seed(1)
            answer = (0.4 * torch.randn(8, 16, 17, 3, generator=generator), torch.full((8, 16, 17), -3.0))
            batch = taught(batch, recipe, lambda inputs: (torch.zeros(4, 16, 17, 3), torch.full((4, 16, 17), -3.0)))
            values[number].append(value(answer, batch, recipe))
    assert values[4][0] == values[4][1] == values[4][2]
    once, twice = values[5][1] - values[5][0], values[5][2] - values[5][0]
    assert once > 1e-3 and twice == pytest.approx(2 * once, rel=1e-4)


def test_the_ramp() -> None:
    section = weak_recipe(warmup=10, ramp=4).weak
    assert [teaching.strength(n, section) for n in (0, 9, 10, 11, 13, 99)] == [0, 0, 0.25, 0.5, 1, 1]
    assert teaching.strength(99, weak_recipe(supervision="full").weak) == 0


def test_full_supervision_uses_the_labels_of_all() -> None:
    recipe = weak_recipe(supervision="full")
    batch = maker(recipe).batch(0)
    wrong = batch.target.copy()
    wrong[4:] += 0.1 * np.arange(17)[:, None]
    right = value((torch.from_numpy(batch.target), torch.zeros(8, 16, 17)), batch, recipe)
    assert value((torch.from_numpy(wrong), torch.zeros(8, 16, 17)), batch, recipe) > right + 0.1


def test_the_teacher_sees_what_the_student_does_not() -> None:
    """Its answer, turned into the student's axes, is the truth that the student is wanted to say."""
    hiding = {"exact": 1, "flagged": 0, "missing": 0, "detector": 0}
    recipe = weak_recipe(hiding=hiding, consistency=1.0, masked=1.0, reprojection=0, bones=0, symmetry=0)
    batch, truth = with_truth(recipe)
    assert (batch.joints[4:, ..., 2] == 0).any() and (batch.teacher[0][..., 2] > 0).all()
    assert batch.to_student is not None
    lesson = np.matmul(truth[4:], batch.to_student)  # the truth in the teacher's axes
    told = taught(batch, recipe, lambda inputs: (torch.from_numpy(lesson), torch.full((4, 16, 17), -6.0)))
    quiet = recipe.model_copy(update={"loss": recipe.loss.model_copy(update={"sigma": 0.0})})
    assert value(perfect(batch, truth), told, quiet) < 1e-4
    turned_less = replace(told, to_student=np.broadcast_to(np.eye(3, dtype=np.float32), batch.to_student.shape))
    assert value(perfect(batch, truth), turned_less, quiet) > 1e-3
    # an unsure teacher counts less, but the mean is one of what it believes
    by_halves = (torch.from_numpy(lesson + np.float32(0.1)), torch.full((4, 16, 17), -6.0))
    by_halves[1][:, :, 5:] = 1.0
    unsure = taught(batch, recipe, lambda inputs: by_halves)
    assert value(perfect(batch, truth), unsure, quiet) > 0.1


@pytest.mark.parametrize("name", ["patch-tcn", "semgcn"])
def test_a_run_with_every_term(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # made in this process: a second one would take most of the time
    monkeypatch.setattr(loop, "batches", lambda recipe, first, last: map(maker(recipe).batch, range(first, last)))
    recipe = weak_recipe(
        name, DETECTOR, constancy=0.3, usual=0.3, consistency=0.5, pseudo=0.5, masked=0.5, warmup=1, ramp=2,
        labelled=["procedural/seed10000"], unlabelled=["nobody"], share=0.5, augment=name == "patch-tcn",
    )  # fmt: skip
    done = loop.fit(recipe, tmp_path / "run", show=False)
    assert done["steps"] == 3
    assert np.isfinite(done["validation_mm"]["all"])  # seed10001, whom nobody names, is watched
    if name == "semgcn":
        with pytest.raises(BundleError, match="not made a bundle"):
            export(tmp_path / "run", tmp_path / "bundle")


def test_unlabelled_people_teach() -> None:
    """Too small and bent sideways: the picture puts the one right, bone lengths the other, without any 3D of them."""
    recipe = weak_recipe()
    batch, truth = with_truth(recipe)
    spoiled = truth.copy()
    spoiled[4:] *= 0.75
    spoiled[4:, :, 1:, :2] += np.random.default_rng(1).normal(0, 0.05, (4, 1, 16, 2))
    x = torch.from_numpy(spoiled).requires_grad_()
    optimiser = torch.optim.Adam([x], 0.003)

    def wrong() -> tuple[float, float]:
        """Sideways in metres, and the mean bone length's distance from the truth."""
        own, true = (torch.from_numpy(y)[4:] for y in (x.detach().numpy(), truth))
        lengths = [bone_lengths(y, H36M_17).mean() for y in (own, true)]
        return float((own - true)[..., :2].norm(dim=-1).mean()), float(abs(lengths[0] - lengths[1]))

    before = wrong()
    for _ in range(100):
        optimiser.zero_grad()
        loss((x, torch.full((8, 16, 17), -3.0)), batch, recipe, torch.device("cpu"))[0].backward()
        optimiser.step()
    after = wrong()
    assert after[0] < 0.7 * before[0] and after[1] < 0.5 * before[1]


def test_watched_people() -> None:
    (one, *_) = held_out_batches(weak_recipe(unlabelled=["nobody"], share=0.5), 2)
    assert one.labelled.all() and one.number == 0
    assert held_out_batches(weak_recipe(), 2) == []


def test_sixteen_joints_count_no_nose() -> None:
    rotation = torch.eye(3).expand(2, 3, 3, 3)
    found, log_error = teaching.poses(torch.randn(6, 16, 3), rotation, 16)
    assert found.shape == (2, 3, 17, 3) and log_error is None
    middle = 0.5 * (found[:, :, H36M_17.index("thorax")] + found[:, :, H36M_17.index("head_top")])
    torch.testing.assert_close(found[:, :, H36M_17.index("nose")], middle)
    assert (found[:, :, 0] == 0).all()
    assert float(losses.mpjpe(found, found)) < 1e-5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"labelled": []}, "Nobody is labelled"),
        ({"labelled": ["cmu/01"]}, r"names nobody in data.packs \(procedural\)"),
        ({"unlabelled": []}, "Nobody is unlabelled"),
        ({"unlabelled": ["procedural/*"]}, "both labelled and unlabelled"),
        ({"pseudo": 1.0, "cameras": 1}, "two or more calibrated cameras"),
    ],
)
def test_bad_recipes(words: dict[str, Any], message: str) -> None:
    with pytest.raises((RecipeError, InputError), match=message):
        weak_source(weak_recipe(**words))


def test_keypoint_files_teach(tmp_path: Path) -> None:
    posemend.write(tmp_path / "me.npz", keypoints())
    file = str(tmp_path / "me.npz")
    batch = maker(weak_recipe(unlabelled=[], files=[file])).batch(0)
    assert not batch.target[4:].any() and np.isfinite(batch.image).all()
    with pytest.raises(RecipeError, match="have none"):
        weak_source(weak_recipe(unlabelled=[], files=[file], supervision="full"))
    with pytest.raises(RecipeError, match=r"weak.moments wants one number for each of the 1 files"):
        weak_source(weak_recipe(unlabelled=[], files=[file], moments=[0, 1]))
    posemend.write(tmp_path / "pose.npz", posemend.Pose3D(np.ones((9, 17, 3)), H36M_17))
    with pytest.raises(RecipeError, match="3D pose"):
        weak_source(weak_recipe(unlabelled=[], files=[str(tmp_path / "pose.npz")]))


def test_blendmimic3d(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1 has labels, S2 has cameras only, the validation actions of both are watched."""
    read = weak.blendmimic3d.read
    monkeypatch.setattr(weak, "training_takes", lambda root: read(root / "blendmimic3d", ["S1", "S2"], ["Phone"]))
    monkeypatch.setattr(weak.blendmimic3d, "VALIDATION_ACTIONS", ("Greeting",))
    recipe = weak_recipe(labelled=["blendmimic3d/S1"], unlabelled=["blendmimic3d/S2"], pseudo=1.0)
    data = recipe.data.model_copy(update={"packs": {"blendmimic3d": 1.0}, "root": str(shared_data)})
    recipe = recipe.model_copy(update={"data": data})
    batch = maker(recipe).batch(0)
    assert batch.pseudo[4:].mean() > 0.5 and not batch.truth[4:].any()
    assert held_out_batches(recipe, 1)[0].labelled.all()
