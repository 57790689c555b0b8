"""A bundle is a folder with ``model.onnx`` and ``card.json``; a set is a folder with ``lift`` and ``refine`` bundles.

The card is what a model promises: what it takes and gives, how it was made,
from what data, under which licence, how wrong it was measured to be, and the
hash of its weights.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from posemend.body.catalogue import SKELETONS
from posemend.errors import BundleError

SCHEMA = 1
CODEC = 1  # raised whenever the codec or the evidence changes: old weights would get wrong input
TASKS = ("lift", "refine")
SETS = ("default", "research")
DEPTH_TASKS = ("depth-patch", "depth-body", "depth-cloud", "depth-time")  # they ship as a set of their own
DEPTH_SET = "depth"
LARGEST_MODEL = 512 * 2**20  # bytes; nothing larger is opened


@dataclass(frozen=True)
class Card:
    """The contents of ``card.json``.

    Attributes:
        name: Name of the model.
        version: Version of the weights.
        task: ``"lift"``, ``"refine"`` or one of ``DEPTH_TASKS``.
        skeleton: Skeleton in and out.
        patch: Frames per token; clips are padded to a multiple.
        reach: Frames before and after that can change a frame.
        network: Name and options of the network.
        parameters: Number of parameters.
        data: What it was trained on, one line each.
        licence: What these data allow.
        commercial: Whether commercial use is allowed.
        recipe: The whole recipe.
        commit: Commit of the code that trained it.
        parity: Largest difference to torch (m), and what storing weights as float16 changes (m, mean).
        scores: Measured errors, each with the command that measures it.
        calibration: What makes stated errors hold (``contract.certainty``, ``posemend calibrate``); empty if not
            measured.
        sha256: Hash of ``model.onnx``.
        codec: Version of the input's layout.
        schema: Version of this card's layout.
    """

    name: str
    version: str
    task: str
    skeleton: str
    patch: int
    reach: int
    network: dict[str, Any]
    parameters: int
    data: list[str]
    licence: str
    commercial: bool
    recipe: dict[str, Any]
    commit: str
    parity: dict[str, float]
    sha256: str
    scores: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    codec: int = CODEC
    schema: int = SCHEMA


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_card(folder: Path, card: Card) -> None:
    """Write ``card.json`` into a bundle folder as one step."""
    temporary = folder / "card.json.new"
    temporary.write_text(json.dumps(asdict(card), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(temporary, folder / "card.json")


def read_card(folder: Path) -> Card:
    """The card of a bundle, checked, with the model's hash compared.

    Raises:
        BundleError: Files are missing, damaged, of another version, or do not belong together.
    """
    place, model = folder / "card.json", folder / "model.onnx"
    if not place.is_file() or not model.is_file():
        raise BundleError(f"{folder} is no bundle: wanted card.json and model.onnx in it. `posemend export` makes one.")
    try:
        table = json.loads(place.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Card)}
        card = Card(**{key: value for key, value in table.items() if key in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BundleError(f"The card of {folder} cannot be read: {error}. Export the model again.") from None
    if card.schema != SCHEMA or card.codec != CODEC:
        raise BundleError(
            f"{folder} was made for another version (card {card.schema}, codec {card.codec}; "
            f"wanted {SCHEMA} and {CODEC}). Export the checkpoint again with this version."
        )
    if card.task not in (*TASKS, *DEPTH_TASKS) or card.skeleton not in SKELETONS or card.patch < 1 or card.reach < 0:
        raise BundleError(f"The card of {folder} makes no sense: task '{card.task}', skeleton '{card.skeleton}'.")
    if model.stat().st_size > LARGEST_MODEL:
        raise BundleError(f"{model} is larger than {LARGEST_MODEL >> 20} MiB; that is no model of ours.")
    if file_hash(model) != card.sha256:
        raise BundleError(f"{model} is damaged: its hash is not the card's. Install or export it again.")
    return card


def find(bundle: str | Path, task: str) -> Path:
    """Folder of the bundle for a task: from the name of a set that ships, a set's folder or a bundle's folder.

    A folder that holds bundles for other tasks only is completed from the
    default set (from the depth set where the task is one of ``DEPTH_TASKS``).

    Raises:
        BundleError: There is no such bundle.
    """
    if task in DEPTH_TASKS and str(bundle) in SETS:
        bundle = DEPTH_SET
    if str(bundle) in (*SETS, DEPTH_SET):
        if (str(bundle) == DEPTH_SET) != (task in DEPTH_TASKS):
            return find("default", task)
        folder = Path(str(resources.files("posemend") / "bundles" / str(bundle) / task))
        if not (folder / "card.json").is_file():
            raise BundleError(f"The '{bundle}' set of models is not in this installation. Reinstall posemend.")
        return folder
    folder = Path(bundle)
    if (folder / task / "card.json").is_file():
        return folder / task
    if (folder / "card.json").is_file():
        return folder if read_card(folder).task == task else find("default", task)
    if any((folder / other / "card.json").is_file() for other in (*TASKS, *DEPTH_TASKS)):
        return find("default", task)
    raise BundleError(
        f"No bundle at '{bundle}'. Wanted one of {', '.join(SETS)}, or a folder with card.json and model.onnx "
        "(or with lift/ and refine/ that have them)."
    )
