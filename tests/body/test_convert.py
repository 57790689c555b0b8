"""Conversion by joint name: shared joints untouched, made-up joints no better than what they are made of."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, H36M_16, H36M_17, HALPE_26, ITOP_15, MPI_INF_3DHP_17, SKELETONS
from posemend.body.convert import RECIPES, recipe, to_skeleton, weights_matrix
from posemend.body.pose import Pose2D, Pose3D
from posemend.body.skeleton import Skeleton
from posemend.errors import SkeletonError

PAIRS = list(itertools.permutations(SKELETONS, 2))
FRAMES = 6


def pose_on(body: Skeleton, seed: int = 0, dimensions: int = 3) -> Pose2D | Pose3D:
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.2, 1, (FRAMES, len(body)))
    score[rng.random(score.shape) < 0.2] = 0
    visible = (rng.random(score.shape) < 0.7) & (score > 0)
    positions = rng.normal(size=(FRAMES, len(body), dimensions))
    if dimensions == 2:
        return Pose2D(positions, body, score, visible, width=640, height=480, fps=30, name="someone")
    sigma, provenance = rng.uniform(0.01, 0.1, score.shape), rng.integers(0, 3, score.shape)
    return Pose3D(positions, body, score, visible, fps=30, sigma=sigma, provenance=provenance, name="someone")


def convertible(source: Skeleton, target: Skeleton) -> bool:
    return bool(weights_matrix(source, target)[1].sum() * 2 >= len(target))


def columns(body: Skeleton, names: list[str]) -> list[int]:
    return [body.index(name) for name in names]


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_there_and_back_keeps_shared_joints_exactly(first: str, second: str, dimensions: int) -> None:
    a, b = SKELETONS[first], SKELETONS[second]
    start = pose_on(a, dimensions=dimensions)
    if not convertible(a, b):
        with pytest.raises(SkeletonError, match="gives only"):
            to_skeleton(start, b)
        return
    there = to_skeleton(start, b)
    if not convertible(b, a):
        return
    back = to_skeleton(there, a)
    shared = sorted(set(a.joints) & set(b.joints))
    assert shared
    for field in ("positions", "score", "visible") + (("sigma", "provenance") if dimensions == 3 else ()):
        original = getattr(start, field)[:, columns(a, shared)]
        assert np.array_equal(getattr(there, field)[:, columns(b, shared)], original), field
        assert np.array_equal(getattr(back, field)[:, columns(a, shared)], original), field
    assert (there.fps, there.name, len(there)) == (30, "someone", FRAMES)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_score_never_rises_and_made_up_joints_follow(first: str, second: str) -> None:
    a, b = SKELETONS[first], SKELETONS[second]
    if not convertible(a, b):
        return  # refused: see above
    start = pose_on(a, 1)
    there = to_skeleton(start, b)
    assert there.sigma is not None and start.sigma is not None
    for place, joint in enumerate(b.joints):
        weights = recipe(joint, a)
        if weights is None:
            assert not there.score[:, place].any() and not there.visible[:, place].any()
            assert not there.positions[:, place].any()
            continue
        parts = columns(a, list(weights))
        assert (there.score[:, place] <= start.score[:, parts].min(1)).all()
        assert (there.visible[:, place] <= start.visible[:, parts].all(1)).all()
        known = there.score[:, place] > 0
        assert np.array_equal(known, (start.score[:, parts] > 0).all(1))
        mean = np.einsum("k,tkc->tc", np.array(list(weights.values())), start.positions[:, parts])
        assert np.allclose(there.positions[known, place], mean[known], atol=1e-6)
        assert (there.sigma[:, place] >= start.sigma[:, parts].max(1) - 1e-6).all()


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_made_up_joints_move_with_the_body_and_are_symmetric(first: str, second: str) -> None:
    a, b = SKELETONS[first], SKELETONS[second]
    matrix, exists = weights_matrix(a, b)
    assert np.allclose(matrix.sum(1)[exists], 1) and not matrix[~exists].any()
    assert np.array_equal(exists, exists[list(b.mirror)])
    assert np.allclose(matrix[list(b.mirror)][:, list(a.mirror)], matrix)


def test_recipes_sum_to_one_and_do_not_use_themselves() -> None:
    for joint, choices in RECIPES.items():
        for weights in choices:
            assert sum(weights.values()) == pytest.approx(1)
            assert joint not in weights


def test_by_hand_pelvis_of_coco() -> None:
    x = np.zeros((1, 17, 3))
    x[0, COCO_17.index("l_hip")], x[0, COCO_17.index("r_hip")] = (1, 2, 3), (3, 2, 1)
    score = np.ones((1, 17))
    score[0, COCO_17.index("l_hip")] = 0.3
    made = to_skeleton(Pose3D(x, COCO_17, score), H36M_17)
    assert made.positions[0, 0].tolist() == [2, 2, 2]
    assert made.score[0, 0] == pytest.approx(0.3)


def test_same_skeleton_is_the_same_value() -> None:
    pose = pose_on(H36M_17)
    assert to_skeleton(pose, H36M_17) is pose


def test_dropping_the_nose_drops_only_the_nose() -> None:
    pose = pose_on(H36M_17)
    kept = [place for place, name in enumerate(H36M_17.joints) if name != "nose"]
    assert np.array_equal(to_skeleton(pose, H36M_16).positions, pose.positions[:, kept])


def test_itop_head_becomes_a_nose_and_halpe_needs_nothing_made_up_for_its_neck() -> None:
    assert recipe("nose", ITOP_15) == {"head": 1.0}
    assert recipe("thorax", HALPE_26) == {"neck": 1.0}
    assert recipe("l_heel", MPI_INF_3DHP_17) == {"l_ankle": 1.0}
    assert recipe("l_small_toe", H36M_17) is None


def test_too_far_apart_is_refused() -> None:
    hands = Skeleton("hands", ("l_wrist", "r_wrist"), (("l_wrist", "r_wrist"),), ("l_wrist",))
    with pytest.raises(SkeletonError, match="gives only 2 of the 17"):
        to_skeleton(Pose3D(np.zeros((2, 2, 3)), hands), H36M_17)
