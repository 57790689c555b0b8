"""Folders to one pack: the same bytes however it is made, one bad file never stops the rest, and everything is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from posemend.datasets import build as building
from posemend.datasets import mocap, packs
from posemend.datasets.mocap import Settings
from posemend.errors import InputError
from tests.datasets.raw_files import DAZ, MIXAMO, RIGIFY, Bvh, Walk, plug_in_gait, write_amc, write_asf, write_c3d

FPS = 50.0


@pytest.fixture
def folder(tmp_path: Path, written: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "raw"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five good files in two folders, and four that are no use."""
    raw = tmp_path_factory.mktemp("written") / "raw"
    (raw / "deep").mkdir(parents=True)
    for number, names in enumerate((MIXAMO, RIGIFY, DAZ)):
        Bvh(names).write(raw / f"0{number}_walk.bvh", Walk.steps(60 + number, FPS), FPS)
    Bvh(MIXAMO).write(raw / "deep" / "00_walk.bvh", Walk.steps(50, FPS), FPS)
    write_asf(raw / "deep" / "05.asf")
    write_amc(raw / "deep" / "05_01.amc", 150)
    Bvh(MIXAMO).write(raw / "deep" / "short.bvh", Walk.steps(9, FPS), FPS)
    (raw / "cut.bvh").write_text(Bvh(DAZ).text(Walk.steps(20, FPS), FPS)[:700], encoding="utf-8")
    (raw / "deep" / "noise.BVH").write_bytes(bytes(range(256)) * 9)
    shutil.copy(raw / "deep" / "05_01.amc", raw / "06_01.amc")  # its skeleton is not beside it
    (raw / "notes.txt").write_text("no motion", encoding="utf-8")
    return raw


def test_no_armature_no_length_and_a_hundred_people(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    walk = Walk.steps(60, FPS)
    text = Bvh(MIXAMO).text(walk, FPS)
    hierarchy, motion = text.split("MOTION")
    (raw / "a_good.bvh").write_text(text)
    (raw / "b_points.bvh").write_text("HIERARCHY\nMOTION" + motion)
    (raw / "c_crate.bvh").write_text(text.replace("UpLeg", "Lid"))
    (raw / "d_stump.bvh").write_text(text.replace("OFFSET 25.000000 0.000000 0.000000", "OFFSET 0 0 0"))
    crowd = "HIERARCHY\n" + hierarchy.removeprefix("HIERARCHY") * 100 + "MOTION"
    (raw / "e_crowd.bvh").write_text(crowd + motion)  # the numbers of one of them
    (raw / "i_crowd.bvh").write_text(
        crowd + "\n".join(" ".join([line] * (1 if "Frame" in line else 100)) for line in motion.split("\n"))
    )
    (raw / "f_folder.bvh").mkdir()
    (raw / "g_empty.bvh").write_bytes(b"")
    (raw / "h_good.bvh").write_text(text)
    rows = {row["file"]: row for row in make(raw, tmp_path / "mine.npz")["files"]}
    assert [file for file, row in rows.items() if row["kept"]] == ["a_good.bvh", "h_good.bvh", "i_crowd.bvh"]
    assert "holds 100 people; the first alone was read" in rows["i_crowd.bvh"]["remarks"]
    assert rows["a_good.bvh"]["remarks"] == []
    for file, word in {"b_points.bvh": "names no joints", "c_crate.bvh": "no hips", "d_stump.bvh": "zero-length",
                       "e_crowd.bvh": "no whole frame", "g_empty.bvh": "empty"}.items():  # fmt: skip
        assert word in rows[file]["why"], rows[file]


def make(folder: Path, out: Path, **more) -> dict:
    return building.build([folder], out, Settings(), **more)


def test_good_files_are_packed_and_bad_ones_explained(folder: Path, tmp_path: Path) -> None:
    report = make(folder, tmp_path / "mine.npz", licence="free")
    rows = {row["file"]: row for row in report["files"]}
    kept = ["00_walk.bvh", "01_walk.bvh", "02_walk.bvh", "deep/00_walk.bvh", "deep/05_01.amc"]
    assert [file for file, row in rows.items() if row["kept"]] == kept
    assert "no line MOTION" in rows["cut.bvh"]["why"]
    assert "no line MOTION" in rows["deep/noise.BVH"]["why"]
    assert "06.asf" in rows["06_01.amc"]["why"]
    assert rows["deep/short.bvh"]["dropped"] == [{"frames": [0, 8], "why": "shorter than 0.6 s"}]
    assert json.loads((tmp_path / "mine.report.json").read_text(encoding="utf-8")) == report
    motions = packs.read(tmp_path / "mine.npz")
    assert [m.name for m in motions] == ["00_walk", "01_walk", "02_walk", "deep/00_walk", "05_01"]
    assert [(m.subject, m.action) for m in motions][-1] == ("05", "05_01")
    assert {(m.source, m.licence, m.fps) for m in motions} == {("mine", "free", 50.0)}
    assert [len(m) for m in motions] == [60, 61, 62, 50, 63]
    totals = {"files": 9, "files_kept": 5, "sequences": 5, "frames": 296, "seconds": 5.92}
    assert report["totals"] == totals
    assert not list(tmp_path.glob(".*"))  # neither pieces nor partial files are left behind
    direct = mocap.convert(folder / "02_walk.bvh", Settings()).pieces[0]
    assert np.abs(motions[2].positions - direct).max() < 6e-5


def test_same_bytes_on_any_number_of_workers(folder: Path, tmp_path: Path) -> None:
    for workers in (1, 3):
        (tmp_path / str(workers)).mkdir()
        make(folder, tmp_path / str(workers) / "mine.npz", workers=workers)
    contents = {(tmp_path / str(workers) / "mine.npz").read_bytes() for workers in (1, 3)}
    reports = {(tmp_path / str(workers) / "mine.report.json").read_text(encoding="utf-8") for workers in (1, 3)}
    assert len(contents) == len(reports) == 1


KILLED = """
import os, sys
from posemend.datasets import build, mocap
true, count = mocap.convert, [0]
def convert(path, settings):
    count[0] += 1
    if count[0] == 4:
        os._exit(9)  # as a kill -9 would
    return true(path, settings)
mocap.convert = convert
build.build([sys.argv[1]], sys.argv[2], mocap.Settings())
"""


def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    make(folder, tmp_path / "whole" / "mine.npz")
    out = tmp_path / "mine.npz"
    root = Path(building.__file__).resolve().parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(out)], check=False,
        env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == 9 and not out.exists()
    parts = sorted((tmp_path / ".mine.npz.parts").glob("*.npz"))
    assert parts
    parts[0].write_bytes(parts[0].read_bytes()[:100])  # one piece is damaged: it is made again
    asked: list[str] = []
    true = mocap.convert
    monkeypatch.setattr(mocap, "convert", lambda path, settings: asked.append(path.name) or true(path, settings))
    make(folder, out)
    assert len(asked) < 9
    assert out.read_bytes() == (tmp_path / "whole" / "mine.npz").read_bytes()


def test_a_changed_file_is_converted_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "mine.npz"
    monkeypatch.setattr(packs, "write", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        make(folder, out)
    monkeypatch.undo()
    Bvh(MIXAMO).write(folder / "00_walk.bvh", Walk.steps(75, FPS), FPS)
    make(folder, out)
    assert len(packs.read(out)[0]) == 75


class Bomb(PurePosixPath):
    """A path that kills the process in which it arrives."""

    def __reduce__(self):
        return os._exit, (7,)


def test_a_crash_is_told_of_its_file_alone(folder: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    good = [building.Job(path, label, Settings(), parts) for path, label in building.find([folder])]
    jobs = [good[0], building.Job(Bomb("bomb.bvh"), "bomb.bvh", Settings(), parts), *good[1:]]  # type: ignore[arg-type]
    found = dict(building._converted(jobs, 2))
    assert sorted(found) == list(range(len(jobs)))
    assert [place for place, report in found.items() if report.get("why") == "crashed its reader"] == [1]
    assert sum("pieces" in report for report in found.values()) == 6


def test_whatever_a_reader_raises_the_others_go_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = mocap.convert

    def convert(path: Path, settings: Settings) -> mocap.Converted:
        if path.name == "01_walk.bvh":
            raise ZeroDivisionError("in a reader")
        return true(path, settings)

    monkeypatch.setattr(mocap, "convert", convert)
    report = make(folder, tmp_path / "mine.npz")
    assert report["files"][1]["why"] == "broke its reader (ZeroDivisionError: in a reader)"
    assert report["totals"]["files_kept"] == 4


def test_markers_too(tmp_path: Path) -> None:
    pytest.importorskip("ezc3d")
    raw = tmp_path / "raw"
    raw.mkdir()
    path = write_c3d(raw / "walk.c3d", plug_in_gait(Walk.steps(60, FPS)), FPS)
    (raw / "worse.c3d").write_bytes(path.read_bytes()[:700])
    report = building.build([raw], tmp_path / "mine.npz", Settings(up="z"))
    assert [row["kept"] for row in report["files"]] == [True, False]


def test_names_from_a_pattern(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "mine.npz", names=r"^(?P<subject>\d+)_(?P<action>.*)$")
    assert {(m.subject, m.action) for m in packs.read(tmp_path / "mine.npz")} == {
        ("00", "walk"), ("01", "walk"), ("02", "walk"), ("05", "01"),
    }  # fmt: skip
    for pattern, words in (("(", "no regular expression"), ("x", "wants a group")):
        with pytest.raises(InputError, match=words):
            make(folder, tmp_path / "mine.npz", names=pattern)


def test_nothing_to_build(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not there"):
        make(tmp_path / "nowhere", tmp_path / "mine.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no motion file"):
        make(tmp_path / "empty", tmp_path / "mine.npz")
    with pytest.raises(InputError, match=r"Nothing is left of 1 files; .*report.json says why"):
        make(folder / "cut.bvh", tmp_path / "mine.npz")
    assert "cut.bvh" in (tmp_path / "mine.report.json").read_text(encoding="utf-8")
    assert not (tmp_path / "mine.npz").exists() and not list(tmp_path.glob(".*"))
