"""The depth chain with the models that ship: lifting, hidden joints, and whatever may be missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posemend.body.catalogue import ITOP_15
from posemend.body.pose import Pose2D, Pose3D
from posemend.cli.depth_errors import Clip, clip, errors, estimated, filled
from posemend.errors import BundleError, InputError
from posemend.geometry.camera import Camera
from posemend.geometry.depth import DepthClip
from posemend.runtime import depth as chain


@pytest.fixture(scope="module")
def one() -> Clip:
    """A person behind a box whom nobody was trained on, 40 frames."""
    return clip(2003, 40)


@pytest.fixture(scope="module")
def stages(one: Clip) -> chain.Stages:
    keypoints, depth = chain.aligned(one.keypoints, one.depth, None)
    return chain.stages(depth, keypoints)


@pytest.fixture(scope="module")
def refined(one: Clip) -> Pose3D:
    return chain.refine_depth(one.depth, one.keypoints)


def test_every_step_is_better_than_raw_lifting(one: Clip, stages: chain.Stages, refined: Pose3D) -> None:
    raw = errors([filled(stages.raw, stages.raw_found)], [one])
    cloud, final = errors([stages.cloud], [one]), errors([refined.positions], [one])
    assert cloud["all"]["mean_mm"] < 0.7 * raw["all"]["mean_mm"]
    assert final["all"]["mean_mm"] < 0.6 * raw["all"]["mean_mm"]
    assert final["visible"]["map10"] > raw["visible"]["map10"]
    assert refined.frame == "camera" and refined.skeleton == ITOP_15


def test_hidden_joints_are_found_out_and_doubted(one: Clip, stages: chain.Stages, refined: Pose3D) -> None:
    told = stages.doubt > chain.DOUBTED
    assert told[one.hidden].mean() > 0.6 > 0.3 > told[~one.hidden].mean()
    assert refined.sigma is not None
    assert refined.sigma[one.hidden].mean() > 1.3 * refined.sigma[~one.hidden].mean()
    assert refined.provenance is not None and set(np.unique(refined.provenance)) == {1, 2}
    assert (refined.provenance == 2).sum() == (~refined.visible).sum()


def test_depth_never_harms_hidden_joints(one: Clip, refined: Pose3D) -> None:
    alone = chain.refine_depth(None, replace(one.keypoints, camera=one.depth.camera))
    assert alone.root is not None
    without = errors([alone.positions + alone.root[:, None]], [one])
    with_depth = errors([refined.positions], [one])
    assert with_depth["hidden"]["mean_mm"] < 0.8 * without["hidden"]["mean_mm"]
    assert with_depth["visible"]["mean_mm"] < 0.5 * without["visible"]["mean_mm"]


def test_frames_without_depth_are_bridged_and_doubted(one: Clip, refined: Pose3D) -> None:
    maps = np.array(one.depth.maps)
    maps[15:22] = 0
    gap = chain.refine_depth(replace(one.depth, maps=maps), one.keypoints)
    assert np.isfinite(gap.positions).all() and gap.sigma is not None and refined.sigma is not None
    assert gap.sigma[18].mean() > 1.15 * refined.sigma[18].mean()
    assert np.linalg.norm(gap.positions[18] - refined.positions[18], axis=-1).mean() < 0.25


def test_without_depth_or_without_keypoints(one: Clip, refined: Pose3D) -> None:
    bare = replace(one.keypoints, camera=one.depth.camera)
    alone = chain.refine_depth(None, bare)
    assert alone.frame == "root" and alone.sigma is not None
    with pytest.raises(InputError, match="Depth alone"):
        chain.refine_depth(one.depth)
    again = chain.refine_depth(one.depth, pose3d=replace(refined, provenance=None))
    assert again.frame == "camera"
    before, after = errors([refined.positions], [one]), errors([again.positions], [one])
    assert after["all"]["mean_mm"] < 1.2 * before["all"]["mean_mm"]
    with pytest.raises(InputError, match="must say where it is"):
        chain.refine_depth(one.depth, pose3d=replace(refined.root_relative(), root=None))


def test_another_lifters_pose_is_an_opinion_too(one: Clip) -> None:
    truth = one.joints - one.joints[:, list(ITOP_15.root_indices)].mean(1, keepdims=True)
    pose = Pose3D(truth, ITOP_15, fps=one.depth.fps)
    found = chain.refine_depth(one.depth, one.keypoints, pose)
    assert errors([found.positions], [one])["all"]["mean_mm"] < 120


def test_other_skeletons_keep_their_joints(one: Clip) -> None:
    from posemend.body.catalogue import skeleton

    coco = skeleton("coco_17")
    positions, score = np.zeros((40, 17, 2), np.float32), np.zeros((40, 17), np.float32)
    for place, name in enumerate(coco.joints):
        own = "head" if "_e" in name and "elbow" not in name or name == "nose" else name
        positions[:, place] = one.keypoints.positions[:, ITOP_15.index(own)]
        score[:, place] = one.keypoints.score[:, ITOP_15.index(own)]
    keypoints = Pose2D(positions, coco, score, fps=30, width=320, height=240)
    found = chain.refine_depth(one.depth, keypoints)
    assert found.skeleton == coco and found.positions.shape == (40, 17, 3)
    shared = [name for name in coco.joints if name in ITOP_15.joints]
    ours = found.positions[:, [coco.index(name) for name in shared]]
    off = np.linalg.norm(ours - one.joints[:, [ITOP_15.index(name) for name in shared]], axis=-1)
    assert np.median(off) < 0.12
    nose = np.linalg.norm(found.positions[:, coco.index("nose")] - one.joints[:, ITOP_15.index("head")], axis=-1)
    assert np.median(nose) < 0.25


def test_the_body_alone_repairs_other_peoples_3d(one: Clip) -> None:
    before, after = [], []
    for seed in range(6):
        given = estimated(one, seed)
        found = chain.refine_body(given)
        before.append(np.linalg.norm(given.positions - one.joints, axis=-1))
        after.append(np.linalg.norm(found.positions - one.joints, axis=-1))
    off, left = np.concatenate(before), np.concatenate(after)
    far = off > 0.2
    assert far.sum() > 50
    assert left[far].mean() < 0.8 * off[far].mean(), "runs of far errors"
    assert left.mean() < 0.9 * off.mean() and left[~far].mean() < 0.06
    assert found.frame == given.frame and found.skeleton == given.skeleton
    with pytest.raises(InputError, match="no body in metres"):
        chain.refine_body(replace(given, positions=given.positions * 1000))


def test_pictures_that_do_not_fit(one: Clip) -> None:
    with pytest.raises(InputError, match="640x480 pixels and the depth maps are 320x240"):
        chain.refine_depth(one.depth, replace(one.keypoints, width=640, height=480))
    with pytest.raises(InputError, match="40 depth maps and 30 frames"):
        chain.refine_depth(one.depth, one.keypoints[:30])
    nobody = replace(one.keypoints, score=np.zeros_like(one.keypoints.score), visible=None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="nothing to lift"):
        chain.refine_depth(one.depth, nobody)
    with pytest.raises(BundleError, match="No bundle at"):
        chain.refine_depth(one.depth, one.keypoints, bundle="no-such-folder")


def test_keypoints_outside_the_map_have_no_depth(one: Clip) -> None:
    away = replace(one.keypoints, positions=one.keypoints.positions + 1000)
    keypoints, depth = chain.aligned(away, one.depth, None)
    found = chain.stages(depth[:5], keypoints[:5])
    assert not found.raw_found.any() and not found.patched_found.any()
    assert (found.cloud_sigma >= chain.UNKNOWN).all() and np.isfinite(found.cloud).all()


def test_colour_and_depth_of_two_cameras(one: Clip) -> None:
    """Keypoints of a colour camera five centimetres aside, twice as fine: maps are registered to it."""
    shift = np.array([0.05, 0.0, 0.0])
    colour = Camera((560.0, 560.0), (320.0, 240.0), 640, 480, translation=shift)
    seen = one.joints + shift.astype(np.float32)
    pixels = (seen[..., :2] / seen[..., 2:] * 560 + [320, 240]).astype(np.float32)
    keypoints = replace(one.keypoints, positions=pixels, width=640, height=480)
    small, moved = chain.aligned(keypoints[:8], one.depth[:8], colour)
    assert (small.width, small.height) == (moved.camera.width, moved.camera.height) == (320, 240)
    found = chain.stages(moved, small)
    visible = ~one.hidden[:8]
    off = np.linalg.norm(found.cloud - seen[:8], axis=-1)
    assert off[visible].mean() < 0.09


def test_a_clip_may_lie_in_a_file(one: Clip, refined: Pose3D) -> None:
    """Only slices are asked for: millimetres in 16 bits give the same pose."""
    counts = np.rint(np.asarray(one.depth.maps, np.float32) * 1000).astype(np.uint16)
    found = chain.refine_depth(DepthClip(counts, one.depth.camera, fps=30.0), one.keypoints)
    assert np.abs(found.positions - refined.positions).mean() < 0.004
