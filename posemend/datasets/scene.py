"""A scene is a small readable file: who moves where, what stands in the way, and which cameras look on.

    fps = 50.0
    frames = 500
    rule = "anatomy"

    [[people]]
    motion = "procedural:81"       # or "cmu_asfamc/01_01": a pack and a sequence in it
    first = 0                      # frame of the motion, at its own rate
    place = [0.0, 0.0]             # metres, where the middle of the path comes to lie
    yaw = 0.0
    girth = 1.05
    mesh = "kim.glb"               # a skinned mesh in place of the capsules; a path from this file's folder
    rig = "kim.rig.toml"           # which of its joints is which, where their names are not known

    [[obstacles]]
    kind = "table"
    place = [1.2, 0.4]
    yaw = 0.3
    velocity = [0.0, 0.0]          # metres per second; place is that of the middle of the clip

    [[cameras]]
    name = "Cam_0"
    kind = "still"                 # or "hand-held": sways and follows
    eye = [4.0, 0.0, 1.7]
    target = [0.0, 0.0, 1.0]
    focal = 835.0                  # pixels
    width = 1000
    height = 1002

Everything is checked when it is read; unknown keys are errors with a guess.
"""

from __future__ import annotations

import difflib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from posemend.errors import FormatError, InputError
from posemend.occlusion.error_model import names
from posemend.occlusion.labels import MOST_PEOPLE, RULES
from posemend.occlusion.solids import Box

# kind: boxes as ((x, y, z of the middle), (length, width, height)), metres, standing on the floor at the origin
FURNITURE: dict[str, tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...]] = {
    "crate": (((0, 0, 0.25), (0.5, 0.5, 0.5)),),
    "counter": (((0, 0, 0.5), (1.8, 0.55, 1.0)),),
    "table": (
        ((0, 0, 0.73), (1.3, 0.75, 0.05)),
        *(((x, y, 0.35), (0.06, 0.06, 0.70)) for x in (-0.58, 0.58) for y in (-0.31, 0.31)),
    ),
    "desk": (
        ((0, 0, 0.73), (1.4, 0.7, 0.05)),
        ((0, 0.33, 0.4), (1.4, 0.03, 0.6)),
        ((-0.66, 0, 0.35), (0.06, 0.7, 0.7)),
    ),
    "sofa": (((0, 0, 0.22), (1.8, 0.85, 0.44)), ((0, 0.33, 0.62), (1.8, 0.2, 0.4))),
    "chair": (((0, 0, 0.23), (0.44, 0.44, 0.46)), ((0, 0.2, 0.7), (0.44, 0.04, 0.5))),
    "shelf": (
        *(((0, 0, z), (1.0, 0.32, 0.04)) for z in (0.1, 0.5, 0.9, 1.3, 1.7)),
        *(((x, 0, 0.87), (0.04, 0.32, 1.74)) for x in (-0.5, 0.5)),
        ((0.1, 0, 0.65), (0.6, 0.26, 0.26)),
        ((-0.2, 0, 1.03), (0.4, 0.26, 0.22)),
    ),
    "pole": (((0, 0, 1.3), (0.14, 0.14, 2.6)),),
    "pillar": (((0, 0, 1.3), (0.4, 0.4, 2.6)),),
    "wall": (((0, 0, 1.1), (1.6, 0.1, 2.2)),),
    "cart": (((0, 0, 0.6), (0.9, 0.55, 0.8)), ((0.48, 0, 1.0), (0.04, 0.55, 0.1))),
}  # fmt: skip

PROTOCOL = "protocol"
CAMERA_KINDS = ("still", "hand-held")
LONGEST = 100_000  # frames
_NO_FILE = set('/\\:*?"<>|\0\n')


@dataclass(frozen=True)
class Person:
    """Somebody in a scene; see the module's head."""

    motion: str
    first: int = 0
    place: tuple[float, float] = (0.0, 0.0)
    yaw: float = 0.0
    height: float = 0.0  # metres; 0 leaves the person as recorded
    girth: float = 1.0
    mesh: str = ""  # .glb or .gltf with a skin, as seen from the scene's file; "" for a body of capsules
    rig: str = ""  # .toml with the names of its joints; "" where they are known


@dataclass(frozen=True)
class Obstacle:
    """A thing on the floor: ``kind`` of `FURNITURE`, stretched by ``scale``."""

    kind: str
    place: tuple[float, float]
    yaw: float = 0.0
    scale: float = 1.0
    velocity: tuple[float, float] = (0.0, 0.0)

    def boxes(self) -> list[Box]:
        """Its boxes in world axes, metres."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        s = self.scale
        return [
            Box(
                (self.place[0] + s * (x * cos - y * sin), self.place[1] + s * (x * sin + y * cos), s * z),
                (s * a, s * b, s * c),
                self.yaw,
            )
            for (x, y, z), (a, b, c) in FURNITURE[self.kind]
        ]

    def reach(self) -> float:
        """Radius of a circle round ``place`` that holds the thing, metres."""
        return self.scale * max(
            math.hypot(abs(x) + a / 2, abs(y) + b / 2) for (x, y, _), (a, b, _) in FURNITURE[self.kind]
        )


@dataclass(frozen=True)
class SceneCamera:
    """A camera of a scene.

    Attributes:
        name: Such as ``"Cam_0"``.
        kind: ``"still"``, or ``"hand-held"``: it sways by ``sway`` metres and follows the people lazily.
        eye, target: Where it is and what it looks at (at first, if it follows), metres.
        focal: Pixels.
        width, height: Pixels.
        roll: Radians.
        sway: Metres (standard deviation) by which a hand-held camera moves about.
    """

    name: str
    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    focal: float
    width: int = 1000
    height: int = 1000
    kind: str = "still"
    roll: float = 0.0
    sway: float = 0.0


@dataclass(frozen=True)
class Scene:
    """All of a scene; equal scenes give equal labels.

    Attributes:
        seed: Of what is drawn while labelling (sway, detectors).
        fps, frames: Clock and length.
        rule: What counts as hidden, see `posemend.occlusion.labels`.
        soft_rays: Rays a joint for soft visibility; 0 leaves it out.
        detector: Whose keypoints are made up: ``"protocol"`` is the evaluation's fixed detector, others are fitted to
            real ones (`posemend.occlusion.error_model.names`).
    """

    people: tuple[Person, ...]
    cameras: tuple[SceneCamera, ...]
    obstacles: tuple[Obstacle, ...] = ()
    name: str = "scene"
    preset: str = ""
    seed: int = 0
    fps: float = 50.0
    frames: int = 500
    rule: str = "anatomy"
    soft_rays: int = 0
    slack: float = field(default=0.08)
    detector: str = PROTOCOL

    def __post_init__(self) -> None:
        wrong: list[str] = []
        if not self.name or set(self.name) & _NO_FILE or self.name.startswith("."):
            wrong.append("has a name that cannot be a file's")
        if not 1 <= len(self.people) <= MOST_PEOPLE:
            wrong.append(f"wants 1 to {MOST_PEOPLE} people, got {len(self.people)}")
        if not self.cameras:
            wrong.append("wants at least one camera")
        if len({camera.name for camera in self.cameras}) != len(self.cameras):
            wrong.append("names a camera twice")
        if not (1 <= self.frames <= LONGEST and 1 <= self.fps <= 1000):
            wrong.append(f"wants 1 to {LONGEST} frames and 1 to 1000 fps, got {self.frames} and {self.fps}")
        if self.rule not in RULES:
            wrong.append(f"has rule '{self.rule}'; known: {', '.join(RULES)}")
        if not 0 <= self.soft_rays <= 256 or not 0 <= self.slack <= 0.5:
            wrong.append("wants 0 to 256 soft_rays and a slack of 0 to 0.5 metres")
        if any(person.rig and not person.mesh for person in self.people):
            wrong.append("gives a person a rig without a mesh")
        if self.detector != PROTOCOL and self.detector not in names():
            wrong.append(f"has detector '{self.detector}'; known: {', '.join((PROTOCOL, *names()))}")
        for thing in self.obstacles:
            if thing.kind not in FURNITURE:
                guess = difflib.get_close_matches(thing.kind, FURNITURE, n=1)
                hint = f" Did you mean '{guess[0]}'?" if guess else ""
                wrong.append(f"has an obstacle '{thing.kind}'.{hint} Known: {', '.join(FURNITURE)}")
            if not 0.05 <= thing.scale <= 20:
                wrong.append(f"has an obstacle of scale {thing.scale}; wanted 0.05 to 20")
        for camera in self.cameras:
            if camera.kind not in CAMERA_KINDS:
                wrong.append(f"has a camera of kind '{camera.kind}'; known: {', '.join(CAMERA_KINDS)}")
            if not camera.name or set(camera.name) & _NO_FILE or camera.name.startswith("."):
                wrong.append(f"has a camera named '{camera.name}', which cannot be part of a file's name")
            if math.dist(camera.eye, camera.target) < 1e-3 or math.dist(camera.eye[:2], camera.target[:2]) < 1e-6:
                wrong.append(f"has camera '{camera.name}' look straight down or at itself; move target aside")
            if not (camera.focal > 0 and 16 <= camera.width <= 16384 and 16 <= camera.height <= 16384):
                wrong.append(f"has camera '{camera.name}' with an impossible focal length or image size")
        if wrong:
            raise InputError(f"Scene '{self.name}' " + "; ".join(wrong) + ".")


_UNSAID = ("mesh", "rig")  # keys that are left out of files where they say nothing
_PARTS = {"people": Person, "obstacles": Obstacle, "cameras": SceneCamera}


def _coerced(value: Any, default: Any, where: str) -> Any:
    """A value of a TOML file as its field wants it; numbers must be finite."""
    if isinstance(default, bool):
        good = isinstance(value, bool)
    elif isinstance(default, str):
        good = isinstance(value, str)
    elif isinstance(default, int):
        good = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(default, float):
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        value = float(value) if good else value
    else:  # a tuple of numbers
        good = isinstance(value, list | tuple) and len(value) == len(default)
        good = good and all(isinstance(x, int | float) and math.isfinite(x) and abs(x) < 1e6 for x in value)
        value = tuple(float(x) for x in value) if good else value
    if not good:
        kind = f"{len(default)} numbers" if isinstance(default, tuple) else type(default).__name__
        raise FormatError(f"{where} wants {kind}, got {value!r}.")
    return value


# what a required field's value looks like
_LIKE = {
    "motion": "",
    "kind": "",
    "name": "",
    "place": (0.0, 0.0),
    "eye": (0.0,) * 3,
    "target": (0.0,) * 3,
    "focal": 1.0,
}


def _build(kind: type, table: Any, where: str) -> Any:
    if not isinstance(table, Mapping):
        raise FormatError(f"{where} wants a table of keys, got {table!r}.")
    known = {f.name: f for f in fields(kind)}
    for key in table:
        if key not in known:
            guess = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean '{guess[0]}'?" if guess else f" Known: {', '.join(known)}."
            raise FormatError(f"{where} has an unknown key '{key}'.{hint}")
    lacking = [f.name for f in fields(kind) if f.default is MISSING and f.name not in table]
    if lacking:
        raise FormatError(f"{where} lacks {', '.join(lacking)}.")
    values = {}
    for key, value in table.items():
        default = known[key].default
        if key in _PARTS and kind is Scene:
            if not isinstance(value, list | tuple):
                raise FormatError(f"{where}: '{key}' wants a list of tables ([[{key}]]).")
            values[key] = tuple(_build(_PARTS[key], part, f"{where}, {key} {n}") for n, part in enumerate(value))
        else:
            values[key] = _coerced(value, _LIKE[key] if default is MISSING else default, f"{where}: '{key}'")
    return kind(**values)


def from_table(table: Mapping[str, Any], where: str = "scene") -> Scene:
    """A scene from nested tables.

    Raises:
        FormatError: Unknown or missing keys, or values of the wrong type.
        InputError: Impossible values.
    """
    return _build(Scene, table, where)


def read_scene(path: str | Path) -> Scene:
    """A scene from a ``.toml`` or ``.json`` file.

    Raises:
        FormatError: The file cannot be read or is no scene.
        InputError: Impossible values.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise FormatError(f"Scene {path} cannot be read: {error}") from None
    except RecursionError:
        raise FormatError(f"Scene {path} cannot be read: brackets in brackets without end") from None
    return from_table(table, f"Scene {path.name}")


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    if isinstance(value, float):
        return repr(round(value, 6))
    return json.dumps(value, ensure_ascii=False)  # text, whole numbers and truth values are the same in both


def to_toml(scene: Scene) -> str:
    """The scene's file; reading it gives the scene to a micrometre."""

    def lines(table: Iterable[tuple[str, Any]]) -> list[str]:
        return [f"{key} = {_toml(value)}" for key, value in table]

    everything = asdict(scene)
    text = lines((key, value) for key, value in everything.items() if key not in _PARTS)
    for part in _PARTS:
        for row in everything[part]:
            said = ((key, value) for key, value in row.items() if value or key not in _UNSAID)
            text += ["", f"[[{part}]]", *lines(said)]
    return "\n".join(text) + "\n"
