"""``posemend data build`` from the outside: words, table, JSON, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from posemend.datasets import packs
from tests.datasets.raw_files import DAZ, MIXAMO, Bvh, Walk


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    Bvh(MIXAMO).write(folder / "kim_walk.bvh", Walk.steps(80, 50.0), 50.0)
    Bvh(DAZ).write(folder / "lee_walk.bvh", Walk.steps(80, 50.0), 50.0)
    (folder / "broken.bvh").write_text("HIERARCHY\n", encoding="utf-8")
    return folder


def test_table_and_pack(call, raw: Path, tmp_path: Path) -> None:
    said = call("data", "build", str(raw), "-o", str(tmp_path / "mine.npz"), "--rate", "25", "--workers", "1")
    assert said.code == 0
    for words in ("2 sequences, 80 frames, 3 s", "upleg", "daz", "not read", "has no line MOTION", "broken.bvh"):
        assert words in " ".join(said.out.replace("│", " ").split()), words
    assert [(m.name, m.subject, m.fps, len(m)) for m in packs.read(tmp_path / "mine.npz")] == [
        ("kim_walk", "kim", 25.0, 40), ("lee_walk", "lee", 25.0, 40),
    ]  # fmt: skip
    assert (tmp_path / "mine.report.json").is_file()


def test_json(call, raw: Path, tmp_path: Path) -> None:
    said = call(
        "data", "build", str(raw), "-o", str(tmp_path / "mine.npz"), "--report", str(tmp_path / "why.json"),
        "--licence", "CC0", "--workers", "1", "--json",
    )  # fmt: skip
    facts = said.json
    assert (said.code, facts["verb"], facts["totals"]["files_kept"]) == (0, "data build", 2)
    assert [row["kept"] for row in facts["files"]] == [False, True, True]
    assert (tmp_path / "why.json").is_file() and not (tmp_path / "mine.report.json").exists()
    assert packs.read(tmp_path / "mine.npz")[0].licence == "CC0"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("build",), "--out"),
        (("bild",), 'Did you mean "build"?'),
        (("build", "nowhere", "-o", "mine.npz"), "not there"),
        (("build", "RAW", "-o", "mine.csv"), ".npz"),
        (("build", "RAW", "-o", "mine.npz", "--report", "why.txt"), ".json"),
        (("build", "RAW", "-o", "mine.npz", "--rate", "0"), "--rate wants"),
        (("build", "RAW", "-o", "mine.npz", "--skip", "-1"), "--skip wants"),
        (("build", "RAW", "-o", "mine.npz", "--workers", "0"), "--workers wants"),
        (("build", "RAW", "-o", "mine.npz", "--unit", "ell"), "--unit"),
        (("build", "RAW", "-o", "mine.npz", "--names", "("), "--names"),
        (("build", "RAW/broken.bvh", "-o", "mine.npz", "--workers", "1"), "Nothing is left of 1 files"),
    ],
)
def test_wrong_words(call, raw: Path, tmp_path: Path, monkeypatch, words: tuple[str, ...], part: str) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("data", *(word.replace("RAW", str(raw)) for word in words))
    assert said.code == 2 and said.out == "" and part in said.err and "Traceback" not in said.err
    assert not (tmp_path / "mine.npz").exists()
