"""What is drawn from a detector's measured errors has the measured figures, and fitting finds them again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.datasets.procedural import generate
from posemend.errors import FormatError, InputError
from posemend.geometry.camera import Camera
from posemend.occlusion import error_model
from posemend.occlusion.detector import OTHER, SELF, VISIBLE
from posemend.occlusion.error_draw import definition_shift, draw, late, person_size, wander
from posemend.occlusion.error_figures import describe, likeness
from posemend.occlusion.error_fit import fit, fit_memory
from posemend.occlusion.error_model import GROUP_OF, GROUPS, KINDS, LEVELS, RADII, ErrorModel, Memory
from posemend.occlusion.error_samples import Sample, swapped, unswapped

FPS = 50.0


def made_up(**changes) -> ErrorModel:
    """A detector whose visible joints err by 1 % of the person in the median, hidden ones by 3 and 8 %."""
    sigma = dict(zip(KINDS, (0.01, 0.03, 0.08), strict=True))
    middle = dict(zip(KINDS, (0.9, 0.5, 0.3), strict=True))
    model = ErrorModel(
        "made-up", "nobody's",
        {group: (0.05, -0.04, 0.1) if group == "hip" else (0.0, 0.0, 0.0) for group in GROUPS},
        {k: dict.fromkeys(GROUPS, tuple(sigma[k] / 1.1774 * RADII)) for k in KINDS},
        {k: dict.fromkeys(GROUPS, tuple(middle[k] + 0.02 * LEVELS)) for k in KINDS},
        Memory(0.6, 1.0, 0.05), Memory(0.8, 1.0, 0.05), body=0.1, part=0.3,
        score_error={"visible": -0.4, "self": -0.5, "other": 0.0},
    )  # fmt: skip
    return replace(model, **changes)


@pytest.fixture(scope="module")
def person() -> Sample:
    """A minute of somebody who walks and reaches, some limbs hidden now and then; nothing detected yet."""
    world = np.asarray(generate(7, 60.0).positions, float)
    lens = Camera((1100.0, 1100.0), (500, 500), 1000, 1000,
                  np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([0, 1.2, 8.0]))  # fmt: skip
    world = world - np.array([1, 1, 0]) * world[:, :1]
    camera = lens.to_camera(world).astype(np.float32)
    kind = np.zeros(camera.shape[:2], np.int8)
    clock = np.arange(len(kind)) // 40
    for joint, name in enumerate(H36M_17.joints):
        if name.endswith(("knee", "ankle", "elbow", "wrist")):
            kind[:, joint] = np.array([VISIBLE, VISIBLE, SELF, OTHER])[(clock + joint) % 4]
    exact = lens.project(camera).astype(np.float32)
    return Sample("person", exact, np.ones(kind.shape, np.float32), exact, kind, camera, 1100.0, FPS)


def detected(sample: Sample, model: ErrorModel, seed: int = 0) -> Sample:
    shift = definition_shift(model, sample.camera, sample.focal)
    found, score = draw(model, sample.exact, sample.kind, FPS, np.random.default_rng(seed), shift)
    return replace(sample, found=found, score=score)


def test_drawn_errors_have_the_tables_distribution() -> None:
    kind = np.random.default_rng(1).integers(0, 3, (30, 400, 17)).astype(np.int8)
    exact = np.random.default_rng(2).uniform(0, 300, (1, 1, 17, 2)) + np.zeros((30, 400, 1, 1))
    model = made_up()
    found, score = draw(model, exact, kind, FPS, np.random.default_rng(3))
    error = np.linalg.norm(found - exact, axis=-1) / person_size(exact.astype(np.float32))[:, None, None]
    for value, (name, median) in enumerate(zip(KINDS, (0.01, 0.03, 0.08), strict=True)):
        rows = kind == value
        assert np.median(error[rows]) == pytest.approx(median, rel=0.03)
        assert np.quantile(error[rows], 0.95) == pytest.approx(median / 1.1774 * 2.4477, rel=0.05), "Rayleigh"
        assert np.corrcoef(error[rows], score[rows])[0, 1] == pytest.approx(model.score_error[name], abs=0.08)
    again, _ = draw(model, exact, kind, FPS, np.random.default_rng(3))
    assert np.array_equal(found, again)
    assert found.dtype == score.dtype == np.float32


def test_heavy_tails_and_memory_are_kept() -> None:
    tail = (*(0.01 * RADII[:9]), 0.2, 0.3, 0.4, 0.5)  # one joint in about 40 is far off
    model = made_up(errors={kind: dict.fromkeys(GROUPS, tail) for kind in KINDS}, body=0.0, part=0.0)
    exact = np.random.default_rng(2).uniform(0, 300, (1, 1, 17, 2)) + np.zeros((20, 600, 1, 1))
    found, _ = draw(model, exact, np.zeros((20, 600, 17)), FPS, np.random.default_rng(4))
    error = np.linalg.norm(found - exact, axis=-1) / person_size(exact.astype(np.float32))[:, None, None]
    assert (error > 0.2).mean() == pytest.approx(np.exp(-0.5 * 2.7**2), rel=0.15)
    noise = wander((40, 2000, 17, 2), FPS, Memory(0.6, 1.0, 0.05), np.random.default_rng(5))
    assert noise.std() == pytest.approx(1, abs=0.03)
    series = list(noise.reshape(40, 2000, 34))
    curve = likeness(series, FPS)
    assert curve[4] == pytest.approx(0.6 * np.exp(-0.5), abs=0.04), "half a second"
    fitted = fit_memory(curve)
    assert fitted.slow == pytest.approx(0.6, abs=0.07) and fitted.slow_s in (0.7, 1.0, 1.5)
    assert fitted.fast_s in (0.03, 0.05, 0.08)


def test_swaps_and_misses_cover_their_share(person: Sample) -> None:
    model = made_up(swap_share=0.2, swap_s=0.3, miss_share=0.1, miss_s=0.2)
    drawn = [detected(person, model, seed) for seed in range(4)]
    figures = describe(drawn, model)
    assert figures["miss_share"] == pytest.approx(0.1, abs=0.03)
    assert figures["swap_share"] == pytest.approx(0.1, abs=0.03), "either legs or arms"
    put_right = unswapped(drawn[0])
    assert swapped(drawn[0])[0].any() and not swapped(put_right)[0].any()


def test_the_definition_is_that_of_a_moved_joint(person: Sample) -> None:
    from posemend.body.trunk import torso_axes, torso_length

    model = made_up()
    moved = person.camera.copy()
    axes, length = torso_axes(person.camera), torso_length(person.camera)[:, None]
    offset = np.array([0.05, -0.04, 0.1])
    for name, sign in (("l_hip", 1), ("r_hip", -1)):
        moved[:, H36M_17.index(name)] += (axes @ (offset * [sign, 1, 1])) * length
    wanted = moved[..., :2] / moved[..., 2:] * person.focal - person.camera[..., :2] / person.camera[..., 2:] * 1100
    assert np.abs(definition_shift(model, person.camera, person.focal) - wanted).max() < 0.2, "pixels"
    assert np.abs(wanted).max() > 5


def test_fitting_finds_what_was_drawn(person: Sample) -> None:
    model = made_up(swap_share=0.04, swap_s=0.2, lag_s=0.04, miss_share=0.02, miss_s=0.2)
    found = fit([detected(person, model, seed) for seed in range(3)], "again", "drawn")
    for group in GROUPS:
        assert np.abs(np.subtract(found.definition[group], model.definition[group])).max() < 0.03, group
    assert found.lag_s == pytest.approx(0.04, abs=0.015)
    assert found.swap_share == pytest.approx(0.04, abs=0.02)
    assert found.miss_share == pytest.approx(0.02, abs=0.015)
    assert found.swap_s == pytest.approx(0.2, rel=0.4)
    for kind in KINDS:
        for group in ("knee", "ankle", "elbow", "wrist"):
            assert found.errors[kind][group][4] == pytest.approx(model.errors[kind][group][4], rel=0.3), (kind, group)
            assert found.scores[kind][group][6] == pytest.approx(model.scores[kind][group][6], abs=0.05)
    assert found.score_error["visible"] == pytest.approx(-0.4, abs=0.12)
    assert found.body == pytest.approx(0.1, abs=0.08) and found.part == pytest.approx(0.3, abs=0.12)
    assert found.memory.slow == pytest.approx(0.6, abs=0.2)
    assert found.measured["frames"] == 3 * len(person.exact)


def test_trunk_joints_called_hidden_are_not_believed(person: Sample) -> None:
    """BlendMimic3D calls hips hidden in plain view: their hidden errors follow the limbs' instead."""
    kind = person.kind.copy()
    kind[:, GROUPS.index("hip") == GROUP_OF] = np.where(np.arange(len(kind)) % 80 < 40, SELF, VISIBLE)[:, None]
    flagged = replace(person, kind=kind)
    plain = detected(replace(person, kind=person.kind * (GROUPS.index("hip") != GROUP_OF)), made_up())
    found = fit([replace(flagged, found=plain.found, score=plain.score)], "again", "drawn")
    assert found.errors["self"]["hip"][4] > 2 * found.errors["visible"]["hip"][4]


def test_late_is_linear_between_frames() -> None:
    line = np.arange(10, dtype=np.float32)[:, None, None] * np.ones((1, 17, 2), np.float32)
    assert np.allclose(late(line, 2.25)[5:, 0, 0], np.arange(5, 10) - 2.25)
    assert late(line, 2.25)[0, 0, 0] == 0


def test_models_are_files(tmp_path: Path) -> None:
    model = made_up()
    path = tmp_path / "mine.json"
    path.write_text(error_model.to_json(model), encoding="utf-8")
    assert error_model.load(str(path)) == model
    assert "mediapipe" in error_model.names()
    for name in error_model.names():
        shipped = error_model.load(name)
        assert shipped.name == name
        assert shipped.errors["visible"]["wrist"][4] < shipped.errors["other"]["wrist"][4]
    with pytest.raises(InputError, match=r"No detector is called 'mediapipes'\. There are: .*mediapipe"):
        error_model.load("mediapipes")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.pop("memory"), "memory"),
        (lambda table: table.update(format="other"), "posemend-detector"),
        (lambda table: table["errors"]["self"]["hip"].reverse(), "errors cannot be"),
        (lambda table: table["errors"].pop("other"), "errors cannot be"),
        (lambda table: table.update(swap_share=1.5), "swap_share"),
        (lambda table: table.update(extra=1), "extra"),
    ],
)
def test_broken_models_are_refused(tmp_path: Path, change, told: str) -> None:
    table = json.loads(error_model.to_json(made_up()))
    change(table)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises((FormatError, InputError), match=told):
        error_model.load(str(path))


def test_what_cannot_be_drawn_or_fitted_is_refused(person: Sample) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="Wanted positions"):
        draw(made_up(), np.zeros((5, 16, 2)), np.zeros((5, 16)), FPS, rng)
    with pytest.raises(InputError, match="one frame rate"):
        fit([], "none", "nothing")
    blind = replace(person, score=person.score * (GROUPS.index("wrist") != GROUP_OF))
    with pytest.raises(InputError, match="hardly ever finds 'wrist'"):
        fit([blind], "blind", "nothing")


def test_a_sample_wants_a_camera_and_every_frame(person: Sample) -> None:
    lens = Camera((1100.0, 1100.0), (500, 500), 1000, 1000)
    frames = 60
    keypoints = Pose2D(person.exact[:frames], H36M_17, visible=person.kind[:frames] == 0, width=1000, height=1000,
                       fps=FPS, camera=lens)  # fmt: skip
    camera = person.camera[:frames]
    truth = Pose3D(camera - camera[:, :1], H36M_17, visible=keypoints.visible, fps=FPS, frame="root", root=camera[:, 0])
    take = Take(keypoints, truth, "S1", "A", "Cam_0")
    sample = Sample.of(take, keypoints)
    assert np.array_equal(sample.kind > 0, person.kind[:frames] > 0) and not (sample.kind == OTHER).any()
    with pytest.raises(InputError, match="Detect every frame"):
        Sample.of(take, keypoints[: frames - 20])
    with pytest.raises(InputError, match="Detect every frame"):
        Sample.of(take, replace(keypoints, fps=25.0))
    with pytest.raises(InputError, match="no camera"):
        Sample.of(Take(replace(keypoints, camera=None), truth, "S1", "A", "Cam_0"), keypoints)
