"""The verbs of made-up scenes: draw, label, look."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import posemend
from tests.formats.skinned_glb import write_glb
from tests.occlusion.standing import STANDING


@pytest.fixture
def scenes(call, tmp_path: Path) -> Path:
    folder = tmp_path / "scenes"
    said = call("data", "scene", "--preset", "rig-objects", "-o", str(folder), "--seconds", "0.2", "--json")
    assert said.code == 0
    assert json.loads(said.out)["scenes"] == [str(folder / "rig-objects-0-0000.toml")]
    return folder


def test_scene_label_picture(call, scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    said = call("data", "label", str(scenes), "-o", str(out), "--format", "coco", "blendmimic3d", "--json")
    assert said.code == 0
    assert json.loads(said.out)["scenes"][0]["new"] is True
    assert (out / "labels" / "rig-objects-0-0000.npz").is_file() and (out / "coco").is_dir() and (out / "S1").is_dir()
    assert json.loads(call("data", "label", str(scenes), "-o", str(out), "--json").out)["scenes"][0]["new"] is False

    sheet, film = tmp_path / "sheet.png", tmp_path / "film.gif"
    said = call("data", "picture", str(scenes), "-o", str(sheet), "--film", str(film), "--seconds", "0.1", "--json")
    assert said.code == 0
    assert json.loads(said.out)["counts"]["scenes"]["frames"] == 4 * 10
    assert sheet.read_bytes()[:4] == b"\x89PNG" and film.read_bytes()[:4] == b"GIF8"


def test_scenes_with_a_mesh(call, tmp_path: Path) -> None:
    pytest.importorskip("pygltflib")
    pytest.importorskip("embreex")
    write_glb(tmp_path / "kim.glb", STANDING[0])
    words = ("data", "scene", "--preset", "close-up", "-o", "deep/scenes", "--seconds", "0.1")
    assert call(*words, "--mesh", "kim.glb").code == 0
    (path,) = (tmp_path / "deep" / "scenes").glob("*.toml")
    assert 'mesh = "../../kim.glb"' in path.read_text()
    assert call("data", "label", str(path), "-o", "set", "--format", "coco").code == 0
    assert call("data", "picture", "deep/scenes", "-o", "sheet.png").code == 0
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "torn.glb").write_bytes(b"glTF")
    said = call(*words, "--mesh", "kim.glb", "torn.glb")
    assert said.code == 2 and "torn.glb" in said.err


def test_bad_scenes_fail_with_a_word_each(call, scenes: Path, tmp_path: Path) -> None:
    (scenes / "zz.toml").write_text("nonsense = 1")
    said = call("data", "label", str(scenes), "-o", str(tmp_path / "set"))
    assert said.code == 1
    assert "zz.toml" in said.err and "unknown key 'nonsense'" in said.err
    assert (tmp_path / "set" / "labels").is_dir()


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, half-written ones too."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_in_the_middle_it_ends_with_the_same_files(call, tmp_path: Path, workers: int) -> None:
    """A real SIGKILL of the real command; its workers leave with it, and the next run ends byte-equal."""
    made = ("data", "scene", "--preset", "rig-objects", "--count", "6", "-o", "scenes", "--seconds", "0.6")
    assert call(*made).code == 0
    label = ("data", "label", "scenes", "--format", "coco", "blendmimic3d", "--every", "5")
    environment = os.environ | {"PYTHONPATH": str(Path(posemend.__file__).parents[1])}
    command = [sys.executable, "-m", "posemend", *label, "-o", "killed", "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as build:
        until = time.monotonic() + 60
        while not list(tmp_path.glob("killed/labels/*.npz")) and build.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        build.kill()
        build.communicate(timeout=30)  # TimeoutExpired if a worker lives on and holds the pipe
    done = list(tmp_path.glob("killed/labels/[!.]*.npz"))
    assert build.returncode == -9 and 1 <= len(done) < 6
    assert not (tmp_path / "killed" / "report.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in done}

    again = json.loads(call(*label, "-o", "killed", "--workers", str(3 - workers), "--json").out)
    assert sum(row["new"] for row in again["scenes"]) == 6 - len(done)
    assert {path: path.stat().st_mtime_ns for path in done} == kept  # what was done is not done again
    assert call(*label, "-o", "whole", "--workers", str(workers)).code == 0
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("data", "scene", "--preset", "rigg", "-o", "x"), "Did you mean 'rig'"),
        (("data", "label", "nowhere.toml", "-o", "x"), "not there"),
        (("data", "label", "-o", "x"), "Name at least one scene"),
        (("data", "picture", "nowhere.toml", "-o", "x.gif"), ".png"),
    ],
)
def test_wrong_words(call, words: tuple[str, ...], says: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = call(*words)
    assert said.code == 2 and says in said.err
