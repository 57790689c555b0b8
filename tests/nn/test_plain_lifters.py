"""Published lifters run as their authors run them: gaps, windows, chunks, ends, mirror images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from posemend.body.catalogue import COCO_17, H36M_17
from posemend.body.pose import Pose2D
from posemend.errors import InputError
from posemend.geometry.camera import Camera
from posemend.nn.lifters import apply, d3dp, martinez, poseformerv2, semgcn, videopose3d
from posemend.nn.lifters.apply import Manner, chunks, lift, normalise

NETWORKS = {
    "martinez": lambda: martinez.Martinez(martinez.Config(joints=16, width=16)),
    "semgcn": lambda: semgcn.SemGCN(semgcn.Config(hidden=8, layers=1)),
    "videopose3d": lambda: videopose3d.VideoPose3D(videopose3d.Config(widths=(3, 3), channels=12)),
    "poseformerv2": lambda: poseformerv2.PoseFormerV2(poseformerv2.Config(frames=9, kept=3, width=8, depth=1, heads=2)),
    "d3dp": lambda: d3dp.D3DP(d3dp.Config(frames=5, width=8, depth=1, heads=2)),
}
EVERY = pytest.mark.parametrize("name", NETWORKS)


def network(name: str) -> Any:
    torch.manual_seed(0)
    made = NETWORKS[name]()
    for parameter in made.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
    return made.eval()


def recording(frames: int = 12, skeleton=H36M_17, **more) -> Pose2D:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    start = rng.uniform(300, 700, (1, len(skeleton), 2))
    path = start + np.arange(frames)[:, None, None] * rng.uniform(-4, 4, (1, len(skeleton), 2))
    return Pose2D(path.astype(np.float32), skeleton, **({"width": 1000, "height": 800, "fps": 25.0} | more))


def test_normalise() -> None:
    corners = np.array([[0, 0], [1000, 800], [500, 400]], np.float32)
    assert normalise(corners, 1000, 800) == pytest.approx(np.array([[-1, -0.8], [1, 0.8], [0, 0]]), abs=1e-6)


@EVERY
def test_recording(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = recording(visible=np.zeros((12, 17), bool), name="p7")
    made = network(name).train()
    pose = lift(made, given)
    assert made.training, "the caller's mode is left alone"
    assert pose.skeleton == H36M_17 and pose.frame == "root" and pose.fps == 25 and pose.name == "p7"
    assert len(pose) == 12
    assert not pose.visible.any() and (pose.score == 1).all()
    assert (pose.positions[:, 0] == 0).all()
    assert np.abs(pose.positions[:, 1:]).max() > 1e-3
    if name != "d3dp":  # which draws its noise piece by piece
        for limit in ("FRAMES_AT_ONCE", "WINDOWS_AT_ONCE"):
            monkeypatch.setattr(apply, limit, 5)
    assert lift(made, given).positions == pytest.approx(pose.positions, abs=1e-5)


@EVERY
def test_bare_arrays(name: str) -> None:
    made, given = network(name), recording()
    manner = Manner(hypotheses=2)
    found = apply.lift_array(made, normalise(given.positions, 1000, 800), manner)
    camera = Camera((900.0, 900.0), (500.0, 400.0), 1000, 800)  # what is assumed where nothing is known
    assert found == pytest.approx(lift(made, replace(given, camera=camera), manner).positions, abs=2e-4)


def test_a_nose_is_made_up() -> None:
    pose = lift(network("semgcn"), recording())
    nose, thorax, top = (pose.positions[:, H36M_17.index(name)] for name in ("nose", "thorax", "head_top"))
    assert nose == pytest.approx((thorax + top) / 2, abs=1e-6)


@EVERY
def test_gaps_are_bridged_in_a_straight_line(name: str) -> None:
    whole = recording()
    score = np.ones((12, 17), np.float32)
    score[3:8, H36M_17.index("l_wrist")] = 0
    score[5, H36M_17.index("r_ankle")] = 0
    holes = recording(score=score)
    assert (holes.positions[4, H36M_17.index("l_wrist")] == 0).all()
    made = network(name)
    assert lift(made, holes).positions == pytest.approx(lift(made, whole).positions, abs=1e-3)


@EVERY
def test_scores_and_flags_are_not_looked_at(name: str) -> None:
    made, given = network(name), recording()
    doubted = replace(given, score=np.full((12, 17), 0.1, np.float32), visible=np.zeros((12, 17), bool))
    assert (lift(made, doubted).positions == lift(made, given).positions).all()


def test_joint_that_is_never_there() -> None:
    score = np.ones((12, 17), np.float32)
    score[:, H36M_17.index("l_wrist")] = 0
    pose = lift(network("semgcn"), recording(score=score))
    assert np.isfinite(pose.positions).all()
    assert not pose.visible[:, H36M_17.index("l_wrist")].any()


def test_other_skeletons_are_converted() -> None:
    assert lift(network("semgcn"), recording(skeleton=COCO_17)).skeleton == H36M_17
    made = network("videopose3d")
    given = recording(skeleton=COCO_17)
    as_coco = lift(made, given, Manner(skeleton=COCO_17, flip=False))
    x = torch.from_numpy(normalise(given.positions, 1000, 800))
    with torch.no_grad():
        wanted = apply.answer(made, x).numpy()
    assert as_coco.positions == pytest.approx(wanted - wanted[:, :1], abs=1e-6), "COCO's joints in COCO's order"


@EVERY
@pytest.mark.parametrize("frames", [1, 2, 5, 13])
def test_clips_of_any_length(name: str, frames: int) -> None:
    pose = lift(network(name), recording(frames))
    assert len(pose) == frames and np.isfinite(pose.positions).all()


@pytest.mark.parametrize("name", ["martinez", "semgcn", "videopose3d", "poseformerv2"])
def test_a_still_person_is_still(name: str) -> None:
    still = recording(1).positions.repeat(11, 0)
    pose = lift(network(name), replace(recording(11), positions=still)).positions
    assert pose == pytest.approx(pose[:1].repeat(11, 0), abs=1e-5), "ends are padded with what is there"


def test_windows_are_around_their_frame() -> None:
    made = network("poseformerv2")
    given = recording(20)
    pose = lift(made, given, Manner(flip=False)).positions
    x = torch.from_numpy(normalise(given.positions, 1000, 800))
    with torch.no_grad():
        one = made(x[None, 6:15])[0, 0].numpy()  # nine frames around frame 10
        first = made(torch.cat([x[:1].repeat(4, 1, 1), x[:5]])[None])[0, 0].numpy()
    assert pose[10] == pytest.approx(one - one[:1], abs=1e-4)
    assert pose[0] == pytest.approx(first - first[:1], abs=1e-4)


@pytest.mark.parametrize("frames", [1, 4, 5, 6, 9, 10, 14])
def test_chunks_answer_every_frame_once(frames: int) -> None:
    made = network("d3dp")
    seen = []

    def numbered(x2d: torch.Tensor, draw: Any, steps: int, flip: bool) -> torch.Tensor:
        seen.append(x2d)
        return x2d[..., :1].repeat(1, 1, 1, 3)  # answers with the picture itself

    made.sample = numbered
    x = torch.arange(float(frames))[:, None, None].expand(frames, 17, 2)
    found = apply.hypotheses_of(made, x, Manner(hypotheses=2))
    assert found.shape == (2, frames, 17, 3)
    assert (found[:, :, 0, 0] == np.arange(frames)).all()
    places = list(chunks(frames, 5))
    assert len(places) == -(-frames // 5) and sum(len(part) for part in seen) == 2 * len(places)
    assert all(first + 5 <= max(frames, 5) for first, _ in places)


def test_noise_depends_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made, given = network("d3dp"), recording()
    one = lift(made, given, Manner(hypotheses=3, steps=2, seed=4)).positions
    assert (lift(made, given, Manner(hypotheses=3, steps=2, seed=4)).positions == one).all()
    assert np.abs(lift(made, given, Manner(hypotheses=3, steps=2, seed=5)).positions - one).max() > 1e-4


def test_hypotheses_are_chosen_by_keypoints_and_only_if_asked_by_the_true_root(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera((900.0, 900.0), (500.0, 400.0), 1000, 800)
    given = recording(6, camera=camera)
    roots: list[Any] = []

    def chosen(hypotheses: np.ndarray, rays: np.ndarray, root: np.ndarray | None) -> np.ndarray:
        assert hypotheses.shape == (4, 6, 17, 3)
        assert rays == pytest.approx((given.positions - [500, 400]) / 900, abs=1e-6)
        roots.append(root)
        return hypotheses[2]

    monkeypatch.setattr(apply, "choose_by_reprojection", chosen)
    way = np.tile(np.array([0, 0, 4], np.float32), (6, 1))
    made = network("d3dp")
    lift(made, given, Manner(hypotheses=4))
    lift(made, given, Manner(hypotheses=4), root=way)
    assert roots[0] is None and roots[1] is way
    with pytest.raises(InputError, match="root of shape"):
        lift(made, given, Manner(hypotheses=4), root=way[:3])


@pytest.mark.parametrize("name", ["martinez", "videopose3d"])
def test_averaging_with_the_mirror_image(name: str) -> None:
    made, given = network(name), recording()
    mirrored = given.positions[:, list(H36M_17.mirror)] * np.array([-1, 1]) + np.array([1000, 0])
    turned = replace(given, positions=mirrored.astype(np.float32))
    straight, other = (lift(made, each, Manner(flip=True)).positions for each in (given, turned))
    assert other == pytest.approx(straight[:, list(H36M_17.mirror)] * np.array([-1, 1, 1]), abs=1e-4)
    by_itself = lift(made, given, Manner(flip=False)).positions
    assert np.abs(by_itself - straight).max() > 1e-3
    usual = lift(made, given).positions
    assert (usual == (by_itself if name == "martinez" else straight)).all()


@EVERY
def test_size_is_wanted(name: str) -> None:
    with pytest.raises(InputError, match="--width"):
        lift(network(name), recording(width=None))


def test_wrong_use_is_told() -> None:
    with pytest.raises(InputError, match="No joint"):
        lift(network("semgcn"), recording(score=np.zeros((12, 17), np.float32)))
    with pytest.raises(InputError, match="no published lifter"):
        apply.answer(nn.Linear(2, 2), torch.zeros(3, 17, 2))
    with pytest.raises(InputError, match="at least 1 hypothesis"):
        lift(network("d3dp"), recording(), Manner(hypotheses=0))
    scored = videopose3d.VideoPose3D(videopose3d.Config(widths=(3,), channels=8, in_features=3))
    with pytest.raises(InputError, match="17 joints of 3 numbers"):
        lift(scored, recording())
