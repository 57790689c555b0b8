"""The file in which a user says which bone of a rig is which joint (TOML or JSON).

```toml
[joints]
l_hip = "thigh.L"                              # where the bone begins
head_top = { bone = "head", at = "tail" }      # where it ends; a number between 0 and 1 lies between
pelvis = ["thigh.L", "thigh.R"]                # the middle of both

[armatures.Bob]                                # for one armature alone, before the table above
l_hip = "Bob thigh"
```

Joints are Human3.6M's. A joint that is left out is guessed; one that is left empty is an error.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posemend.body.catalogue import H36M_17
from posemend.datasets.bone_names import Rigged
from posemend.errors import FormatError, SkeletonError

Place = tuple[tuple[int, tuple[float, float, float]], ...]  # bones, and where in each one's own axes

_MEANT = {
    "pelvis": "middle of the hips", "spine": "middle of the trunk", "thorax": "base of the neck",
    "nose": "base of the skull, where the head's bone begins", "head_top": "top of the head",
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """What a file says of one armature.

    Attributes:
        source: The file.
        joints: Bones by joint, with the share of the bone's length from its beginning.
    """

    source: Path
    joints: Mapping[str, tuple[tuple[str, float], ...]]

    def knows(self, rigged: Rigged) -> bool:
        """Whether it names any bone that the armature has."""
        return any(name in rigged.bones for bones in self.joints.values() for name, _ in bones)

    def places(self, rigged: Rigged) -> dict[str, Place]:
        """The same by the armature's own numbers.

        Raises:
            SkeletonError: It has no such bone.
        """
        number = {name: place for place, name in enumerate(rigged.bones)}
        found = {}
        for joint, bones in self.joints.items():
            for name, _ in bones:
                if name not in number:
                    near = difflib.get_close_matches(name, rigged.bones, 3, 0.5) or rigged.bones[:40]
                    raise SkeletonError(
                        f"{self.source} wants bone '{name}' for {joint}, which armature '{rigged.name}' has not. "
                        f"It has: {', '.join(near)}."
                    )
            found[joint] = tuple(
                (number[name], (0.0, share * float(rigged.length[number[name]]), 0.0)) for name, share in bones
            )
        return found


@dataclass(frozen=True)
class BoneFile:
    """A file of bones: what holds for all armatures, and for some by name."""

    every: Given
    some: Mapping[str, Given]

    def of(self, armature: str) -> Given:
        """What it says of one armature."""
        own = self.some.get(armature)
        return Given(self.every.source, {**self.every.joints, **own.joints}) if own else self.every


def read_bones(path: Path) -> BoneFile:
    """Read a file of bones.

    Raises:
        FormatError: It cannot be read, or its tables are others.
        SkeletonError: A joint is unknown or left empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise FormatError(
            f"Cannot read the bones in {path}: {error}. `posemend blender bones` writes such a file."
        ) from None
    some = table.get("armatures", {}) if isinstance(table, dict) else None
    if not isinstance(some, dict) or not set(table) <= {"joints", "armatures"} or not table:
        raise FormatError(f"{path} wants tables 'joints' or 'armatures.NAME', got {sorted(table)[:5]}.")
    return BoneFile(
        _given(path, table.get("joints", {})), {str(name): _given(path, part) for name, part in some.items()}
    )


def _given(path: Path, table: Any) -> Given:
    if not isinstance(table, dict):
        raise FormatError(f'{path} wants joint = "bone" in its tables, got {table!r}.')
    unknown = [joint for joint in table if joint not in H36M_17.joints]
    if unknown:
        raise SkeletonError(f"{path} names {', '.join(unknown)}. Joints are: {', '.join(H36M_17.joints)}.")
    empty = [joint for joint, said in table.items() if said in ("", [], {})]
    if empty:
        raise SkeletonError(
            f"{path} leaves {', '.join(empty)} empty. Name a bone, or take the line out to let it be guessed."
        )
    return Given(path, {joint: _bones(path, joint, said) for joint, said in table.items()})


def _bones(path: Path, joint: str, said: Any) -> tuple[tuple[str, float], ...]:
    found = []
    for one in said if isinstance(said, list) else [said]:
        entry = {"bone": one} if isinstance(one, str) else one
        at = entry.get("at", "head") if isinstance(entry, dict) else None
        share = {"head": 0.0, "tail": 1.0}.get(at) if isinstance(at, str) else at
        if (
            not isinstance(entry, dict) or not isinstance(entry.get("bone"), str) or not set(entry) <= {"bone", "at"}
            or isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1
        ):  # fmt: skip
            raise FormatError(
                f'{path}: {joint} wants a bone\'s name, {{ bone = NAME, at = "head", "tail" or 0 to 1 }} or a list of '
                f"these, got {one!r}."
            )
        found.append((entry["bone"], float(share)))
    return tuple(found)


def skeleton_text(rigged: Rigged, known: Mapping[str, Place], named: bool = False) -> str:
    """A file of bones as text: what is known filled in, the rest to be; for all armatures, or the named one alone."""
    table = f"[armatures.{json.dumps(rigged.name, ensure_ascii=False)}]"
    lines = [table] if named else [f"# {rigged.name}", "[joints]"]
    for joint in H36M_17.joints:
        note = f"  # {_MEANT[joint]}" if joint in _MEANT else ""
        spelt = [_spelt(rigged, bone, local) for bone, local in known.get(joint, ())]
        if any(part is None for part in spelt) or joint not in known and joint in ("pelvis", "spine", "head_top"):
            lines.append(f'# {joint} = ""  # guessed if left out:{note[3:]}')
        else:
            value = f"[{', '.join(map(str, spelt))}]" if len(spelt) > 1 else spelt[0] if spelt else '""'
            lines.append(f"{joint} = {value}{note}")
    return "\n".join(lines)


def _spelt(rigged: Rigged, bone: int, local: tuple[float, float, float]) -> str | None:
    """A place as the file writes it; ``None`` off the bone's own line."""
    name = json.dumps(rigged.bones[bone], ensure_ascii=False)
    if not any(local):
        return name
    share = local[1] / max(float(rigged.length[bone]), 1e-12)
    if local[0] or local[2] or not 0 <= share <= 1 + 1e-6:
        return None
    return f"{{ bone = {name}, at = {chr(34) + 'tail' + chr(34) if share > 1 - 1e-6 else round(share, 4)} }}"
