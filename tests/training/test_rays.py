"""Hiding by rays in training: it hides what stands behind, depends on its generator alone, and is a recipe's word."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.datasets import procedural
from posemend.errors import RecipeError
from posemend.occlusion.labels import BY_SELF, occlusion_kind
from posemend.training.motions import Pool
from posemend.training.rays import Rays, by_rays
from posemend.training.recipe import parse
from posemend.training.views import Seen, Views, look


def batch(count: int = 12, frames: int = 30) -> Seen:
    rng = np.random.default_rng(0)
    pool = Pool.of([([procedural.generate(3, 8)], 1.0)])
    windows = pool.windows(rng, count, frames, 25)
    path = windows[:, :, 0].copy()
    return look(windows - windows[:, :, :1], path, Views(figure=(0.3, 0.6), roll=0.0), rng)


def test_bodies_alone_agree_with_labels() -> None:
    seen = batch()
    hidden = by_rays(seen, Rays(share=1, boxes=0, company=0, every=1), np.random.default_rng(1))
    world = seen.camera[..., [0, 2, 1]] * np.array([1, 1, -1], np.float32)
    from posemend.geometry.camera import Camera

    camera = Camera((1, 1), (1e6, 1e6), 2_000_000, 2_000_000, np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float))
    other = np.stack([occlusion_kind(one, camera) == BY_SELF for one in world])
    assert (hidden == other).mean() > 0.9
    assert hidden[other].mean() > 3 * hidden[~other].mean()


def test_boxes_and_company_hide_more_and_chance_is_the_generators() -> None:
    seen = batch()

    def share(rays: Rays) -> float:
        return float(by_rays(seen, rays, np.random.default_rng(5)).mean())

    alone = share(Rays(boxes=0, company=0))
    assert share(Rays(boxes=2, company=0)) > alone + 0.03
    assert share(Rays(boxes=0, company=1)) > alone + 0.03
    rays = Rays(boxes=1, company=0.5)
    one, two = (by_rays(seen, rays, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(one, two)
    assert one.shape == seen.camera.shape[:3] and one.dtype == bool


def test_held_frames_are_the_frames_cast() -> None:
    seen = batch(4, 20)
    every = by_rays(seen, Rays(boxes=0, company=0, every=1), np.random.default_rng(2))
    third = by_rays(seen, Rays(boxes=0, company=0, every=3), np.random.default_rng(2))
    assert np.array_equal(third[:, ::3], every[:, ::3])
    assert np.array_equal(third[:, 1:-1:3][:, :6], third[:, ::3][:, :6])


def test_a_recipe_says_how_many() -> None:
    table = {
        "name": "x", "task": "lift", "network": {"name": "patch-tcn"}, "data": {"packs": {"procedural": 1.0}},
        "optim": {"steps": 1}, "rays": {"share": 0.5, "boxes": 1.5},
    }  # fmt: skip
    assert parse(table).rays.boxes == 1.5
    assert parse({**table, "rays": {}}).rays.share == 0
    with pytest.raises(RecipeError, match="Did you mean 'boxes'"):
        parse({**table, "rays": {"boxess": 1}})


def test_batches_with_rays_differ_in_hiding_alone() -> None:
    from posemend.training.batches import Source
    from posemend.training.hiding import Hiding
    from posemend.training.vary import Variety

    pool = Pool.of([([procedural.generate(3, 8)], 1.0)])

    def made(share: float) -> Source:
        return Source(pool, None, 0.0, 8, 16, Variety(), Views(), Hiding(), 0, Rays(share=share))

    plain, traced, again = made(0).batch(2), made(1).batch(2), made(1).batch(2)
    assert np.array_equal(traced.joints, again.joints)
    assert plain.target.shape == traced.target.shape
    assert not np.array_equal(plain.hidden, traced.hidden)
    assert 0.02 < traced.hidden.mean() < 0.9
