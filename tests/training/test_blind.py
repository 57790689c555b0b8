"""Teaching the published lifters: what they are given and what is wanted of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.body.pose import Pose2D
from posemend.errors import BundleError, RecipeError
from posemend.nn.export import export
from posemend.nn.lifters.apply import lift, normalise
from posemend.nn.lifters.d3dp import kept_signal
from posemend.nn.published import plain_lifter
from posemend.nn.table import build
from posemend.training import blind, loop, tasks
from posemend.training.recipe import BlindSection, Recipe, load, parse
from posemend.training.views import project

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("blind-*.toml"))
SMALL: dict[str, tuple[dict[str, Any], int]] = {
    "martinez": ({"width": 64, "max_norm": 0.0, "dropout": 0.0}, 8),
    "semgcn": ({"hidden": 16, "layers": 1, "joints": 17}, 8),
    "videopose3d": ({"widths": [3, 3], "channels": 48, "dropout": 0.0}, 16),
    "poseformerv2": ({"frames": 9, "kept": 3, "width": 8, "depth": 1, "heads": 2, "drop_path": 0.0}, 16),
    "d3dp": ({"frames": 9, "width": 16, "depth": 1, "heads": 2, "drop_path": 0.0}, 9),
}
EVERY = pytest.mark.parametrize("name", SMALL)


def recipe(name: str, steps: int = 2, **section: Any) -> Recipe:
    """Two made-up minutes, of which a share of 0.45 holds one out."""
    options, frames = SMALL[name]
    return parse(
        {
            "name": "tiny", "task": "blind", "seed": 3,
            "network": {"name": name, "options": options},
            "data": {"packs": {"procedural": 1}, "procedural_minutes": 2, "held_out": 0.45},
            "optim": {"steps": steps, "batch": 6, "frames": frames, "warmup": 1, "rate": 3e-3, "precision": "float32"},
            "blind": section,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def made() -> dict[str, blind.BlindBatch]:
    return {name: tasks.maker(recipe(name)).batch(5) for name in SMALL}


@EVERY
def test_shapes_fit(made: dict[str, blind.BlindBatch], name: str) -> None:
    network = build(name, SMALL[name][0]).eval()
    answer = network(*(torch.from_numpy(x) for x in made[name].inputs()))
    assert answer.shape == made[name].target.shape
    assert (made[name].target[..., 0, :] == 0).all()
    assert all(x.dtype in (np.float32, np.int64) for x in made[name].inputs())
    assert 0.3 < np.abs(made[name].target).max() < 3, "metres"


@EVERY
def test_batches_depend_on_their_number_alone(made: dict[str, blind.BlindBatch], name: str) -> None:
    maker = tasks.maker(recipe(name))
    maker.batch(2)
    again = maker.batch(5)
    for one, other in zip(again.inputs(), made[name].inputs(), strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(maker.batch(6).target, again.target)


def windows(frames: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Frame numbers instead of coordinates."""
    number = np.arange(frames, dtype=np.float32)[None, :, None, None]
    return np.broadcast_to(number, (2, frames, 17, 2)).copy(), np.broadcast_to(number, (2, frames, 17, 3)).copy()


@pytest.mark.parametrize(
    ("name", "options", "frames", "answered"),
    [
        ("videopose3d", {"widths": [3, 3], "channels": 4}, 16, range(4, 12)),
        ("videopose3d", {"widths": [3, 3], "channels": 4, "causal": True}, 16, range(8, 16)),
        ("videopose3d", {"widths": [3, 3], "channels": 4, "strided": True}, 18, [4, 13]),
        ("videopose3d", {"widths": [3, 3], "channels": 4, "strided": True, "causal": True}, 18, [8, 17]),
        ("poseformerv2", {"frames": 9, "kept": 3}, 16, range(4, 12)),
    ],
)
def test_answers_are_wanted_for_the_frames_that_the_network_stands_for(
    name: str, options: dict[str, Any], frames: int, answered: Any
) -> None:
    xy, target = windows(frames)
    network = build(name, options).eval()
    batch = blind.prepare(network, xy, target, BlindSection(), np.random.default_rng(0), False)
    assert batch.target[..., 0, 0].reshape(2, -1).tolist() == [list(answered)] * 2
    if name == "poseformerv2":
        assert batch.given[0].shape == (16, 9, 17, 2)
        assert batch.given[0][3, :, 0, 0].tolist() == list(range(3, 12))
    assert network(torch.from_numpy(batch.given[0])).shape == batch.target.shape


def test_fewer_answers_can_be_asked_for() -> None:
    assert blind.spread(8, 0).tolist() == list(range(8)) and blind.spread(8, 20).tolist() == list(range(8))
    assert blind.spread(8, 2).tolist() == [2, 6] and blind.spread(9, 3).tolist() == [1, 4, 7]
    xy, target = windows()
    for name, options in (("martinez", {"width": 8}), ("poseformerv2", {"frames": 9, "kept": 3})):
        few = BlindSection(answers=3)
        batch = blind.prepare(build(name, options), xy, target, few, np.random.default_rng(0), False)
        assert len(batch.target) == 6


def test_16_joints_are_chosen_by_name() -> None:
    xy, target = windows(4)
    xy[..., 0] = np.arange(17)
    for name, options in (("semgcn", {"hidden": 4}), ("martinez", {"joints": 16, "width": 8})):
        batch = blind.prepare(build(name, options), xy, target, BlindSection(), np.random.default_rng(0), False)
        assert batch.given[0].shape == (8, 16, 2) and batch.target.shape == (8, 16, 3)
        assert batch.given[0][0, :, 0].tolist() == [H36M_17.index(joint) for joint in H36M_16.joints]


def test_noise_of_d3dp() -> None:
    xy, target = windows(9)
    target = target / 9 - 0.5
    network = build("d3dp", {"frames": 9, "width": 8, "depth": 1, "heads": 2})
    rng = np.random.default_rng(0)
    many = blind.prepare(network, xy.repeat(200, 0), target.repeat(200, 0), BlindSection(), rng, False)
    _, noisy, step = many.given
    assert step.min() >= 0 and step.max() <= 999 and 450 < step.mean() < 550
    kept = kept_signal(1000).numpy()[step]
    noise = (noisy - np.sqrt(kept)[:, None, None, None] * many.target) / np.sqrt(1 - kept)[:, None, None, None]
    assert noise.std() == pytest.approx(1, abs=0.01) and noise.mean() == pytest.approx(0, abs=0.01)
    watched = blind.prepare(network, xy, target, BlindSection(), rng, True)
    assert (watched.given[2] == 999).all(), "held-out errors are those of a single look at pure noise"


def test_keypoints_are_exact_or_a_little_off() -> None:
    rng = np.random.default_rng(0)
    camera = np.zeros((400, 20, 17, 3), np.float32)
    camera[..., :2], camera[..., 2] = rng.uniform(-1, 1, (400, 20, 17, 2)), 4
    ratio, shape = np.full(400, 1.2, np.float32), np.tile(np.array([[1, 0.5625]], np.float32), (400, 1))
    seen = project(camera, ratio, shape.copy(), rng.random(400) < 0.5)
    exact = blind.blurred(seen, BlindSection(exact=1), rng)
    # the image's right edge is at 1, whatever the focal length that other networks are told
    assert exact == pytest.approx(camera[..., :2] / 4 * 1.2 * 2, abs=1e-5)
    # as a recording is normalised when a lifter is used, also where the image is higher than wide
    shape[:] = 0.5625, 1
    upright = project(camera, ratio, shape, rng.random(400) < 0.5)
    pixels = (camera[..., :2] / 4 * 1.2 + [0.5625 / 2, 0.5]) * 1920
    assert blind.blurred(upright, BlindSection(exact=1), rng) == pytest.approx(normalise(pixels, 1080, 1920), abs=1e-5)
    off = np.linalg.norm(blind.blurred(seen, BlindSection(exact=0.25, noise=10), rng) - exact, axis=-1) / 2 * 1000
    share = (off.max((1, 2)) < 1e-3).mean()
    assert share == pytest.approx(0.25, abs=0.07)
    assert off.mean() == pytest.approx(0.75 * 5, rel=0.15), "px per 1000 px of the longer side"


@EVERY
def test_loss_falls_and_the_lifter_can_be_used(tmp_path: Path, name: str) -> None:
    read = recipe(name, steps=60, exact=1.0)
    source, step = tasks.maker(read), loop._begin(read)
    fixed = [source.batch(number) for number in range(2)]
    told = [loop._learn(fixed[number % 2], number, read, step) for number in range(60)]
    assert np.mean(told[-6:]) < 0.6 * np.mean(told[:6]), told
    loop._save(tmp_path / "run", 60, read, step, [])
    lifter = plain_lifter(name, tmp_path / "run")
    positions = np.random.default_rng(0).uniform(100, 900, (30, 17, 2)).astype(np.float32)
    given = Pose2D(positions, H36M_17, width=1000, height=1000)
    assert (lifter(given).positions == lift(lifter.network, given).positions).all()
    with pytest.raises(BundleError, match=f"--lifter {name}=FOLDER"):
        export(tmp_path / "run", tmp_path / "bundle")


def test_a_whole_run_and_its_curve(tmp_path: Path) -> None:
    done = loop.fit(recipe("martinez", steps=3), tmp_path / "run", show=False)
    assert done["steps"] == 3 and done["validation_mm"]["all"] > 0
    assert (tmp_path / "run" / "curves.png").is_file()
    assert loop.fit(recipe("martinez", steps=3), tmp_path / "run", resume=True, show=False)["steps"] == 3


def test_mean_square_and_mean_distance() -> None:
    batch = blind.BlindBatch((), np.zeros((4, 17, 3), np.float32))
    answer = torch.full((4, 17, 3), 0.1)
    device = torch.device("cpu")
    told = {kind: blind.loss(answer, batch, recipe("martinez", loss=kind), device) for kind in ("mse", "mpjpe")}
    assert told["mse"][0].item() == pytest.approx(0.01) and told["mpjpe"][0].item() == pytest.approx(0.1 * 3**0.5)
    assert told["mse"][1] == told["mpjpe"][1] == pytest.approx(173.2, abs=0.1)
    assert blind.errors(answer, batch)["all"] == 0, "errors are root-relative"


def test_wrong_recipes_are_told() -> None:
    with pytest.raises(RecipeError, match="looks at 9 frames; optim.frames is 8"):
        tasks.maker(recipe("videopose3d").model_copy(update={"optim": recipe("martinez").optim})).batch(0)
    with pytest.raises(RecipeError, match="chunks of 9 frames"):
        tasks.maker(recipe("d3dp").model_copy(update={"optim": recipe("martinez").optim})).batch(0)
    wrong = recipe("martinez").model_dump() | {"network": {"name": "patch-tcn"}}
    with pytest.raises(RecipeError, match="Task 'blind' is for martinez.*PatchTCN"):
        tasks.maker(parse(wrong)).batch(0)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_of_one_data_and_can_be_built(path: Path) -> None:
    read, first = load(path), load(RECIPES[0])
    assert len(RECIPES) == 5 and read.task == "blind" and read.name == path.stem
    for section in ("data", "variety", "views", "seed"):
        assert getattr(read, section) == getattr(first, section)
    assert (read.blind.exact, read.blind.noise, read.blind.fps) == (0.4, 8, 50)
    network = build(read.network.name, read.network.options).eval()
    xy, target = windows(read.optim.frames)
    batch = blind.prepare(network, xy[:1], target[:1], read.blind, np.random.default_rng(0), False)
    assert batch.target.size
