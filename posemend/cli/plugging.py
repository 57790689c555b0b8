"""The lifters and refiners of ``evaluate --table refiners``: from words on the command line to functions.

Every refiner runs as it would in use, by ``posemend.runtime``: a checkpoint is
exported to a bundle first, in a folder that is gone afterwards. Each carries
the hash of its weights, so that a table knows which of its cells are of today.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posemend.errors import InputError, require

if TYPE_CHECKING:
    from posemend.body.pose import Pose2D, Pose3D

    Lift = Callable[[Pose2D], Pose3D]
    Refine = Callable[[Pose3D, Pose2D], Pose3D]

OWN = "posemend"
USUAL = ("smooth", "one-euro", "default", "research")
FILTERS = {"smooth": "butterworth"}
"""Names of filters beside those of ``posemend.filters.METHODS``."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Lifter:
    """A lifter by name; ``facts`` are for the record, ``load`` gives the function."""

    name: str
    facts: dict[str, Any]
    load: Callable[[], Lift] = field(compare=False)


@dataclass(frozen=True)
class Refiner:
    """A refiner by name; ``facts`` are for the record."""

    name: str
    facts: dict[str, Any]
    refine: Refine = field(compare=False)


def lifters(words: Sequence[str], left_out: Sequence[str], aside: Sequence[str]) -> list[Lifter]:
    """What ``--lifter`` names: ``[NAME:]KIND=FILE`` each; KIND ``posemend`` is the lifter of a bundle.

    Raises:
        InputError: A word is no such thing, a name is given twice, or ``left_out`` or ``aside`` names none of them.
        BundleError: A file cannot be read.
    """
    found: list[Lifter] = []
    for word in words:
        label, equals, file = word.partition("=")
        name, _, kind = label.rpartition(":")
        if not kind or not equals or not file:
            raise InputError(
                f"--lifter wants KIND=FILE, or NAME:KIND=FILE, such as semgcn=ckpt_semgcn.pth.tar; got '{word}'."
            )
        name = _fresh(name or kind, [lifter.name for lifter in found], "--lifter")
        facts, load = _own_lifter(file) if kind == OWN else _other_lifter(kind, file)
        marks = {"left_out": name in left_out, "aside": name in aside or kind == OWN}
        found.append(Lifter(name, {"kind": kind, **marks, **facts}, load))
    names = [lifter.name for lifter in found]
    for option, marked in (("--left-out", left_out), ("--aside", aside)):
        if unknown := [name for name in marked if name not in names]:
            raise InputError(f"{option} names '{unknown[0]}', which is no lifter here. There are: {', '.join(names)}.")
    return found


def _fresh(name: str, taken: Sequence[str], option: str) -> str:
    if not _PLAIN.fullmatch(name):
        raise InputError(f"{option} wants plain names (letters, digits, . _ + -), got '{name}'.")
    if name in taken:
        raise InputError(f"{option} has two called '{name}'. Give one of them another name.")
    return name


def _hash(path: Path) -> str:
    from posemend.contract.card import file_hash

    return file_hash(path)[:16]


def _own_lifter(bundle: str) -> tuple[dict[str, Any], Callable[[], Lift]]:
    from posemend.contract.card import find, read_card
    from posemend.runtime.apply import lift

    card = read_card(find(bundle, "lift"))
    facts = {
        "weights": card.sha256[:16], "parameters": card.parameters, "made_by": f"bundle {Path(bundle).name}",
        "data": card.data,
    }  # fmt: skip
    return facts, lambda: lambda keypoints: lift(keypoints, bundle)


def _other_lifter(kind: str, file: str) -> tuple[dict[str, Any], Callable[[], Lift]]:
    require("torch", "train")
    from posemend.nn.published import plain_lifter
    from posemend.nn.table import size

    loaded = plain_lifter(kind, file)  # now, so that a wrong file is told before the first clip
    path = Path(file)
    facts: dict[str, Any] = {"made_by": path.name, "data": None}  # nobody says what somebody else's file has seen
    if path.is_dir():
        from posemend.nn.export import data_of

        folder, about = _checkpoint(path)
        recipe = about["recipe"]
        facts = {"made_by": recipe.get("name", path.name), "finished": bool(about.get("finished", True))}
        facts["data"] = data_of(recipe)[0] if "data" in recipe else None
        path = folder / "weights.safetensors"
    return {"weights": _hash(path), "parameters": size(loaded.network), **facts}, lambda: loaded


def _checkpoint(folder: Path) -> tuple[Path, dict[str, Any]]:
    """A run's checkpoint, or the folder itself, and what it says of itself."""
    from posemend.nn import checkpoint

    folder = folder / "checkpoint" if (folder / "checkpoint").exists() else folder
    return folder, checkpoint.facts(folder)


def refiners(words: Sequence[str], bundle: str, workshop: Path) -> list[Refiner]:
    """What ``--refiner`` names: a filter, a set of models, or ``NAME=PLACE`` with a bundle or a checkpoint.

    Args:
        words: ``NAME=PLACE@SET`` names the set whose lifter stands beside the raw pose as a second opinion.
        bundle: The set for those that name none and whose recipe names none of the sets that ship. A folder
            with a ``lift`` bundle of its own needs none.
        workshop: An empty folder for bundles of checkpoints.

    Raises:
        InputError: A word is no such thing, or a name is given twice.
        BundleError: A model cannot be read or exported.
    """
    found: list[Refiner] = []
    for word in words:
        name, equals, source = word.partition("=")
        name = _fresh(name, ["raw", *(refiner.name for refiner in found)], "--refiner")
        facts, refine = _refiner(source if equals else name, bundle, workshop / name)
        found.append(Refiner(name, facts, refine))
    return found


def _refiner(source: str, bundle: str, workshop: Path) -> tuple[dict[str, Any], Refine]:
    from posemend.contract.card import SETS
    from posemend.filters import METHODS, smooth

    method = FILTERS.get(source, source)
    if method in METHODS:
        told: dict[str, Any] = {
            "network": None,
            "filter": method,
            "strength": METHODS[method][1],
            "weights": None,
            "data": [],
        }
        return told, lambda pose, keypoints: smooth(pose, method)
    if source in SETS:
        return _of_bundle(source)
    place, _, opinion = source.partition("@")
    folder = Path(place)
    if not folder.is_dir():
        raise InputError(
            f"--refiner wants one of {', '.join([*FILTERS, *METHODS, *SETS])}, or NAME=PLACE with the folder of a "
            f"bundle or a checkpoint; there is no folder '{place}'."
        )
    if (folder / "refine" / "card.json").is_file() and (folder / "lift" / "card.json").is_file() and not opinion:
        return _of_bundle(place)
    return _completed(folder, opinion, bundle, workshop)


def _completed(folder: Path, opinion: str, bundle: str, workshop: Path) -> tuple[dict[str, Any], Refine]:
    """A refiner beside the lifter of another set, as one set in ``workshop``."""
    from posemend.contract.card import find, read_card

    workshop.mkdir(parents=True)
    more: dict[str, Any] = {}
    refine = folder / "refine" if (folder / "refine" / "card.json").is_file() else folder
    if (refine / "card.json").is_file():
        card = read_card(refine)
        _place(refine, workshop / "refine")
    else:
        require("onnx", "train")
        from posemend.nn.export import export

        checkpoint, about = _checkpoint(folder)
        more = {"weights": _hash(checkpoint / "weights.safetensors"), "finished": bool(about.get("finished", True))}
        card = export(checkpoint, workshop / "refine")
    if card.task != "refine":
        raise InputError(f"{folder} holds a model for the task '{card.task}'; a refiner is wanted.")
    opinion = opinion or _learnt_beside(card.recipe) or bundle
    _place(find(opinion, "lift"), workshop / "lift")
    facts, run = _of_bundle(str(workshop))
    return {**facts, **more, "opinion": Path(opinion).name}, run


def _learnt_beside(recipe: dict[str, Any]) -> str:
    """The set whose lifter gave a recipe its second opinions, such as ``checkpoints/lift-research``; "" if none did."""
    from posemend.contract.card import SETS

    name = Path(str(recipe.get("raw", {}).get("opinion", ""))).name.removeprefix("lift-")
    return name if name in SETS else ""


def _place(source: Path, target: Path) -> None:
    """A link, so that a model in many sets is loaded once; a copy where there are no links."""
    try:
        os.symlink(source.resolve(), target, target_is_directory=True)
    except OSError:
        shutil.copytree(source, target)


def _of_bundle(bundle: str) -> tuple[dict[str, Any], Refine]:
    from posemend.contract.card import find, read_card
    from posemend.runtime.apply import refine

    card = read_card(find(bundle, "refine"))
    if card.task != "refine":
        raise InputError(f"'{bundle}' holds a model for the task '{card.task}'; a refiner is wanted.")
    facts = {
        "network": card.network["name"], "made_by": card.name, "version": card.version, "weights": card.sha256[:16],
        "parameters": card.parameters, "opinion": Path(bundle).name, "data": card.data,
    }  # fmt: skip
    return facts, lambda pose, keypoints: refine(pose, keypoints, bundle=bundle)
