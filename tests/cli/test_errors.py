"""Errors: the right exit code, one sentence with the cure, nothing written, never a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import posemend
from posemend.errors import BundleError
from tests.cli.conftest import seen, standing


def refused(said, code: int, *parts: str) -> None:
    assert said.code == code
    assert said.out == ""
    assert said.err.startswith("posemend: error: ")
    assert "Traceback" not in said.err
    for part in parts:
        assert part in said.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("rn", "a.npz"), 'Did you mean "run"?'),
        (("run", "a.npz", "-o", "b.npz", "--jsn"), "Did you mean --json?"),
        (("run",), "posemend run --help"),
        (("run", "a.npz"), "--out"),
        (("run", "a.npz", "-o", "b.npz", "--fps", "fast"), "--fps"),
        (("evaluate", "--on", "h36m", "--root", "."), "blendmimic3d"),
        (("evaluate", "--on", "blendmimic3d", "--root", ".", "--input", "gtt"), "gt+flags"),
    ],
)
def test_wrong_words(call, words: tuple[str, ...], part: str) -> None:
    refused(call(*words), 2, part)


def test_errors_for_programs(call) -> None:
    said = call("run", "nosuch.npz", "-o", "out.npz", "--json")
    assert said.code == 2
    error = said.json["error"]
    assert set(said.json) == {"error"} and set(error) == {"kind", "message", "exit_code"}
    assert error["exit_code"] == 2 and "nosuch.npz" in error["message"]
    assert call("rn", "--json").json["error"]["kind"] == "UsageError"


def _bad_files(folder: Path) -> dict[str, Path]:
    def put(name: str, content: bytes) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    found = {"skeleton": "h36m_17", "fps": 25.0, "width": 1280, "height": 720}
    bad = seen().positions.copy()
    bad[3, 4] = np.inf
    np.savez(folder / "infinite.npz", positions_2d=bad, score=seen().score, **found)
    np.savez(folder / "nobody.npz", positions_2d=np.zeros_like(bad), score=np.zeros_like(seen().score), **found)
    np.savez(folder / "joints.npz", positions_2d=np.ones((5, 9, 2)), skeleton="h36m_17", fps=25.0, width=9, height=9)
    np.savez(folder / "objects.npz", positions_2d=np.array([{}], object), skeleton="h36m_17", fps=25.0)
    whole = (folder / "joints.npz").read_bytes()
    return {
        "absent": folder / "absent.json",
        "empty": put("empty.json", b""),
        "cut json": put("cut.json", b'{"people": [{"pose_keypoints_2d": [1, 2'),
        "cut npz": put("cut.npz", whole[: len(whole) // 2]),
        "text": put("text.npz", b"hello"),
        "infinite": folder / "infinite.npz",
        "nobody": folder / "nobody.npz",
        "joints": folder / "joints.npz",
        "objects": folder / "objects.npz",
    }


BAD = ("absent", "empty", "cut json", "cut npz", "text", "infinite", "nobody", "joints", "objects")


@pytest.mark.parametrize("verb", ["run", "lift", "refine", "convert"])
@pytest.mark.parametrize("what", BAD)
def test_bad_files(call, tmp_path: Path, verb: str, what: str, chain) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    file = _bad_files(folder)[what]
    words = (verb, file, "out.npz") if verb == "convert" else (verb, file, "-o", "out.npz")
    refused(call(*words), 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    assert chain == []


@pytest.mark.parametrize(
    ("out", "part"),
    [("out.xyz", ".npz, .json, .csv"), ("no/where/out.npz", "Make it first"), ("keypoints.npz", "it is the input")],
)
def test_impossible_outputs_are_refused_before_work(call, keypoints: Path, chain, out: str, part: str) -> None:
    before = keypoints.read_bytes()
    refused(call("run", keypoints, "-o", out), 2, part)
    assert chain == []
    assert keypoints.read_bytes() == before


def test_a_page_that_cannot_be_written_stops_everything(call, keypoints: Path, chain, tmp_path: Path) -> None:
    refused(call("run", keypoints, "-o", "out.npz", "--html", "page.pdf"), 2, ".html")
    assert [path.name for path in tmp_path.iterdir()] == ["keypoints.npz"]


def test_two_dimensions_and_three_are_told_apart(call, keypoints: Path, pose: Path, chain) -> None:
    refused(call("run", pose, "-o", "out.npz"), 2, "posemend refine")
    refused(call("refine", keypoints, "-o", "out.npz"), 2, "posemend run")
    refused(call("view", keypoints, "-o", "page.html"), 2, "3D")


def test_no_such_person(call, keypoints: Path, chain) -> None:
    refused(call("run", keypoints, "-o", "out.npz", "--person", 3), 2, "no person '3'")


def test_a_mirrored_pose_is_refused_or_repaired(call, tmp_path: Path, chain) -> None:
    posemend.write(tmp_path / "mirrored.npz", standing(60, bend=-0.1))
    refused(call("refine", "mirrored.npz", "-o", "out.npz"), 2, "--fix-handedness")
    assert not (tmp_path / "out.npz").exists()
    assert call("refine", "mirrored.npz", "-o", "fixed.npz", "--fix-handedness").code == 0
    left = posemend.skeleton("h36m_17").index("l_hip")
    assert posemend.read("fixed.npz").positions[0, left, 0] < 0 < standing().positions[0, left, 0]


def test_other_failures_exit_with_one(call, keypoints: Path, chain, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BundleError("The bundle is damaged.")

    import posemend.runtime

    monkeypatch.setattr(posemend.runtime.pipeline, "run", fail)
    refused(call("run", keypoints, "-o", "out.npz"), 1, "damaged")
    monkeypatch.setenv("POSEMEND_DEBUG", "1")
    assert "Traceback" in call("run", keypoints, "-o", "out.npz").err


def test_missing_extra_names_the_cure(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    refused(call("train", "recipe.toml"), 1, "pip install 'posemend[train]'")
    refused(call("export", "run", "-o", "bundle"), 1, "pip install 'posemend[train]'")


def test_data_set_that_is_not_there(call) -> None:
    refused(call("evaluate", "--on", "blendmimic3d", "--root", "nowhere"), 2, "nowhere")
