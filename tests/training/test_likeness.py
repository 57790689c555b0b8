"""Motions put into a given body."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose3D
from posemend.datasets.procedural import generate
from posemend.errors import InputError, RecipeError
from posemend.formats import write
from posemend.training.likeness import LIMBS, TRUNK, body_of, in_body, local
from posemend.training.recipe import parse
from posemend.training.sources import variety_of


def clip(seed: int) -> Pose3D:
    motion = generate(seed, 4.0)
    return Pose3D(motion.positions.astype(np.float32), H36M_17, fps=motion.fps, name=f"person{seed}")


def windows(*seeds: int) -> np.ndarray:
    return np.stack([clip(seed).positions[:100] for seed in seeds])


def lengths(positions: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(positions[..., c, :] - positions[..., p, :], axis=-1) for p, c in LIMBS], -1)


def test_limbs_get_the_lengths_and_keep_their_directions() -> None:
    body, given = body_of(clip(5)), windows(1, 2)
    found = in_body(given, [body, body])
    assert np.allclose(lengths(found), body.lengths, atol=1e-5)
    for parent, child in LIMBS:
        before, after = (x[:, :, child] - x[:, :, parent] for x in (given, found))
        cosine = (before * after).sum(-1) / np.linalg.norm(before, axis=-1) / np.linalg.norm(after, axis=-1)
        assert cosine.min() > 1 - 1e-5
    assert np.array_equal(found[:, :, 0], given[:, :, 0])


def test_trunk_joints_come_to_the_bodys_places() -> None:
    bodies = [body_of(clip(5)), body_of(clip(6))]
    found = in_body(windows(1, 2), bodies)
    for one, body in zip(found, bodies, strict=True):
        # the new trunk has axes of its own, a little turned against the old ones
        assert np.linalg.norm(local(one).mean(0) - body.places, axis=-1)[TRUNK].max() < 0.02


def test_a_persons_own_body_changes_little() -> None:
    pose = clip(3)
    found = in_body(pose.positions[None], [body_of(pose)])[0]
    assert np.linalg.norm(found - pose.positions, axis=-1).mean() < 0.02


def test_bodies_that_cannot_be_read() -> None:
    pose = clip(1)
    with pytest.raises(InputError, match="at least 20 frames"):
        body_of(Pose3D(pose.positions[:5], H36M_17, fps=50.0))
    with pytest.raises(InputError, match="mm long"):
        body_of(Pose3D(pose.positions * 0.001, H36M_17, fps=50.0))


def test_recipes_name_recordings(tmp_path: Path) -> None:
    table = {
        "name": "tiny", "task": "lift", "network": {"name": "patch-tcn"}, "data": {"packs": {"procedural": 1}},
        "optim": {"steps": 1}, "variety": {"like": [str(tmp_path / "me.npz")]},
    }  # fmt: skip
    write(tmp_path / "me.npz", clip(4))
    (found,) = variety_of(parse(table)).like
    assert np.allclose(found.lengths, body_of(clip(4)).lengths, atol=1e-4)
    table["variety"] = {"like": [str(tmp_path / "nobody.npz")]}
    with pytest.raises(RecipeError, match=r"variety\.like"):
        variety_of(parse(table))
