"""``calibrate``: measure how well a set's stated errors hold, and write the correction on its cards."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from posemend.cli import options, output

if TYPE_CHECKING:
    from posemend.body.pose import Pose2D, Pose3D, Take

GIVEN = ("gt", "gt+flags", "missing", "detector", "detector, doubted joints left out")
OTHERS_GIVEN = ("gt+flags", "missing", "detector")  # with these, other tools' poses are refined as well


def calibrate(
    bundle: str,
    *,
    root: Annotated[Path, Parameter(help="Folder of the data, as in recipes: holds blendmimic3d/ and motion/packs/.")],
    clips: Annotated[int, Parameter(help="How many clips to measure on, at most.")] = 48,
    seed: Annotated[int, Parameter(help="Seed of all chance.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Make a set's stated errors hold: measured on clips that it was not judged by, written on its cards.

    Measures lifting, refining what was lifted, and refining other tools' poses with and without keypoints, for clean
    and noisy keypoints and for joints seen, doubted and absent apart. Takes one to three minutes.

    Args:
        bundle: 'default', 'research', or a folder with lift/ and refine/.
    """
    from posemend.contract.card import TASKS, find, read_card, write_card
    from posemend.errors import InputError

    if clips < 1:
        raise InputError(f"--clips wants a number above 0, got {clips}.")
    folders = {task: find(bundle, task) for task in TASKS}
    place = Path(bundle)
    own = {task: folder for task, folder in folders.items() if not place.is_dir() or folder in (place, place / task)}
    from posemend.evaluation.calibration import CalibrationTally
    from posemend.training import calibrating

    with output.working("gathering clips", as_json):
        split = calibrating.split(read_card(folders["lift"]).recipe, root, clips, seed)
    tally = CalibrationTally()
    with tempfile.TemporaryDirectory(prefix="posemend-calibrate-") as name, output.counting(
        "measuring", as_json
    ) as progress:  # fmt: skip
        plain = uncalibrated(folders, Path(name))
        for done, take in enumerate(split.takes, 1):
            for turn, given in enumerate(GIVEN):
                _measure(tally, take, given, plain, seed + done + turn // 2)
            if progress is not None:
                progress(done, len(split.takes))
    found = tally.fit(f"{split.data}; seed {seed}")
    for task, folder in own.items():
        routes = {route: table for route, table in found["routes"].items() if (route == "lift") == (task == "lift")}
        write_card(folder, replace(read_card(folder), calibration={**found, "routes": routes}))
    if as_json:
        output.print_json({"verb": "calibrate", "bundle": bundle, "cards": list(own.values()), **found})
        return
    rows = [
        [route, given, state, f"{table['scale'][state]:.2f}", f"{radius:.2f}", str(table["joint_frames"][state])]
        for route, inputs in found["routes"].items()
        for given, table in inputs.items()
        for state in table["scale"]
        for radius in [table["radius_over_sigma"]["seen" if state == "seen" else "hidden"][2]]
    ]
    output.print_table(
        split.data, ["route", "keypoints", "joint", "scale", "90 % radius / sigma", "joint-frames"], rows
    )
    print(f"Written: {', '.join(str(folder / 'card.json') for folder in own.values())}")


def uncalibrated(folders: dict[str, Path], place: Path) -> str:
    """A copy of a set whose cards have no calibration, to measure what the networks state by themselves."""
    from posemend.contract.card import read_card, write_card

    for task, folder in folders.items():
        shutil.copytree(folder, place / task)
        write_card(place / task, replace(read_card(folder), calibration={}))
    return str(place)


def _measure(tally: Any, take: Take, given: str, bundle: str, seed: int) -> None:
    """One clip, one kind of keypoints, by every route."""
    from posemend.contract.certainty import noise_of, states
    from posemend.contract.codec import SEEN, interleave, trusted_score
    from posemend.errors import HandednessError
    from posemend.evaluation.compare import compare
    from posemend.metrics import MM
    from posemend.runtime.apply import lift_with_view, refine

    keypoints = _keypoints(take, given)
    score = trusted_score(keypoints)
    if not (score > 0).any():
        return
    lifted = lift_with_view(keypoints, bundle)
    noise = noise_of(lifted.view.joints[:: interleave(keypoints.fps)])
    poses: list[tuple[str, Pose3D, Any]] = [
        ("lift", lifted.pose, score >= SEEN),
    ]
    if given in OTHERS_GIVEN:
        raw = _other(take, keypoints, bundle, seed)
        told = take.truth.visible if given == "gt+flags" else raw.visible
        with contextlib.suppress(HandednessError):  # spoilt so much that refinement refuses it
            poses.append(("keypoints", refine(raw, keypoints, bundle=bundle), score >= SEEN))
            poses.append(("alone", refine(raw, visible=told, bundle=bundle), told))
    for route, pose, seen in poses:
        compared = compare(take, pose)
        assert compared.sigma is not None
        scored = compared.scored
        state = states(seen, score == 0 if route != "alone" else score < 0)[scored]
        alone = route == "alone"  # nobody knows its keypoints: one case for all, as at run time
        tally.add(route, compared.errors()[scored], compared.sigma[scored] * MM, state, 1.0 if alone else noise)


def _keypoints(take: Take, given: str) -> Pose2D:
    import numpy as np

    from posemend.contract.codec import SEEN
    from posemend.occlusion.hide import keypoints_for

    kind, _, rest = given.partition(",")
    keypoints = keypoints_for(take, kind, seed=1)  # another seed than the one that judges
    if not rest:
        return keypoints
    return replace(keypoints, score=np.where(keypoints.score >= SEEN, keypoints.score, 0))


def _other(take: Take, keypoints: Pose2D, bundle: str, seed: int) -> Pose3D:
    """Another lifter's pose, as far as that can be had here: by turns spoilt truth, and our own lifter told nothing."""
    import numpy as np

    from posemend.filters import fill_gaps
    from posemend.runtime.apply import lift
    from posemend.training.calibrating import spoilt

    if seed % 2:
        return spoilt(take, seed)
    blind = lift(fill_gaps(keypoints), bundle)
    whole = np.ones(blind.positions.shape[:2], np.float32)
    return replace(blind, score=whole, visible=whole > 0, sigma=None, provenance=None, radii=None)
