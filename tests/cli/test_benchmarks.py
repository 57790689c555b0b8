"""``evaluate`` on the field's benchmarks: made-up files in their layouts, somebody's predictions, papers' averages."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import posemend
from posemend.body.catalogue import H36M_17, MPI_INF_3DHP_17, SMPL_24
from posemend.body.pose import Take
from posemend.datasets import benchmarks
from posemend.datasets import human36m_cameras as calibration
from posemend.datasets.procedural import generate
from posemend.geometry.camera import Camera

OFF_MM = 17.0


def world(frames: int = 30) -> np.ndarray:
    """(F, 17, 3) metres, z up, near the origin."""
    positions = np.asarray(generate(7, 4.0).positions[:frames], float)
    return positions - [*positions[:, 0, :2].mean(0), 0]


def human36m(root: Path) -> None:
    people = {"S9": ("Walking", "Walking 1"), "S11": ("Sitting",), "S1": ("Walking",)}
    poses = {who: {action: world().astype("float32") for action in actions} for who, actions in people.items()}
    np.savez(root / "data_3d_h36m.npz", positions_3d=poses)
    found = {
        who: {action: [calibration.distorted(calibration.camera(who, n).to_camera(world()), n) + 3 for n in range(4)]
              for action in actions}
        for who, actions in people.items()
    }  # fmt: skip
    sides = {"keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]}
    np.savez(root / "data_2d_h36m_cpn_ft_h36m_dbb.npz", positions_2d=found, metadata=sides)


def in_front() -> Camera:
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return Camera((1500, 1500), (1024, 1024), 2048, 2048, turn, np.array([0, 1.2, 4.0]))


def named(joints: tuple[str, ...], instead: dict[str, str]) -> np.ndarray:
    return world()[:, [H36M_17.index(instead.get(joint, joint)) for joint in joints]]


def mpi_inf_3dhp(root: Path) -> None:
    points = in_front().to_camera(named(MPI_INF_3DHP_17.joints, {"neck": "thorax", "head": "nose"}))
    view = {"data_2d": in_front().project(points), "data_3d": points * 1000, "valid": np.arange(30) > 2}
    np.savez(root / "data_test_3dhp.npz", data={f"TS{number}": view for number in range(1, 7)})


def threedpw(root: Path) -> None:
    instead = {
        "spine1": "spine", "spine2": "spine", "spine3": "thorax", "neck": "thorax", "skull": "nose",
        "l_clavicle": "l_shoulder", "r_clavicle": "r_shoulder", "l_hand": "l_wrist", "r_hand": "r_wrist",
        "l_foot": "l_ankle", "r_foot": "r_ankle",
    }  # fmt: skip
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = in_front().rotation, in_front().translation
    table = {
        "cam_poses": np.repeat(pose[None], 30, 0), "genders": ["f"], "campose_valid": [np.ones(30)],
        "cam_intrinsics": np.array([[1500.0, 0, 540], [0, 1500, 960], [0, 0, 1]]),
        "jointPositions": [named(SMPL_24.joints, instead).reshape(30, 72)], "poses2d": [np.ones((30, 3, 18))],
    }  # fmt: skip
    (root / "sequenceFiles" / "test").mkdir(parents=True)
    (root / "sequenceFiles" / "test" / "walk_00.pkl").write_bytes(pickle.dumps(table, protocol=2))


SETS = {"human36m": human36m, "mpi-inf-3dhp": mpi_inf_3dhp, "3dpw": threedpw}


def predict(takes: list[Take], folder: Path) -> None:
    """All joints but the root 17 mm too far away."""
    for take in takes:
        moved = take.truth.positions.copy()
        moved[:, [joint != "pelvis" for joint in take.truth.skeleton.joints], 2] += OFF_MM / 1000
        path = folder / f"{take.name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        posemend.write(path, replace(take.truth, positions=moved, score=np.ones(take.truth.score.shape)))


@pytest.mark.parametrize(("on", "averaging"), [("human36m", "h36m"), ("mpi-inf-3dhp", "3dhp"), ("3dpw", "3dpw")])
def test_a_paper_row_in_one_command(call, tmp_path: Path, on: str, averaging: str) -> None:
    SETS[on](tmp_path)
    takes = benchmarks.read(on, tmp_path, trust=True)
    predict(takes, tmp_path / "theirs")
    words = ["evaluate", "--on", on, "--root", tmp_path, "--averaging", averaging, "--trust", "--predictions", "theirs"]
    said = call(*words, "--json", "--output", "mine.json")
    assert said.code == 0, said.err
    result = said.json
    assert result["clips"] == len(takes) and result["protocol"]["on"] == on
    assert result["mpjpe_mm"]["all"] == pytest.approx(OFF_MM, abs=1e-2)
    counted = {"h36m": 16 / 17, "3dhp": 16 / 17, "3dpw": 0.0}[averaging]  # 3DPW's 14 joints lose their own hips
    assert result["paper"]["mpjpe_mm"] == pytest.approx(OFF_MM * counted, abs=1e-2)
    assert result["paper"]["averaging"] == averaging
    assert json.loads((tmp_path / "mine.json").read_text())["paper"] == result["paper"]
    assert benchmarks.BENCHMARKS[on].averaging == averaging
    test = benchmarks.BENCHMARKS[on].test
    assert " ".join(test) in result["protocol"]["split"] and {take.subject for take in takes} <= set(test)
    assert f"as '{averaging}' averages" in call(*words).out


def test_actions_of_human36m_are_averaged_by_name(call, tmp_path: Path) -> None:
    human36m(tmp_path)
    takes = benchmarks.read("human36m", tmp_path, trust=True)
    predict([take for take in takes if take.action != "Sitting"], tmp_path / "theirs")
    for take in takes:
        if take.action == "Sitting":
            path = tmp_path / "theirs" / f"{take.name}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            posemend.write(path, take.truth)
    said = call("evaluate", "--on", "human36m", "--root", tmp_path, "--averaging", "h36m", "--trust",
                "--predictions", "theirs", "--json")  # fmt: skip
    assert set(said.json["paper"]["by_action"]) == {"Walking", "Sitting"}
    assert said.json["paper"]["mpjpe_mm"] == pytest.approx(16 / 2, abs=1e-2)
    assert said.json["mpjpe_mm"]["all"] == pytest.approx(17 * 8 / 12, abs=1e-2), "over clips, of which 8 of 12 walk"


def test_a_detectors_keypoints_are_given(call, chain, tmp_path: Path) -> None:
    human36m(tmp_path)
    words = ["evaluate", "--on", "human36m", "--root", tmp_path, "--trust", "--input", "video", "--subjects", "S11"]
    said = call(*words, "--json")
    assert said.code == 2 and "--detections" in said.err
    said = call(*words, "--detections", "cpn_ft_h36m_dbb", "--json")
    assert said.code == 0, said.err
    assert said.json["clips"] == 4 and chain[0]["people"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--on", "human36m"), "--trust"),
        (("--on", "human36m", "--trust", "--averaging", "3dpw"), "skull"),
        (("--on", "human36m", "--trust", "--subjects", "S2"), "S2"),
        (("--on", "3dpw", "--trust"), "sequenceFiles"),
        (("--on", "mpi-inf-3dhp", "--trust", "--detections", "cpn"), "human36m"),
        (
            (
                "--on",
                "human37m",
            ),
            "human36m",
        ),
    ],
)
def test_what_does_not_fit_is_told(call, tmp_path: Path, words: tuple[str, ...], message: str, chain) -> None:
    human36m(tmp_path)
    said = call("evaluate", *words, "--root", tmp_path)
    assert said.code == 2 and message in said.err, said.err


def test_the_command_knows_what_the_library_knows() -> None:
    from posemend.cli import learn
    from posemend.evaluation.papers import AVERAGINGS
    from posemend.occlusion.hide import INPUTS

    assert get_args(learn.Averagings) == AVERAGINGS
    assert get_args(learn.Inputs) == INPUTS
    assert get_args(learn.DataSets) == ("blendmimic3d", *benchmarks.BENCHMARKS)
