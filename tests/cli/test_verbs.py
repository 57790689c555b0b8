"""What the verbs write and say, with a chain that needs no model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import posemend
from posemend.cli.output import plain
from tests.cli.conftest import seen, standing


def test_run_writes_what_was_refined(call, keypoints: Path, chain) -> None:
    said = call("run", keypoints, "-o", "out.npz", "--json")
    assert said.code == 0
    (person,) = said.json["people"]
    assert person["frames"] == 12 and person["fps"] == 25 and person["skeleton"] == "h36m_17"
    assert person["hidden_share"] == pytest.approx(1 / 17)
    assert Path(person["file"]).name == "out.npz"
    assert chain == [{"people": 1, "bundle": "default", "refine": True}]
    found = posemend.read("out.npz")
    np.testing.assert_allclose(found.positions, standing().positions + 0.01, atol=1e-6)


def test_doubtful_sides_are_remarked_and_exchanged_on_request(
    call, keypoints: Path, chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    import posemend.runtime

    def run(people, bundle, refine, progress=None):
        # whoever has the left hip on the right side of the picture is lifted with limbs that bend the wrong way
        person = people[0]
        left, right = (person.positions[0, person.skeleton.index(hip), 0] for hip in ("l_hip", "r_hip"))
        pose = standing(60, bend=0.1 if left < right else -0.1)
        return [SimpleNamespace(keypoints=person, lifted=pose, refined=pose)]

    monkeypatch.setattr(posemend.runtime.pipeline, "run", run)
    said = call("run", keypoints, "-o", "out.npz", "--json")
    assert said.code == 0
    assert "--fix-handedness" in said.json["warnings"][0]
    assert "posemend: warning:" in call("run", keypoints, "-o", "out.npz").err
    said = call("run", keypoints, "-o", "out.npz", "--fix-handedness", "--json")
    assert "exchanged" in said.json["warnings"][0]
    knee = posemend.skeleton("h36m_17").index("l_knee")
    assert posemend.read("out.npz").positions[0, knee, 2] < 0


def test_lift_is_run_without_refining(call, keypoints: Path, chain) -> None:
    assert call("lift", keypoints, "-o", "a.npz", "--bundle", "research").code == 0
    assert call("run", keypoints, "-o", "b.npz", "--no-refine").code == 0
    assert [entry["refine"] for entry in chain] == [False, False]
    assert chain[0]["bundle"] == "research"
    np.testing.assert_allclose(posemend.read("a.npz").positions, standing().positions, atol=1e-6)
    np.testing.assert_array_equal(posemend.read("a.npz").positions, posemend.read("b.npz").positions)


def test_people_get_a_file_each(call, tmp_path: Path, chain) -> None:
    frames = tmp_path / "people"
    frames.mkdir()
    person = [value for joint in range(25) for value in (600 + joint, 300 + 7 * joint, 0.9)]
    for number in range(4):
        people = [{"pose_keypoints_2d": [p + 500 * (i % 3 == 0) * k for i, p in enumerate(person)]} for k in (0, 1)]
        text = json.dumps({"version": 1.3, "people": people})
        (frames / f"clip_{number:012d}_keypoints.json").write_text(text)
    size = ("--fps", 25, "--width", 1920, "--height", 1080)
    said = call("run", frames, "-o", "out.npz", *size, "--json")
    assert said.code == 0, said.err
    assert [Path(one["file"]).name for one in said.json["people"]] == ["out.p0.npz", "out.p1.npz"]
    said = call("run", frames, "-o", "one.npz", *size, "--person", 1, "--json")
    assert [Path(one["file"]).name for one in said.json["people"]] == ["one.npz"]


def test_run_can_write_a_page(call, keypoints: Path, chain) -> None:
    assert call("run", keypoints, "-o", "out.npz", "--html", "page.html").code == 0
    assert Path("page.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html")


def test_refine_passes_keypoints_on(call, pose: Path, keypoints: Path, chain) -> None:
    said = call("refine", pose, "--keypoints", keypoints, "-o", "out.npz", "--html", "page.html", "--json")
    assert said.code == 0, said.err
    assert said.json["verb"] == "refine"
    np.testing.assert_array_equal(chain[0]["keypoints"].visible, seen().visible)
    assert call("refine", pose, "-o", "out.npz").code == 0
    assert chain[1]["keypoints"] is None


def test_convert_changes_skeleton_and_format(call, pose: Path) -> None:
    said = call("convert", pose, "out.json", "--to", "coco_17")
    assert said.code == 0, said.err
    found = posemend.read("out.json")
    assert found.skeleton.name == "coco_17"
    knee = posemend.skeleton("coco_17").index("l_knee")
    np.testing.assert_allclose(found.positions[0, knee], (0.14, 0.45, -0.1), atol=1e-4)
    assert "out.json" in said.out
    assert call("convert", pose, "other.npz", "--to", "coco17x").code == 2


def test_view_draws_poses_with_truth(call, pose: Path, keypoints: Path) -> None:
    posemend.write("refined.npz", standing())
    said = call("view", pose, "refined.npz", keypoints, "--truth", pose, "-o", "page.html", "--json")
    assert said.code == 0, said.err
    assert Path(said.json["html"]).is_file()
    assert [one["name"] for one in said.json["poses"]] == ["pose", "refined"]


def test_doctor_answers(call) -> None:
    said = call("doctor", "--json")
    checks = {check["name"]: check for check in said.json["checks"]}
    assert {"python", "numpy", "onnxruntime", "bundle default", "torch", "browser", "disk"} <= set(checks)
    assert all(check["state"] in ("ok", "missing", "broken") for check in checks.values())
    assert said.code == (0 if said.json["healthy"] else 1)
    assert "onnxruntime" in call("doctor").out


def test_doctor_survives_a_broken_package(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said = call("doctor", "--json")
    (check,) = [check for check in said.json["checks"] if check["name"] == "onnxruntime"]
    assert said.code == 1
    assert check["state"] == "broken" and check["cure"]


def test_progress_never_reaches_standard_output(call, keypoints: Path, chain) -> None:
    said = call("run", keypoints, "-o", "out.npz", "--json")
    json.loads(said.out)
    assert said.err == ""


def test_numbers_that_cannot_be_had_are_null() -> None:
    assert plain({"a": [float("nan"), np.float32("inf"), np.arange(2)], "b": Path("x")}) == {
        "a": [None, None, [0, 1]],
        "b": "x",
    }


def test_an_interrupt_is_not_a_traceback(call, keypoints: Path, chain, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    import posemend.runtime

    monkeypatch.setattr(posemend.runtime.pipeline, "run", stop)
    said = call("run", keypoints, "-o", "out.npz")
    assert said.code == 130 and "Traceback" not in said.err
    assert not Path("out.npz").exists()
