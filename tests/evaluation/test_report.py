"""Result files: whole, checked, and readable again."""

from __future__ import annotations

import json

import pytest

from posemend.errors import InputError
from posemend.evaluation import report


@pytest.fixture
def result() -> dict:
    columns = {"all": 50.0, "visible": 40.0, "hidden": None}
    return {
        "protocol": {"on": "x", "input": "gt", "split": "all", "lifter": "a", "refiner": None, "seed": 0},
        "clips": 2, "frames": 20, "mpjpe_mm": columns, "p_mpjpe_mm": dict(columns), "mpjve_mm": 3.0,
        "accel_mm": None, "pck150": 90.0, "auc150": 60, "ci95_mm": [45.0, 55.0],
        "harm_mm": {"mean": None, "worst_clip": None}, "raw": None,
    }  # fmt: skip


def test_written_results_are_read_again(tmp_path, result):
    path = report.write_result(tmp_path / "results", "chain-gt", result)
    assert path == tmp_path / "results" / "chain-gt.json"
    again = report.read_result(path)
    assert {key: again[key] for key in result} == result
    assert again["schema"] == report.SCHEMA and again["machine"]["cores"] >= 1 and "numpy" in again["versions"]
    assert again["commit"] is None or isinstance(again["commit"], str)
    assert [part.name for part in path.parent.iterdir()] == ["chain-gt.json"]
    report.write_result(tmp_path / "results", "chain-gt", result | {"clips": 3})
    assert report.read_result(path)["clips"] == 3


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".hidden", "a b"])
def test_names_that_escape_are_refused(tmp_path, result, name):
    with pytest.raises(InputError, match="plain name"):
        report.write_result(tmp_path, name, result)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol": None}, "protocol"),
        ({"protocol": {"on": "x"}}, r"protocol\.input"),
        ({"clips": 0}, "clips"),
        ({"clips": True}, "clips"),
        ({"mpjpe_mm": {"all": 1.0, "visible": 1.0}}, r"mpjpe_mm\.hidden"),
        ({"mpjpe_mm": {"all": float("nan"), "visible": 1.0, "hidden": 1.0}}, r"mpjpe_mm\.all"),
        ({"pck150": "90"}, "pck150"),
        ({"ci95_mm": [1.0]}, "ci95_mm"),
        ({"harm_mm": {}}, "harm_mm"),
        ({"extra": float("inf")}, "strict JSON"),
    ],
)
def test_broken_results_are_not_written(tmp_path, result, change, words):
    with pytest.raises(InputError, match=words):
        report.write_result(tmp_path, "x", result | change)
    assert not list(tmp_path.iterdir())


def test_missing_folder_and_broken_file(tmp_path, result):
    with pytest.raises(InputError, match="Cannot write"):
        report.save(tmp_path / "nowhere" / "x.json", result)
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        report.read_result(tmp_path / "x.json")


def test_table_has_a_row_for_raw(result):
    raw = {key: result[key] for key in ("mpjpe_mm", "p_mpjpe_mm", "mpjve_mm", "pck150")}
    lines = report.table([json.loads(json.dumps(result)) | {"raw": raw}]).splitlines()
    assert len(lines) == 4
    assert "(raw)" in lines[2] and "| 50.0 | 40.0 | – |" in lines[3]


def test_every_stored_result_fits():
    from pathlib import Path

    folder = Path(__file__).resolve().parents[2] / "results"
    for path in sorted(folder.rglob("*.json")) if folder.is_dir() else []:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(stored, dict) and "protocol" in stored:
            report.check_result(stored)
