"""`refine --depth` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from posemend import read, write
from posemend.body.pose import Pose3D
from posemend.cli.depth_errors import Clip, clip
from posemend.cli.main import main


@pytest.fixture(scope="module")
def one() -> Clip:
    return clip(2003, 24)


@pytest.fixture
def folder(one: Clip, tmp_path: Path) -> Path:
    write(tmp_path / "keypoints.npz", one.keypoints)
    np.save(tmp_path / "depth.npy", np.rint(np.asarray(one.depth.maps, np.float32) * 1000).astype(np.uint16))
    return tmp_path


def test_keypoints_and_depth(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["refine", "--keypoints", folder / "keypoints.npz", "--depth", folder / "depth.npy", "--intrinsics", "itop",
             "-o", folder / "out.npz", "--html", folder / "page.html", "--json"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["verb"] == "refine" and facts["people"][0]["frames"] == 24
    pose = read(folder / "out.npz")
    assert isinstance(pose, Pose3D) and pose.frame == "camera" and pose.sigma is not None
    assert 1.5 < pose.positions[..., 2].mean() < 4
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert '"cloud":{"points":"' in page and "lifted by depth" in page and len(page) < 3_000_000

    words = ["view", folder / "out.npz", "--depth", folder / "depth.npy", "--intrinsics", "itop",
             "-o", folder / "view.html"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    assert '"cloud":{"points":"' in (folder / "view.html").read_text(encoding="utf-8")

    # what came out can be refined again by its body alone, without depth
    words = ["refine", folder / "out.npz", "--bundle", "depth", "-o", folder / "again.npz"]
    assert main([str(word) for word in words]) == 0
    assert np.abs(read(folder / "again.npz").positions - pose.positions).mean() < 0.05


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--keypoints", "keypoints.npz"], "without --depth: use posemend run"),
        ([], "nothing to refine"),
        (["--keypoints", "keypoints.npz", "--depth", "depth.npy"], "Give --intrinsics"),
        (["--keypoints", "keypoints.npz", "--depth", "depth.npy", "--intrinsics", "kinect-v2"], "are for 512x424"),
        (["--keypoints", "keypoints.npz", "--depth", "depth.npy", "--intrinsics", "itop", "--depth-unit", "m"],
         "look like mm"),
        (["--keypoints", "keypoints.npz", "--depth", "none.h5", "--intrinsics", "itop"], "no depth at"),
    ],
)  # fmt: skip
def test_mistakes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    assert main(["refine", *words, "-o", "out.npz"]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "out.npz").exists()


def test_the_table_of_the_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--table", "depth", "--clips", "1", "--frames", "12", "--seed", "2"]
    assert main([*words, "-o", str(tmp_path / "t.json")]) == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert found["kind"] == "depth" and found["settings"]["quick"] and found["seeds_of_training"] == 1
    steps = found["stages"]["plain"]
    assert list(steps) == ["raw", "patch", "lift", "body", "cloud", "weighed", "chain"]
    assert steps["chain"]["all"]["mean_mm"] < steps["raw"]["all"]["mean_mm"]
    assert set(found["body_alone"]["kinds"]) >= {"usual", "swaps", "clean"} and found["speed"]["fps"] > 0
    assert len(found["joints"]) == 15 and "| chain |" in said and "| late 33 ms |" in said and "| swaps |" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--table", "depth", "--on", "blendmimic3d"], "leave --on and the rest out"),
        (["--table", "depth", "--frames", "5"], "at least 10 frames, got 8 and 5"),
        (["--clips", "3", "--on", "blendmimic3d", "--root", "nowhere"], "are for --table depth"),
        ([], "wants --on"),
    ],
)
def test_mistakes_with_tables(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
