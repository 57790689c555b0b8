"""What ``evaluate`` judges: a bundle's chain, another lifter, or poses out of files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posemend.body.pose import Pose2D, Pose3D, Take

    Predict = Callable[[Pose2D], Pose3D]
    Refine = Callable[[Pose3D, Pose2D], Pose3D]


@dataclass(frozen=True)
class Judged:
    """What is judged: a lifter, perhaps what a refiner makes of it, and their name for the record."""

    label: str
    raw: Predict
    refine: Refine | None


def judged(
    takes: list[Take], bundle: str, predictions: Path | None, lifter: str | None, refine: bool | None, blind: bool
) -> Judged:
    """What the options of ``evaluate`` ask for."""
    from posemend.errors import InputError

    if predictions is not None and lifter is not None:
        raise InputError("--predictions and --lifter exclude each other. Give one of them.")
    if blind and (predictions is not None or refine):
        raise InputError("--blind lifts without occlusion handling; it goes with neither --predictions nor --refine.")
    if predictions is not None:
        found = Judged(f"predictions {predictions.name}", _from_files(predictions, takes), _refiner(bundle))
        return found if refine else replace(found, refine=None)
    if lifter is not None:
        found = Judged(lifter.split("=")[0], other_lifter(lifter), _refiner(bundle))
    else:
        found = Judged(f"bundle {label(bundle)}", *_chain(bundle, refine is not False and not blind))
    if blind:
        return Judged(f"{found.label}, blind", _blind(found.raw), None)
    return found if refine is not False else replace(found, refine=None)


def label(bundle: str) -> str:
    """A bundle's name for the record; of a folder its last part, so that no machine's paths are recorded."""
    return Path(bundle).name


def _chain(bundle: str, refine: bool) -> tuple[Predict, Refine]:
    """Lifter and refiner of a bundle, run together: what was lifted is kept until it is asked for refined."""
    from posemend.runtime import pipeline

    last: list[Any] = [None]

    def lifted(keypoints: Pose2D) -> Pose3D:
        last[0] = pipeline.run([keypoints], bundle=bundle, refine=refine)[0]
        return last[0].lifted

    return lifted, lambda pose, keypoints: last[0].refined


def _blind(lift: Predict) -> Predict:
    """The same lifter, told nothing of occlusion."""
    from posemend.filters import fill_gaps

    return lambda keypoints: lift(fill_gaps(keypoints))


def _refiner(bundle: str) -> Refine:
    def repaired(pose: Pose3D, keypoints: Pose2D) -> Pose3D:
        from posemend.runtime.apply import refine

        return refine(pose, keypoints, bundle=bundle)

    return repaired


def other_lifter(name: str) -> Predict:
    """A published lifter with its published weights or with ours, as a function of keypoints."""
    from posemend.errors import InputError, require

    kind, _, file = name.partition("=")
    if not kind or not file:
        raise InputError(f"--lifter wants NAME=FILE, such as semgcn=ckpt_semgcn.pth.tar; got '{name}'.")
    require("torch", "train")
    from posemend.nn.published import plain_lifter

    return plain_lifter(kind, file)


def _from_files(folder: Path, takes: list[Take]) -> Predict:
    """Predictions out of files, one per take; all are looked for before anything is judged."""
    from posemend.body.pose import Pose3D
    from posemend.errors import InputError
    from posemend.formats import read

    files = {take.name: folder / f"{take.name}.npz" for take in takes}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(files)} predictions are missing, the first is '{missing[0]}'. "
            "Wanted: one 3D .npz per clip, SUBJECT/ACTION/CAMERA.npz in the folder."
        )

    def predict(keypoints: Pose2D) -> Pose3D:
        pose = read(files[keypoints.name])
        if not isinstance(pose, Pose3D):
            raise InputError(f"'{files[keypoints.name]}' holds 2D keypoints; a 3D pose is wanted.")
        return pose

    return predict
