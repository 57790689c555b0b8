"""A benchmark as training data: whole frames by the data set's own cameras, exact or as a detector found them."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17, MPI_INF_3DHP_17, SMPL_24
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.datasets.procedural import demo_clip
from posemend.errors import RecipeError
from posemend.training.batches import Source
from posemend.training.hiding import Hiding
from posemend.training.recipe import Recipe, load, parse
from posemend.training.recorded import SKULL_TO_TOP, of_takes, on_h36m
from posemend.training.sources import source
from posemend.training.vary import Variety
from posemend.training.views import Views

EXACT = Hiding(exact=1, flagged=0, missing=0, detector=0, spans=0)
RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@functools.cache
def _clip() -> Take:
    return demo_clip()


def take(score: np.ndarray | None = None, offset: float = 0.0) -> Take:
    """The demo clip; its detector is ``offset`` pixels to the right, with score 0.6."""
    clip = _clip()
    truth = clip.truth if score is None else replace(clip.truth, score=score)
    detected = replace(
        clip.keypoints, positions=clip.keypoints.positions + np.float32([offset, 0]),
        score=np.full(clip.keypoints.score.shape, 0.6),
    )  # fmt: skip
    return replace(clip, truth=truth, detected=detected)


def all_recorded(recordings, **more) -> Source:
    settings = {"variety": Variety(definition=0), "views": Views(calibrated=1), "hiding": EXACT} | more
    return Source(None, recordings, 1.0, 16, 32, seed=1, **settings)


def test_frames_that_do_not_count_are_cut_out() -> None:
    score = np.ones(_clip().truth.score.shape)
    score[100:110] = 0
    score[130:] = 0  # leaves a piece of exactly 20 frames
    recordings = of_takes([take(score)])
    assert recordings.length.tolist() == [100, 20]
    whole = _clip().truth
    np.testing.assert_allclose(recordings.camera[100], whole.positions[110] + whole.root[110], atol=1e-6)
    with pytest.raises(RecipeError, match="nothing to learn"):
        of_takes([take(np.zeros_like(score))])
    with pytest.raises(RecipeError, match="nothing to learn"):
        of_takes([replace(take(), keypoints=replace(take().keypoints, camera=None))])


def test_a_batch_of_nothing_but_recordings() -> None:
    batch = all_recorded(of_takes([take()])).batch(0)
    assert batch.joints.shape == (16, 32, 17, 3) and (batch.score == 1).all()
    assert batch.fps == pytest.approx(take().truth.fps)
    assert np.unique(batch.clip[..., 3]).size == 1


def test_what_a_detector_found_is_given() -> None:
    camera = take().keypoints.camera
    assert camera is not None
    exact, shifted = (of_takes([take(offset=offset)], detected=True) for offset in (0.0, 30.0))
    np.testing.assert_allclose(shifted.given[..., 0] - exact.given[..., 0], 30 / camera.focal[0], atol=1e-6)
    one, other = (all_recorded(recordings).batch(0) for recordings in (exact, shifted))
    assert (one.score == np.float32(0.6)).all()
    apart = np.abs(other.rays - one.rays)
    np.testing.assert_allclose(apart[..., 0], 30 / camera.focal[0], atol=1e-5)  # to the left in mirrored samples
    assert {-1, 1} == set(np.sign((other.rays - one.rays)[:, 0, 0, 0]).tolist())
    np.testing.assert_allclose(apart[..., 1], 0, atol=1e-6)
    # without a camera's calibration told, the same picture in other units
    blind = all_recorded(exact, views=Views(calibrated=0)).batch(0)
    ratio = blind.rays / np.where(np.abs(one.rays) < 1e-3, np.nan, one.rays)
    np.testing.assert_allclose(np.nanmedian(ratio), np.nanmin(ratio), rtol=1e-2)


def test_exact_projections_are_where_the_detector_found_them() -> None:
    recordings = of_takes([take()], detected=True)
    exact = all_recorded(replace(recordings, given=None)).batch(3)
    found = all_recorded(recordings).batch(3)
    np.testing.assert_allclose(found.target, exact.target, atol=2e-2)  # turned towards the same middle
    np.testing.assert_allclose(found.rays, exact.rays, atol=3e-3)


def test_coordinates_relative_to_the_image_can_be_had() -> None:
    clip = take()
    camera = replace(clip.keypoints.camera, centre=(clip.keypoints.camera.centre[0] + 40, 300.0))
    moved = clip.keypoints.positions + np.float32(np.array(camera.centre) - clip.keypoints.camera.centre)
    aside = replace(
        clip, keypoints=replace(clip.keypoints, positions=moved, camera=camera),
        detected=replace(clip.detected, positions=moved),
    )  # fmt: skip
    recordings = of_takes([aside], detected=True)
    window = recordings.window(np.random.default_rng(0), 30, 20, 0.5, clip.truth.fps)
    width, height = camera.width, camera.height
    relative = (moved / width * 2 - [1, height / width]).astype("float32")
    mirrored = relative[:, list(H36M_17.mirror)] * np.float32([-1, 1])
    for row in range(30):
        found = (window.given[row, 0, :, :2] + window.aside[row]) / window.seen.half[row, 0]
        assert min(np.abs(known - found).max((1, 2)).min() for known in (relative, mirrored)) < 1e-4


def test_a_window_without_any_detection_gets_the_exact_joints() -> None:
    empty = take()
    empty = replace(empty, detected=replace(empty.detected, score=np.zeros_like(empty.detected.score)))
    batch = all_recorded(of_takes([empty], detected=True)).batch(0)
    assert (batch.score == 1).all() and np.isfinite(batch.joints).all()


def test_every_rate_has_batches_of_its_own() -> None:
    slow = replace(take(), keypoints=replace(take().keypoints, fps=25.0), truth=replace(take().truth, fps=25.0))
    fast = replace(take(), keypoints=replace(take().keypoints, fps=50.0), truth=replace(take().truth, fps=50.0))
    made = all_recorded(of_takes([slow, fast]))
    rates = {made.batch(number).fps for number in range(12)}
    assert rates == {25.0, 50.0}


def test_smpl_gets_the_top_of_its_head() -> None:
    rng = np.random.default_rng(0)
    truth = Pose3D(rng.normal(size=(5, 24, 3)), SMPL_24)
    made = on_h36m(truth)
    assert (made.score == 1).all()
    skull, neck = (truth.positions[:, SMPL_24.index(joint)] for joint in ("skull", "neck"))
    top = made.positions[:, H36M_17.index("head_top")]
    np.testing.assert_allclose(np.linalg.norm(top - skull, axis=-1), SKULL_TO_TOP, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(np.cross(top - skull, skull - neck), axis=-1), 0, atol=1e-4)
    assert (on_h36m(Pose3D(rng.normal(size=(5, 17, 3)), MPI_INF_3DHP_17)).score == 1).all()


def save_human36m(folder: Path) -> None:
    from posemend.datasets import human36m_cameras as calibration
    from posemend.datasets.procedural import generate

    world = np.asarray(generate(3, 4.0).positions, float)
    world = world - [*world[:, 0, :2].mean(0), 0]
    people = ("S1", "S5", "S6", "S7", "S8", "S9")
    views = {
        who: [calibration.distorted(calibration.camera(who, n).to_camera(world), n).astype("float32") for n in range(4)]
        for who in people
    }
    np.savez(folder / "data_3d_h36m.npz", positions_3d={who: {"Walking": world.astype("float32")} for who in people})
    symmetry = {"keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]}
    clips = {who: {"Walking": views[who]} for who in people}
    np.savez(folder / "data_2d_h36m_cpn_ft_h36m_dbb.npz", positions_2d=clips, metadata=symmetry)


SMALLER = {
    "martinez": {"width": 16, "max_norm": 0.0}, "semgcn": {"hidden": 8, "layers": 1},
    "videopose3d": {"widths": [3, 3], "channels": 8},
    "poseformerv2": {"frames": 9, "kept": 3, "width": 8, "depth": 1, "heads": 2},
    "d3dp": {"frames": 16, "width": 16, "depth": 1, "heads": 2},
}  # fmt: skip


def small(recipe: str, root: Path) -> Recipe:
    made = load(RECIPES / recipe, [f'data.benchmark.root="{root}"']).model_dump()
    made["network"]["options"] |= SMALLER[made["network"]["name"]]
    made["optim"] |= {"steps": 1, "batch": 3, "frames": 16, "precision": "float32"}
    return parse(made)


@pytest.fixture(scope="module")
def human36m(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("human36m")
    save_human36m(folder)
    return folder


@pytest.mark.parametrize("name", SMALLER)
def test_the_recipes_for_human36m_train(human36m: Path, name: str) -> None:
    import torch

    from posemend.nn.table import build
    from posemend.training import tasks

    recipe = small(f"h36m-{name}.toml", human36m)
    assert recipe.network.name == name
    assert tasks.held_out_batches(recipe, 1) == []
    batch = tasks.maker(recipe).batch(0)
    network = build(recipe.network.name, recipe.network.options)
    loss, error = tasks.loss(network(*map(torch.from_numpy, batch.inputs())), batch, recipe, torch.device("cpu"))
    loss.backward()
    assert 0 < error < 5000
    assert all(torch.isfinite(weight.grad).all() for weight in network.parameters() if weight.grad is not None)


def test_nobody_of_the_test_split_is_learnt_from(human36m: Path) -> None:
    made = source(small("h36m-videopose3d.toml", human36m))
    assert made.pool is None and made.recorded == 1 and len(made.recordings.length) == 5 * 4


def test_a_published_lifter_is_given_the_files_own_pixels(human36m: Path) -> None:
    from posemend.training import tasks

    batch = tasks.maker(small("h36m-videopose3d.toml", human36m)).batch(0)
    with np.load(human36m / "data_2d_h36m_cpn_ft_h36m_dbb.npz", allow_pickle=True) as file:
        people = file["positions_2d"].item()
    sizes = [(1000, 1002), (1000, 1000), (1000, 1000), (1000, 1002)]
    known = []
    for who in ("S1", "S5", "S6", "S7", "S8"):
        for pixels, (width, height) in zip(people[who]["Walking"], sizes, strict=True):
            relative = pixels / width * 2 - [1, height / width]
            known += [relative, relative[:, list(H36M_17.mirror)] * [-1, 1]]
    known = np.concatenate(known)
    for sample in batch.inputs()[0]:
        assert np.abs(known - sample[0]).max((1, 2)).min() < 1e-3  # half a pixel: pixels are not quite square


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"human36m under data\.benchmark\.root"):
        source(small("h36m-videopose3d.toml", tmp_path))
    for name, detections in (("mpi-inf-3dhp", "cpn"), ("3dpw", "cpn")):
        wrong = {"name": name, "root": str(tmp_path), "detections": detections}
        recipe = small("h36m-videopose3d.toml", tmp_path).model_dump()
        recipe["data"]["benchmark"] = wrong
        with pytest.raises(RecipeError, match="detections"):
            source(parse(recipe))
    mixed = small("h36m-videopose3d.toml", tmp_path).model_dump()
    mixed["data"]["benchmark"]["nmae"] = "x"
    with pytest.raises(RecipeError, match="Did you mean 'name'"):
        parse(mixed)


def test_takes_without_keypoints_of_a_detector() -> None:
    bare = take()
    assert isinstance(bare.keypoints, Pose2D)
    with pytest.raises(ValueError, match="without a detector"):
        of_takes([replace(bare, detected=None)], detected=True)
