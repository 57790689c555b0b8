"""Recipes: everything that makes a model, in one checked TOML file.

A recipe is data only: which network, which motions, how samples are varied,
seen and spoiled, how long to learn. Unknown keys are errors with a guess at
what was meant; the full recipe is kept with every checkpoint.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from posemend.errors import RecipeError


class Section(BaseModel):
    """Base of all sections: frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(Section):
    """Which network; ``options`` are the fields of its ``Config``."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class BenchmarkSection(Section):
    """One of the field's benchmarks to learn from, by its own cameras (``posemend.datasets.benchmarks``).

    ``name`` is ``human36m``, ``mpi-inf-3dhp`` or ``3dpw``, ``root`` its folder,
    ``share`` its part of the samples. With ``detections`` (``cpn_ft_h36m_dbb``
    for Human3.6M; ``own`` for 3DPW) the network is given what a detector
    found, without it exact projections, spoiled as ``hiding`` says.
    """

    name: Literal["", "human36m", "mpi-inf-3dhp", "3dpw"] = ""
    root: str = ""
    share: float = Field(default=1.0, gt=0, le=1)
    detections: str = ""
    trust: bool = False


class Data(Section):
    """Where motions come from.

    ``packs`` gives each pack (file stem in ``<root>/motion/packs``) its share
    of the samples; ``procedural_minutes`` of the built-in generator count as a
    pack called ``procedural``. ``blendmimic3d`` is the share of samples seen by
    BlendMimic3D's own cameras; its motions are seen by virtual cameras when
    ``packs`` names ``blendmimic3d``. Validation actions are never used, and neither
    are its actions ``calibration``: ``posemend calibrate`` measures stated errors on them.
    """

    packs: dict[str, float] = Field(default_factory=dict)
    procedural_minutes: float = Field(default=60.0, ge=0)
    blendmimic3d: float = Field(default=0.0, ge=0, le=0.9)
    calibration: list[str] = Field(default_factory=list)
    held_out: float = Field(default=0.04, ge=0, lt=0.5)
    root: str = "../shared/data"
    benchmark: BenchmarkSection = BenchmarkSection()


class VarietySection(Section):
    """See ``posemend.training.vary.Variety``.

    ``like`` names recordings (any 3D file that posemend reads) whose bodies a
    share ``alike`` of the samples is put into; ``blendmimic3d`` stands for the
    bodies of S1's and S2's training actions under ``data.root``.
    """

    mix: float = Field(default=0.35, ge=0, le=1)
    swing: float = Field(default=0.4, ge=0, le=1)
    sit: float = Field(default=0.1, ge=0, le=1)
    tilt: float = Field(default=0.2, ge=0, le=1)
    lengths: float = Field(default=0.17, ge=0, lt=0.9)
    stature: float = Field(default=0.12, ge=0, lt=0.9)
    definition: float = Field(default=0.02, ge=0, lt=0.2)
    like: list[str] = Field(default_factory=list)
    alike: float = Field(default=1.0, ge=0, le=1)


class ViewsSection(Section):
    """See ``posemend.training.views.Views``."""

    focal: tuple[float, float] = (0.6, 1.7)
    figure: tuple[float, float] = (0.15, 1.1)
    elevation: tuple[float, float] = (0.1, 0.15)
    steep: float = Field(default=0.3, ge=0, le=1)
    roll: float = Field(default=0.05, ge=0)
    calibrated: float = Field(default=0.35, ge=0, le=1)


class HidingSection(Section):
    """See ``posemend.training.hiding.Hiding``."""

    exact: float = Field(default=0.15, ge=0)
    flagged: float = Field(default=0.1, ge=0)
    missing: float = Field(default=0.3, ge=0)
    detector: float = Field(default=0.45, ge=0)
    spans: float = Field(default=3.0, ge=0)
    seconds: float = Field(default=0.6, gt=0)
    noise: float = Field(default=10.0, gt=0.5)
    hidden_noise: float = Field(default=55.0, gt=4)
    fitted: float = Field(default=0.0, ge=0, le=1)
    detectors: tuple[str, ...] = ("mediapipe", "movenet")


class RaysSection(Section):
    """See ``posemend.training.rays.Rays``; ``share`` of the samples are hidden by rays instead of random spans."""

    share: float = Field(default=0.0, ge=0, le=1)
    boxes: float = Field(default=0.8, ge=0, le=4)
    company: float = Field(default=0.15, ge=0, le=1)
    moving: float = Field(default=0.3, ge=0, le=1)
    every: int = Field(default=4, ge=1, le=16)
    slack: float = Field(default=0.08, ge=0, le=0.5)


class Loss(Section):
    """Weights of the loss terms (``posemend.nn.losses``); 0 switches a term off.

    ``hidden`` is how many times as much as a visible joint's the distance of a hidden joint counts; ``root`` is for
    the task ``lift-rooted``. ``absolute`` and ``acceleration`` are SmoothNet's, by coordinate.
    """

    position: float = Field(default=1.0, ge=0)
    absolute: float = Field(default=0.0, ge=0)
    acceleration: float = Field(default=0.0, ge=0)
    velocity: float = Field(default=1.0, ge=0)
    symmetry: float = Field(default=0.0, ge=0)
    sigma: float = Field(default=0.01, ge=0)
    harm: float = Field(default=0.0, ge=0)
    hidden: float = Field(default=1.0, gt=0)
    root: float = Field(default=0.1, ge=0)


class Optim(Section):
    """How long and how fast to learn."""

    steps: int = Field(ge=1)
    batch: int = Field(default=64, ge=1)
    frames: int = Field(default=128, ge=8)
    rate: float = Field(default=2e-3, gt=0)
    warmup: int = Field(default=200, ge=0)
    decay: float = Field(default=0.02, ge=0)
    average: float = Field(default=0.999, ge=0, lt=1)
    clip: float = Field(default=1.0, gt=0)
    save_every: int = Field(default=500, ge=1)
    validate_every: int = Field(default=500, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int = Field(default=0, ge=0)


class RawPoses(Section):
    """Refiners only: whose 3D is repaired. Shares of samples.

    ``opinion`` is the checkpoint of posemend's own lifter, whose pose stands
    beside the raw one; ``own`` samples have it as the raw pose too.
    ``semgcn`` samples come from a SemGCN (file ``semgcn_file``), ``published``
    ones from the ``lifters`` (training folders of task ``blind``), ``mediocre``
    ones from the own lifter, told nothing of occlusion and then spoiled on
    purpose, ``corrupted`` ones from truth spoiled on purpose. ``keypoints`` is
    the share of samples that come with keypoints at all.
    """

    opinion: str = ""
    own: float = Field(default=0.35, ge=0)
    semgcn: float = Field(default=0.0, ge=0)
    semgcn_file: str = ""
    published: float = Field(default=0.0, ge=0)
    lifters: list[str] = Field(default_factory=list)
    mediocre: float = Field(default=0.0, ge=0)
    corrupted: float = Field(default=0.65, ge=0)
    keypoints: float = Field(default=0.75, ge=0, le=1)


class BlindSection(Section):
    """Published lifters only (task ``blind``): how they are taught.

    ``loss`` is the authors': ``mpjpe`` (mean distance) or ``mse`` (mean square
    of coordinates, metres). A share ``exact`` of the samples has exact
    keypoints; those of the others err by up to ``noise`` on average, px per 1000
    of the longer image side. ``answers`` is how many frames of each window are
    asked for where the network leaves a choice, 0 for all.
    """

    loss: Literal["mpjpe", "mse"] = "mpjpe"
    exact: float = Field(default=0.4, ge=0, le=1)
    noise: float = Field(default=8.0, ge=0)
    answers: int = Field(default=0, ge=0)
    fps: float = Field(default=50.0, gt=0, le=1000)


class Masked(Section):
    """Task ``masked`` only: what is switched off in training.

    ``kind`` is ``structured`` (a fixed set of ``number`` masks that hide
    ``share`` of the nodes and overlap by ``overlap``, see
    ``posemend.occlusion.masks``), ``dropedge`` or ``mc-dropout`` (``share`` of
    the edges, of the channels, at random), or ``none``. ``frames`` is T, the
    length of a training graph; one frame of ``every`` so many is a node of it, and
    ``frames * every`` must divide ``optim.frames``. t_p and Delta (in nodes)
    are options of the network. ``clean`` of the graphs are given no mask.
    ``median`` and ``spread`` are those of the masks' runs.
    """

    kind: Literal["structured", "dropedge", "mc-dropout", "none"] = "structured"
    number: int = Field(default=8, ge=1)
    share: float = Field(default=0.2, ge=0, lt=1)
    overlap: float = Field(default=0.1, ge=0, le=1)
    frames: int = Field(default=32, ge=1)
    every: int = Field(default=1, ge=1)
    clean: float = Field(default=0.1, ge=0, le=1)
    median: float = Field(default=12.0, gt=0)
    spread: float = Field(default=1.3, ge=0)
    seed: int = 0


class Weak(Section):
    """Task ``weak`` only: who has 3D labels, and what the others teach; see ``docs/training.md``.

    ``labelled``, ``unlabelled`` and ``watched`` name people as ``pack/performer``
    (``*`` stands for anything); people of ``data.packs`` that none of them names
    are watched. ``files`` are keypoint files (posemend's own ``.npz``) without
    any label, and ``moments`` numbers the moment of each where calibrated
    cameras saw it together.

    ``supervision`` is ``weak``, ``labelled`` (the others are not looked at) or
    ``full`` (the others' labels are used: the ceiling). ``share`` of the
    labelled people's frames keep their labels. ``augment`` varies labelled
    motions and cameras as task ``lift`` does. ``part`` of a batch is unlabelled,
    ``cameras`` film each motion, and ``masked`` of the samples have joints taken
    away that a loss or a teacher still sees.

    Weights of the terms, 0 = off: ``reprojection``, ``bones`` (mean lengths),
    ``symmetry``, ``constancy`` (lengths over time), ``usual`` (range of
    lengths), ``consistency`` (masked student, unmasked teacher), ``pseudo``
    (multi-view pseudo-labels). They begin after ``warmup`` steps and reach
    their weight after ``ramp`` more. ``root`` is ``solved`` from geometry;
    ``true`` reads it from the labels, as the published code does, and is there
    to measure what that leak is worth.
    """

    labelled: list[str] = Field(default_factory=list)
    unlabelled: list[str] = Field(default_factory=list)
    watched: list[str] = Field(default_factory=list)
    files: list[str] = Field(default_factory=list)
    moments: list[int] = Field(default_factory=list)
    supervision: Literal["weak", "labelled", "full"] = "weak"
    share: float = Field(default=1.0, gt=0, le=1)
    augment: bool = False
    part: float = Field(default=0.5, gt=0, lt=1)
    cameras: int = Field(default=4, ge=1, le=16)
    masked: float = Field(default=0.0, ge=0, le=1)
    reprojection: float = Field(default=1.0, ge=0)
    bones: float = Field(default=1.0, ge=0)
    symmetry: float = Field(default=1.0, ge=0)
    constancy: float = Field(default=0.0, ge=0)
    usual: float = Field(default=0.0, ge=0)
    consistency: float = Field(default=0.0, ge=0)
    pseudo: float = Field(default=0.0, ge=0)
    warmup: int = Field(default=0, ge=0)
    ramp: int = Field(default=0, ge=0)
    root: Literal["solved", "true"] = "solved"


class DepthSection(Section):
    """Depth tasks only: what RefiNet's users know, with its units said. Pixels are ITOP's (0.0035 rad).

    ``type`` is "depth" (cut-outs), "base" (bodies), "pcloud" (clouds) or "films"
    (all of them over time; ``lessons`` names their folder), as the task wants.
    ``from_gt`` adds Gaussian noise of ``mu`` and ``sigma`` to the truth: pixels
    for cut-outs, millimetres for the others; without it errors are those of
    detectors and estimators. ``itop`` names the folder of ITOP's files to learn
    from instead of made-up scenes. ``hidden_weight`` and ``doubt`` weigh hidden
    joints and the question which are hidden; ``near_mm`` is the distance at which
    a joint counts half as much as by its distance alone, so that those lost
    beyond all mending count little (0: by its distance); ``plane`` the body-plane loss;
    ``criterion = "mse"`` is the published loss. ``again`` noises are drawn for
    each depth map, which costs more than the noise.
    """

    type: Literal["depth", "base", "pcloud", "films"] = "depth"
    lessons: str = ""
    side: Literal["side", "top"] = "side"
    from_gt: bool = False
    mu: float = 0.0
    sigma: float = Field(default=5.0, ge=0)
    patch: int = Field(default=40, ge=8, le=128)
    cube_mm: float = Field(default=300.0, gt=0)
    grid: int = Field(default=12, ge=4, le=64)
    sensor: Literal["xtion", "azure-kinect"] = "xtion"
    distance: tuple[float, float] = (1.5, 4.5)
    boxes: float = Field(default=1.0, ge=0)
    again: int = Field(default=2, ge=1)
    itop: str = ""
    hidden_weight: float = Field(default=0.4, ge=0)
    near_mm: float = Field(default=0.0, ge=0)
    doubt: float = Field(default=1.0, ge=0)
    plane: float = Field(default=0.0, ge=0)
    criterion: Literal["distance", "mse"] = "distance"


class Recipe(Section):
    """A whole recipe."""

    name: str
    task: Literal[
        "lift", "lift-rooted", "refine", "masked", "blind", "weak", "depth-patch", "depth-body", "depth-cloud",
        "depth-time",
    ]
    network: Network
    data: Data
    optim: Optim
    variety: VarietySection = VarietySection()
    views: ViewsSection = ViewsSection()
    hiding: HidingSection = HidingSection()
    rays: RaysSection = RaysSection()
    loss: Loss = Loss()
    raw: RawPoses = RawPoses()
    blind: BlindSection = BlindSection()
    masked: Masked = Masked()
    weak: Weak = Weak()
    depth: DepthSection = DepthSection()
    start_from: str = ""
    seed: int = 0


def _known(model: type[BaseModel], where: tuple[Any, ...]) -> list[str]:
    for part in where:
        field = model.model_fields.get(str(part))
        annotation = None if field is None else field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)


def _explain(error: ValidationError, source: str) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = _known(Recipe, problem["loc"][:-1])
            guess = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
            hint = f" Did you mean '{guess[0]}'?" if guess else f" Known here: {', '.join(known)}."
            lines.append(f"unknown key '{where}'.{hint}")
        else:
            lines.append(f"{where}: {problem['msg']} (got {problem['input']!r})")
    return f"Recipe {source}: " + "; ".join(lines)


def parse(table: dict[str, Any], source: str = "recipe") -> Recipe:
    """A recipe from a table.

    Raises:
        RecipeError: Unknown keys or impossible values, all of them named.
    """
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise RecipeError(_explain(error, source)) from None


def load(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe; ``overrides`` are ``section.key=value`` in TOML's notation.

    Raises:
        RecipeError: The file cannot be read or is wrong.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"Recipe {path} cannot be read: {error}") from None
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise RecipeError(f"'{override}' is no override. Wanted key=value, such as optim.steps=1000.")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value
        *sections, last = key.strip().split(".")
        place = table
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise RecipeError(f"'{override}': '{section}' is a value, not a section.")
        place[last] = parsed
    return parse(table, str(path))
