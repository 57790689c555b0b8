"""The benchmarks run, and their records hold what they must; figures themselves are not judged here."""

from __future__ import annotations

import copy
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import measure, record

pytestmark = pytest.mark.timeout(600)  # a dozen fresh interpreters; on a busy machine each takes its time

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NETWORKS = {
    "lift": ("patch-tcn", {"patch": 4, "width": 16, "hidden": 16, "dilations": [1, 2]}),
    "refine": ("stgcn-six", {"patch": 4, "width": 8, "dilations": [1, 1]}),
}


def program(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(BENCHMARKS / name), *map(str, words)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of tiny models with random weights."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "onnx", "safetensors")):
        pytest.skip("needs the train extra")
    import torch

    from posemend.nn import checkpoint
    from posemend.nn.export import export
    from posemend.nn.table import build

    folder = tmp_path_factory.mktemp("bundle")
    for task, (name, options) in NETWORKS.items():
        torch.manual_seed(0)
        recipe = {"name": task, "task": task, "data": {"packs": {"procedural": 1.0}, "blendmimic3d": 0.0}}
        about = {"network": {"name": name, "options": options}, "recipe": recipe, "commit": "none"}
        checkpoint.save(folder / f"{task}-checkpoint", build(name, options).state_dict(), {}, about)
        export(folder / f"{task}-checkpoint", folder / task)
    return folder


@pytest.fixture(scope="module")
def speed(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The record of a quick try."""
    path = tmp_path_factory.mktemp("out") / "speed.json"
    done = program("speed.py", "--quick", "--threads", 1, "--bundle", bundle, "--output", path)
    assert done.returncode == 0, done.stderr
    assert "videopose3d_dense" in done.stdout
    return json.loads(path.read_text(encoding="utf-8"))


def test_speed_gives_its_record(speed: dict[str, Any], bundle: Path) -> None:
    record.check(speed)
    assert speed["settings"]["threads"] == 1 and speed["settings"]["bundle"] == bundle.name
    assert speed["models"]["videopose3d"]["receptive_field"] == 243
    assert speed["models"]["videopose3d"]["at_once"]["frames"] in (128, 256)
    assert [row["people"] for row in speed["people"]] == [1, 2, 4]
    assert [row["frames"] for row in speed["growth"]["rows"]] == [64, 128]
    assert speed["hour"]["frames"] == 128 and 20 < speed["hour"]["peak_mb"] < 2000
    assert speed["start"]["bare_s"] < speed["start"]["help_s"]
    assert speed["targets"] == []  # a quick try has nothing to say about goals
    assert any("random" in line for line in speed["remarks"]) and any("quick" in line for line in speed["remarks"])


def test_speed_names_no_place_of_this_machine(speed: dict[str, Any], bundle: Path) -> None:
    text = json.dumps(speed)
    assert str(bundle.parent) not in text and str(BENCHMARKS) not in text


def test_quick_tries_are_not_published(speed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="quick"):
        record.check(speed, published=True)


def test_check_sees_what_is_wrong(speed: dict[str, Any]) -> None:
    def spoilt(*keys: str, value: Any) -> dict[str, Any]:
        other = copy.deepcopy(speed)
        place = other
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        return other

    for keys, value, message in (
        (("kind",), "guess", "kind"),
        (("throughput", "lift", "fps"), None, "throughput.lift.fps"),
        (("throughput", "lift", "fps"), 1e9, "not frames by seconds"),
        (("ratios", "lift_refine_to_videopose3d_dense", "by_medians"), 1e9, "not the ratio"),
        (("throughput", "refine", "seconds"), [], "one per repeat"),
        (("hour", "peak_mb"), float("nan"), "hour.peak_mb"),
        (("settings", "threads"), True, "settings.threads"),
        (("people",), [], "people"),
    ):
        with pytest.raises(ValueError, match=message):
            record.check(spoilt(*keys, value=value))
    without = {key: value for key, value in speed.items() if key != "commit"}
    with pytest.raises(ValueError, match="commit"):
        record.check(without)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--bundle", "nowhere"), "No bundle at 'nowhere'"),
        (("--output", "nowhere/speed.json"), "in a folder that exists"),
        (("--output", "speed.txt"), r"ends in \.json"),
        (("--threads", 0), "above 0"),
    ],
)
def test_speed_refuses_before_it_works(words: tuple[object, ...], message: str) -> None:
    done = program("speed.py", "--quick", *words)
    assert done.returncode != 0 and not done.stdout
    assert "Traceback" not in done.stderr
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(done.stderr)


def installed(**changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "kind": "install", "schema": 1, "settings": {"extras": [], "constraints": True},
        "seconds": {"environment": 3.0, "install": 20.0},
        "packages": {"count": 1, "list": [{"name": "numpy", "version": "2", "mb": 70.0}]},
        "size_mb": {"site_packages": 90.0, "without_pip": 80.0, "posemend": 5.0},
        "unwanted": [], "doctor": {"healthy": True}, "demo": {"passed": True}, "passed": True,
        "commit": None, "machine": {"cpu": "x", "cores": 2}, "versions": {"python": "3.11"},
    }  # fmt: skip
    return good | changes


def test_install_records_are_checked() -> None:
    record.check(installed(), published=True)
    failed = installed(demo={"passed": False}, passed=False)
    record.check(failed)
    with pytest.raises(ValueError, match="did not work"):
        record.check(failed, published=True)
    with pytest.raises(ValueError, match="'passed'"):
        record.check(installed(unwanted=["torch"]))
    with pytest.raises(ValueError, match=r"packages\.count"):
        record.check(installed(packages={"count": 0, "list": [{}]}))


def test_install_refuses_an_impossible_output() -> None:
    done = program("install.py", "--output", "nowhere/install.json")
    assert done.returncode == 1 and "in a folder that exists" in done.stderr


def test_records_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "install.json"
    with pytest.raises(ValueError, match="kind"):
        record.save(path, {"kind": "nothing"})
    assert list(tmp_path.iterdir()) == []
    record.save(path, installed())
    assert json.loads(path.read_text(encoding="utf-8")) == installed()
    assert [one.name for one in tmp_path.iterdir()] == ["install.json"]


def test_jobs_take_turns() -> None:
    calls: list[str] = []
    jobs = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = measure.interleaved(jobs, repeats=3, warm_up=1, pause=0)
    assert "".join(calls) == "baabbaab"  # the first pair is the warm-up; each round begins with another job
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3}


def test_figures() -> None:
    fast = measure.summary(100, [1.0, 2.0, 9.0])
    slow = measure.summary(50, [2.0, 2.0, 3.0])
    assert (fast["median_s"], fast["fps"]) == (2.0, 50.0)
    assert measure.ratio(fast, slow) == {"by_medians": 2.0, "lowest_round": 0.66667, "highest_round": 4.0}
    assert math.isclose(measure.exponent([1, 2, 4], [3, 12, 48]) or 0, 2)
    assert measure.exponent([1, 2], [0.0, 1.0]) is None


def test_a_watched_command_is_not_as_large_as_its_parent(tmp_path: Path) -> None:
    ballast = bytearray(b"x") * (300 << 20)  # 300 MiB that are really there
    env = measure.environment(1)
    small = measure.watched([sys.executable, "-c", "print('here')"], env, tmp_path)
    large = measure.watched([sys.executable, "-c", "len(bytearray(b'x' * 10**8))"], env, tmp_path)
    assert len(ballast) and small["out"] == "here\n" and small["seconds"] > 0
    assert 2e6 < small["peak_bytes"] < 1e8 < large["peak_bytes"] < 3e8
    with pytest.raises(RuntimeError, match="exit code 3: gone"):
        measure.watched(
            [sys.executable, "-c", "import sys; print('gone', file=sys.stderr); sys.exit(3)"], env, tmp_path
        )


def test_published_lifters_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from benchmarks import tables
    from posemend.nn import checkpoint
    from posemend.nn.table import build, options_of

    words = []
    for name, options in (("martinez", {"width": 8}), ("d3dp", {"frames": 5, "width": 8, "depth": 1, "heads": 2})):
        network = build(name, options)
        about = {"network": {"name": name, "options": options_of(network)}, "recipe": {"task": "blind"}}
        checkpoint.save(tmp_path / name / "checkpoint", network.state_dict(), {}, about)
        words.append(f"{name}={tmp_path / name}")
    (tmp_path / "results").mkdir()
    target = tmp_path / "results" / "lifters.json"
    done = program("lifters.py", "--quick", "--threads", 1, "--output", target, *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text())
    assert list(found["lifters"]) == ["martinez", "d3dp"] and "parameters" in done.stdout
    with pytest.raises(ValueError, match="quick try"):
        record.check(found, published=True)
    found["lifters"]["d3dp"]["fps"] *= 2
    with pytest.raises(ValueError, match="not frames by seconds"):
        record.check(found)
    monkeypatch.setattr(tables, "REPOSITORY", tmp_path)
    raw = {"mpjpe_mm": {"all": 51.0, "hidden": 71.04}}
    cells = {"martinez": {given: {"raw": raw} for given in ("gt", "detector")}}
    (tmp_path / "results" / "refiners.json").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    rows = {line.split("|")[1].strip(): line for line in tables._lifters() if line.startswith("| ")}
    assert rows["martinez"].endswith("| 51.0 | 71.0 | 51.0 | 71.0 |") and rows["d3dp"].endswith("| – | – | – | – |")
    assert program("lifters.py", "martinez").returncode == 1
