"""The verbs of made-up scenes: draw, label, look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


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


def test_bad_scenes_fail_with_a_word_each(call, scenes: Path, tmp_path: Path) -> None:
    (scenes / "zz.toml").write_text("nonsense = 1")
    said = call("data", "label", str(scenes), "-o", str(tmp_path / "set"))
    assert said.code == 1
    assert "zz.toml" in said.err and "unknown key 'nonsense'" in said.err
    assert (tmp_path / "set" / "labels").is_dir()


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
