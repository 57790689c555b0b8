"""The benchmark of real detections, on made-up ones: what was put in is found, and the record says so."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import detections, record
from posemend import Pose2D, write
from posemend.body.catalogue import H36M_17
from posemend.datasets import blendmimic3d
from posemend.errors import InputError
from posemend.occlusion import error_model
from posemend.occlusion.detector import OTHER, SELF
from posemend.occlusion.error_draw import definition_shift, draw


@pytest.fixture(scope="module")
def made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """BlendMimic3D's folder, and keypoints that the shipped MediaPipe model drew for its five videos."""
    root, folder = shared_data / "blendmimic3d", tmp_path_factory.mktemp("detections")
    model = error_model.load("mediapipe")
    for number, clip in enumerate((*detections.FITTED, *detections.CHECKED)):
        subject, rest = clip.split("/")
        action, camera = rest.rsplit("_", 1)
        take = blendmimic3d.read(root, [subject], [action], [int(camera)])[0]
        view = take.keypoints.camera
        assert view is not None and take.truth.root is not None
        points = (take.truth.positions + take.truth.root[:, None]).astype(np.float32)
        shift = definition_shift(model, points, view.focal[0])
        kind = detections.kind_of(take)
        found, score = draw(model, take.keypoints.positions, kind, 50.0, np.random.default_rng(number), shift)
        (folder / subject).mkdir(exist_ok=True)
        write(folder / subject / f"{rest}.npz", Pose2D(found, H36M_17, score=score, fps=50, width=1000, height=1002))
    return root, folder


def test_the_record_and_the_model(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder = made
    words = ["--root", str(root), "--detections", f"again={folder}", "--about", "again=drawn", "--draws", "2"]
    assert detections.main([*words, "--models", str(tmp_path), "-o", str(tmp_path / "record.json")]) == 0
    assert "again: drawn" in capsys.readouterr().out
    found = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    record.check(found, published=True)
    row = found["detectors"]["again"]
    assert row["check"]["closeness"]["typical_factor"] < 1.6, "drawn from what is fitted"
    assert len(row["splits"]) == 6, "one clip with objects on either side"
    known, fitted = error_model.load("mediapipe"), error_model.load(str(tmp_path / "again.json"))
    for group in ("hip", "knee", "elbow", "wrist"):
        apart = np.abs(np.subtract(known.definition[group], fitted.definition[group]))
        assert apart.max() < 0.08, group
        assert fitted.errors["visible"][group][4] == pytest.approx(known.errors["visible"][group][4], rel=0.35)
    bent = copy.deepcopy(found)
    bent["settings"]["checked"][0] = bent["settings"]["fitted"][0]
    with pytest.raises(ValueError, match="fitted on and checked on"):
        record.check(bent)
    bent = copy.deepcopy(found)
    bent["detectors"]["again"]["check"]["closeness"]["quantile_ratios"]["limbs_visible"]["0.5"] *= 1.5
    with pytest.raises(ValueError, match="not those of its quantiles"):
        record.check(bent)


def test_a_video_without_detections_is_named(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"S1/PickingObjects_0\.\* \(detections of that video\)"):
        detections.read_sample(made[0], tmp_path, "S1/PickingObjects_0")


def test_what_hides_is_told_by_rays(shared_data: Path) -> None:
    alone = blendmimic3d.read(shared_data / "blendmimic3d", ["S1"], ["WalkCircle"], [0])[0]
    kind = detections.kind_of(alone)
    assert (kind == SELF).any() and not (kind == OTHER).any(), "S1 has no objects"
    things = blendmimic3d.read(shared_data / "blendmimic3d", ["S2"], ["GatheringObjects"], [0])[0]
    kind = detections.kind_of(things)
    assert (kind == SELF).any() and (kind == OTHER).any()
    assert np.array_equal(kind == 0, things.truth.visible)
