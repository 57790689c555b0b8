"""A recipe's data section to motions and takes in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose3D, Take
from posemend.datasets import blendmimic3d, packs, procedural
from posemend.datasets.packs import Motion
from posemend.errors import FormatError, InputError, PosemendError, RecipeError
from posemend.formats import read
from posemend.training.batches import Recordings, Source
from posemend.training.hiding import Hiding
from posemend.training.likeness import Body, body_of
from posemend.training.motions import Pool
from posemend.training.rays import Rays
from posemend.training.recipe import Recipe
from posemend.training.recorded import benchmark_recordings
from posemend.training.vary import Variety
from posemend.training.views import Views

PROCEDURAL_SECONDS = 60.0
PROCEDURAL_SEED = 10_000  # far from the seeds of demo and tests


def _held_out(name: str, share: float) -> bool:
    """Whether a sequence belongs to the validation part: by its name, so for every recipe alike."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < share


def training_takes(root: Path, without: Sequence[str] = ()) -> list[Take]:
    """BlendMimic3D's takes to train on; actions ``without`` are kept for calibration (``data.calibration``)."""
    takes = blendmimic3d.read(root / "blendmimic3d", subjects=["S1", "S2"])
    kept = {*blendmimic3d.VALIDATION_ACTIONS, *blendmimic3d.TEST_ACTIONS, *without}
    return [take for take in takes if take.action not in kept]


def _world_motions(takes: Sequence[Take]) -> list[Motion]:
    """Each BlendMimic3D action once, in world axes, cut at its cuts."""
    motions = []
    for take in takes:
        view = take.keypoints.camera
        if view is None or take.truth.root is None or not take.camera.endswith("0"):
            continue
        world = view.to_world(take.truth.positions + take.truth.root[:, None]).astype("float32")
        edges = [0, *take.cuts, len(world)]
        for number, (first, last) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            if last - first >= 20:
                name = f"{take.subject}/{take.action}/{number}"
                motions.append(
                    Motion(
                        world[first:last],
                        H36M_17,
                        take.truth.fps,
                        take.subject,
                        take.action,
                        name,
                        "blendmimic3d",
                        "research use",
                    )  # fmt: skip
                )
    return motions


def _procedural(recipe: Recipe, held_out: bool) -> list[Motion]:
    """Made-up motions, one person a minute; only the wanted part is made."""
    count = max(1, round(recipe.data.procedural_minutes * 60 / PROCEDURAL_SECONDS))
    seeds = range(PROCEDURAL_SEED, PROCEDURAL_SEED + count)
    return [
        procedural.generate(seed, PROCEDURAL_SECONDS)
        for seed in seeds
        if _held_out(f"procedural/procedural/seed{seed}", recipe.data.held_out) == held_out
    ]


def motions(recipe: Recipe, held_out: bool, by_person: bool = False) -> list[tuple[list[Motion], float]]:
    """Motions of each pack with its share; the training or the held-out part.

    ``by_person`` holds whole persons out instead of sequences.

    Raises:
        RecipeError: The data folder or a pack is missing.
    """
    root = Path(recipe.data.root)
    found: list[tuple[list[Motion], float]] = []
    for name, share in recipe.data.packs.items():
        if name == "procedural":
            found.append((_procedural(recipe, held_out), share))
            continue
        if name == "blendmimic3d":
            every = _world_motions(training_takes(root, recipe.data.calibration))
        else:
            path = root / "motion" / "packs" / f"{name}.npz"
            if not path.is_file():
                raise RecipeError(
                    f"Pack '{name}' is not at {path}. Set data.root to the folder that holds motion/packs."
                )
            every = packs.read(path)
        part = [
            m
            for m in every
            if _held_out(f"{name}/{m.subject if by_person else m.name}", recipe.data.held_out) == held_out
        ]
        found.append((part, share))
    return found


def any_held_out(recipe: Recipe) -> bool:
    """Whether any motion is held out, or the task has a held-out part of its own."""
    return bool(recipe.depth.itop) or any(part for part, _ in motions(recipe, held_out=True))


def depth_motions(recipe: Recipe, held_out: bool) -> list[tuple[list[Motion], float]]:
    """As ``motions``, with whole persons held out: depth maps show bodies, not only poses."""
    return motions(recipe, held_out, by_person=True)


def _bodies(recipe: Recipe) -> tuple[Body, ...]:
    """The bodies that ``variety.like`` names."""
    found: list[Body] = []
    for name in recipe.variety.like:
        try:
            if name == "blendmimic3d":
                takes = training_takes(Path(recipe.data.root), recipe.data.calibration)
                found += [body_of(take.truth) for take in takes]
                continue
            pose = read(name)
            if not isinstance(pose, Pose3D):
                raise InputError(f"'{name}' holds 2D keypoints; a 3D recording of the body is wanted.")
            found.append(body_of(pose))
        except PosemendError as error:
            raise RecipeError(f"The recipe's variety.like: {error}") from None
    return tuple(found)


def variety_of(recipe: Recipe) -> Variety:
    """How a recipe varies poses.

    Raises:
        RecipeError: A body cannot be read.
    """
    return Variety(**recipe.variety.model_dump() | {"like": _bodies(recipe)})


def source(recipe: Recipe, held_out: bool = False) -> Source:
    """What makes a recipe's batches.

    Raises:
        RecipeError: Data, or a detector, is missing.
    """
    recordings = None
    if recipe.data.blendmimic3d > 0 and not held_out:
        try:
            recordings = Recordings.of(training_takes(Path(recipe.data.root), recipe.data.calibration))
        except InputError as error:
            raise RecipeError(f"The recipe wants BlendMimic3D under data.root: {error}") from None
    share = recipe.data.blendmimic3d
    if recipe.data.benchmark.name and not held_out:
        if recordings is not None:
            raise RecipeError("data.blendmimic3d and data.benchmark exclude each other. Leave one of them out.")
        recordings, share = benchmark_recordings(recipe.data.benchmark), recipe.data.benchmark.share
    try:
        hiding = Hiding(**recipe.hiding.model_dump())
    except (InputError, FormatError) as error:
        raise RecipeError(f"The recipe's hiding.detectors: {error}") from None
    return Source(
        Pool.of(motions(recipe, held_out)) if share < 1 else None,
        recordings,
        share,
        recipe.optim.batch,
        recipe.optim.frames,
        variety_of(recipe),
        Views(**recipe.views.model_dump()),
        hiding,
        recipe.seed + (1_000_003 if held_out else 0),
        Rays(**recipe.rays.model_dump()),
    )
