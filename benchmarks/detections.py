"""How a real 2D detector errs on BlendMimic3D's videos, and how near a fitted model comes to it.

    python -m benchmarks.detections --root BlendMimic3D --detections mediapipe=FOLDER movenet=FOLDER \
        -o results/detections.json --models posemend/occlusion/detectors

A FOLDER holds one file of detections per video, named like the video: ``S1/WalkCircle_0.npz`` (or any other kind of
keypoint file that posemend reads). ``detect_mediapipe.py`` and ``detect_movenet.mjs`` make such folders.

The model is fitted on ``FITTED`` and held against ``CHECKED``; each part has joints hidden by the body and by objects,
and the action of the validation split (WalkCircle) is not fitted on. A joint that S2's flags call hidden counts as
self-occluded where posemend's own rays say that the body hides it, else as hidden by an object. In the check the
detector is drawn anew for the same people, and both are measured alike; beside it stand the fixed detector of the
evaluation protocol and the noise that recipes train on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import record
from benchmarks.flags import Clip, anatomy, met
from posemend.body.catalogue import H36M_17
from posemend.body.pose import Take
from posemend.datasets import blendmimic3d
from posemend.errors import InputError
from posemend.formats.reading import read_people
from posemend.occlusion import error_draw, error_figures, error_fit, error_model
from posemend.occlusion.detector import OTHER, SELF, VISIBLE, hidden_kind, simulate_arrays
from posemend.occlusion.error_model import ErrorModel
from posemend.occlusion.error_samples import Sample
from posemend.occlusion.figure import Build
from posemend.occlusion.labels import SLACK

REPOSITORY = Path(__file__).resolve().parents[1]
FITTED = ("S1/PickingObjects_0", "S1/PickingObjects_1", "S2/GatheringObjects_0")
CHECKED = ("S1/WalkCircle_0", "S2/PickingObjects_0")
DRAWS = 20
ABOUT = {
    "mediapipe": "MediaPipe Pose 0.10.21, full model, with its tracking and smoothing",
    "movenet": "MoveNet Lightning, frame by frame, nothing smoothed",
}
Drawn = Callable[[Sample, np.random.Generator], Sample]


def read_sample(root: Path, folder: Path, clip: str) -> Sample:
    """One video's truth and detections.

    Raises:
        InputError: No such file.
    """
    subject, rest = clip.split("/")
    action, camera = rest.rsplit("_", 1)
    files = sorted(path for path in (folder / subject).glob(f"{rest}.*") if path.is_file())
    if not files:
        raise InputError(f"Looked for {folder / subject / rest}.* (detections of that video), which is not there.")
    take = blendmimic3d.read(root, [subject], [action], [int(camera)])[0]
    found = read_people(files[0])[0]
    return replace(Sample.of(take, found, kind_of(take)), name=clip)  # type: ignore[arg-type]


def kind_of(take: Take) -> NDArray[np.int8]:
    """(T, 17) what hides the joints: flags say whether, rays against the body say whether it is the body."""
    camera = take.keypoints.camera
    assert camera is not None and take.truth.root is not None
    kind = hidden_kind(take)
    world = camera.to_world(take.truth.positions + take.truth.root[:, None])
    clip = Clip(take.action, world, camera.to_world(np.zeros(3)), kind != VISIBLE)
    by_body = anatomy(*met([clip], Build()), SLACK)
    return np.where((kind == OTHER) & by_body, SELF, kind).astype(np.int8)


def fitted(model: ErrorModel) -> Drawn:
    """The detector drawn from a model."""

    def drawn(sample: Sample, rng: np.random.Generator) -> Sample:
        shift = error_draw.definition_shift(model, sample.camera, sample.focal)
        quality = float(np.exp(rng.normal(0, model.spread)))
        found, score = error_draw.draw(model, sample.exact, sample.kind, sample.fps, rng, shift, quality)
        return replace(sample, found=found, score=score)

    return drawn


def protocol(sample: Sample, rng: np.random.Generator) -> Sample:
    """The fixed detector of the evaluation protocol."""
    found, score = simulate_arrays(sample.exact, sample.kind, 1000.0, sample.fps, H36M_17, rng)
    return replace(sample, found=found, score=score)


def trained(sample: Sample, rng: np.random.Generator) -> Sample:
    """What recipes train on."""
    from posemend.training.hiding import Hiding, detector_errors
    from posemend.training.views import project

    one = np.ones(1, np.float32)
    seen = project(sample.camera[None], one * sample.focal / 1000, np.ones((1, 2), np.float32), one > 0)
    rays, score = detector_errors(seen, (sample.kind != VISIBLE)[None], sample.fps, Hiding(), rng)
    middle = sample.exact - seen.rays[0] * sample.focal
    return replace(sample, found=(rays[0] * sample.focal + middle).astype(np.float32), score=score[0])


def simulated(samples: Sequence[Sample], drawn: Drawn, model: ErrorModel, draws: int) -> dict[str, Any]:
    """Figures of many draws together."""
    rng = np.random.default_rng(0)
    return error_figures.describe([drawn(sample, rng) for _ in range(draws) for sample in samples], model)


def closeness(real: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """Made over real: error quantiles (ratios) of limbs and of all visible joints, and differences of the rest."""
    found: dict[str, Any] = {}
    for name, kinds in (("all", ("visible",)), ("limbs", error_model.KINDS)):  # what is believed of the flags
        for kind in kinds:
            a, b = real["groups"][name][kind], made["groups"][name][kind]
            if a and b:
                found[f"{name}_{kind}"] = {key: b["quantiles"][key] / a["quantiles"][key] for key in a["quantiles"]}
    ratios = [value for row in found.values() for value in row.values()]
    return {
        "quantile_ratios": found,
        "typical_factor": float(np.exp(np.mean(np.abs(np.log(ratios))))),
        "worst_factor": float(np.exp(np.max(np.abs(np.log(ratios))))),
        "auc_difference": {k: _less(made["auc"][k], real["auc"][k]) for k in real["auc"]},
        "score_error_difference": {k: made["score_error"][k] - real["score_error"][k] for k in error_model.KINDS},
        "memory_difference": {k: made["memory"][k] - real["memory"][k] for k in real["memory"]},
        "swap_share_difference": made["swap_share"] - real["swap_share"],
        "miss_share_difference": made["miss_share"] - real["miss_share"],
    }


def _less(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def splits(samples: Sequence[Sample], draws: int) -> list[dict[str, Any]]:
    """Closeness over every split of three clips and two that leaves one clip with objects in each part."""
    rows = []
    for parts in combinations(samples, len(FITTED)):
        rest = [sample for sample in samples if sample not in parts]
        if not all(any((sample.kind == OTHER).any() for sample in part) for part in (parts, rest)):
            continue
        model = error_fit.fit(parts, "split", "a split")
        plain = replace(model, definition=dict.fromkeys(error_model.GROUPS, (0.0, 0.0, 0.0)), lag_s=0.0)
        real = error_figures.describe(rest, plain)
        row: dict[str, Any] = {"fitted": [sample.name for sample in parts]}
        for key, drawn in (("model", fitted(model)), ("protocol", protocol), ("training", trained)):
            near = closeness(real, simulated(rest, drawn, plain, draws))
            row[key] = {k: near[k] for k in ("typical_factor", "worst_factor", "auc_difference")}
            row[key]["memory_1s_difference"] = near["memory_difference"]["1.0"]
        rows.append(row)
    return rows


def measure(root: Path, name: str, folder: Path, about: str, draws: int = DRAWS) -> tuple[dict[str, Any], ErrorModel]:
    """One detector's part of the record, and its model."""
    learn = [read_sample(root, folder, clip) for clip in FITTED]
    check = [read_sample(root, folder, clip) for clip in CHECKED]
    model = error_fit.fit(learn, name, about)
    plain = replace(model, definition=dict.fromkeys(error_model.GROUPS, (0.0, 0.0, 0.0)), lag_s=0.0)
    real, real_plain = error_figures.describe(check, model), error_figures.describe(check, plain)
    made = simulated(check, fitted(model), model, draws)
    others = {"protocol": protocol, "training": trained}
    return {
        "about": about,
        "fitted_on": error_figures.describe(learn, model),
        "by_clip": {sample.name: short(error_figures.describe([sample], model)) for sample in (*learn, *check)},
        "check": {
            "real": short(real),
            "simulated": short(made),
            "closeness": closeness(real, made),
            # errors as a network meets them: what the detector means by a joint is part of them
            "with_definition": {
                "real": short(real_plain),
                "closeness": {
                    "fitted": closeness(real_plain, simulated(check, fitted(model), plain, draws)),
                    **{key: closeness(real_plain, simulated(check, one, plain, draws)) for key, one in others.items()},
                },
            },
        },
        "splits": splits([*learn, *check], max(1, draws // 4)),
    }, model  # fmt: skip


def short(figures: dict[str, Any]) -> dict[str, Any]:
    """Without single joint groups."""
    return figures | {"groups": {name: figures["groups"][name] for name in ("limbs", "all")}}


def table(name: str, found: dict[str, Any], model: ErrorModel) -> None:
    """A short table for people: per cent of the person's size."""
    print(f"\n{name}: {found['about']}")
    print(
        f"{'group':9} {'definition':>21} | "
        + " | ".join(f"{k + ': median 90% 99% score':>28}" for k in error_model.KINDS)
    )
    for group in (*error_model.GROUPS, "limbs", "all"):
        cells = []
        for kind in error_model.KINDS:
            row = found["fitted_on"]["groups"][group][kind]
            text = "-" if row is None else "".join(f"{row['quantiles'][q]:7.2f}" for q in ("0.5", "0.9", "0.99"))
            cells.append(f"{text if row is None else text + format(row['score']['0.5'], '7.2f'):>28}")
        meant = "".join(f"{v:7.3f}" for v in model.definition.get(group, ())) or "-"
        print(f"{group:9} {meant:>21} | " + " | ".join(cells))
    for label, part in (("fitted on", found["fitted_on"]), ("check, real", found["check"]["real"]),
                        ("check, drawn", found["check"]["simulated"])):  # fmt: skip
        memory = " ".join(f"{key}s {part['memory'][key]:.2f}" for key in ("0.04", "0.2", "1.0"))
        area = " ".join(f"{key} {'-' if value is None else format(value, '.2f')}" for key, value in part["auc"].items())
        ties = " ".join(f"{key} {value:.2f}" for key, value in part["score_error"].items())
        print(f"{label:12} swaps {100 * part['swap_share']:.2f} % of {part['swap_s']:.2f} s, misses "
              f"{100 * part['miss_share']:.2f} %, memory {memory}; score: AUC {area}, with error {ties}")  # fmt: skip
    near = {"errors alone": found["check"]["closeness"], **found["check"]["with_definition"]["closeness"]}
    print("quantiles of errors, drawn over real on the check clips (1 = equal)")
    for key, other in near.items():
        area = other["auc_difference"]
        print(f"  {key:13} typically off by {other['typical_factor']:.2f}, at worst {other['worst_factor']:.2f}; "
              f"off by {area['self']:+.2f} and {area['other']:+.2f} in AUC (self, other), by "
              f"{other['memory_difference']['0.02']:+.2f} and {other['memory_difference']['1.0']:+.2f} in memory "
              "(0.02 and 1 s)")  # fmt: skip
    for key in ("model", "protocol", "training"):
        factors = sorted(row[key]["typical_factor"] for row in found["splits"])
        print(f"  {key} over {len(factors)} splits: typically off by {factors[0]:.2f} to {factors[-1]:.2f}")


def main(words: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of BlendMimic3D")
    parser.add_argument("--detections", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--about", nargs="*", default=[], metavar="NAME=TEXT", help="which detector it is")
    parser.add_argument("--draws", type=int, default=DRAWS, help="simulated passes over the check clips")
    parser.add_argument("--models", type=Path, help="folder to write the fitted models to")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args(words)
    record.check_target(given.output)
    about = ABOUT | dict(text.split("=", 1) for text in given.about)
    result: dict[str, Any] = {"kind": "detections", "schema": record.SCHEMA, **record.facts(REPOSITORY, ("numpy",))}
    result |= {"settings": {"fitted": list(FITTED), "checked": list(CHECKED), "draws": given.draws}, "detectors": {}}
    for pair in given.detections:
        name, _, folder = pair.partition("=")
        found, model = measure(given.root, name, Path(folder), about.get(name, name), given.draws)
        result["detectors"][name] = found
        table(name, found, model)
        if given.models:
            (given.models / f"{name}.json").write_text(error_model.to_json(model), encoding="utf-8")
    record.save(given.output, rounded(result))
    return 0


def rounded(value: Any) -> Any:
    """Four digits of every figure."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    raise SystemExit(main())
