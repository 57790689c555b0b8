"""Imports go down one way, rooms beside each other do not meet, and no file grows beyond reading."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "posemend"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "node_modules" not in path.parts)

FLOORS = {
    "errors": 0,
    "geometry": 1,
    "body": 2,
    "contract": 3, "occlusion": 3, "formats": 3, "metrics": 3, "filters": 3,
    "blender": 4, "nn": 4, "datasets": 4, "evaluation": 4, "runtime": 4, "multiview": 4,
    "training": 5, "viewer": 5,
    "cli": 6,
    "__init__": 7, "__main__": 7,
}  # fmt: skip

# what a lower floor would allow and the arms' separation does not
FORBIDDEN = {
    "training": {"runtime"},
    "viewer": {"nn", "datasets", "evaluation", "runtime"},
}

THIRD_PARTY = {
    "errors": set(),
    "geometry": {"numpy"},
    "body": {"numpy"},
    "contract": {"numpy", "scipy", "pydantic"},
    "occlusion": {"numpy", "scipy"},
    # what runs inside of Blender, one file beside the other
    "blender": {"numpy", "bpy", "mathutils"} | {path.stem for path in FILES if path.stem.startswith("inside_")},
    "formats": {"numpy", "scipy", "ezc3d"},
    "metrics": {"numpy", "scipy"},
    "filters": {"numpy", "scipy"},
    "datasets": {"numpy", "scipy", "h5py", "cdflib", "PIL"},
    "evaluation": {"numpy", "scipy", "pydantic"},
    "runtime": {"numpy", "scipy", "onnxruntime", "pydantic"},
    "multiview": {"numpy"},
    "nn": {"numpy", "torch", "onnx", "onnxscript", "onnxruntime", "safetensors"},
    "training": {"numpy", "scipy", "torch", "pydantic", "rich", "matplotlib", "safetensors"},
    "viewer": {"numpy", "PIL"},
    "cli": {"cyclopts", "rich", "numpy", "onnxruntime"},
    "__init__": set(),
    "__main__": set(),
}

LOOKS_ONLY = {"cli/doctor.py": {"torch"}}  # asks what is installed, behind a try

LONGEST = 400
TABLES = {"body/catalogue.py"}


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Dotted names of everything a file imports, at its top or inside a function."""
    package = ["posemend", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "import_module":
            yield from (str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant))


def broken_floors(path: Path) -> list[str]:
    here = room(path)
    wrong = []
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "posemend" or name == "posemend.__version__":
            continue
        there = parts[1] if len(parts) > 1 and parts[1] in FLOORS else "__init__"
        down = FLOORS[there] < FLOORS[here] and there not in FORBIDDEN.get(here, set())
        if not (down or there == here or (here == "cli" and there == "__init__")):
            wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    return wrong


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in FILES} <= set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    assert broken_floors(path) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_stay_in_their_budget_of_libraries(path: Path) -> None:
    foreign = {name.split(".")[0] for name in imported(path)} - {"posemend"} - set(sys.stdlib_module_names)
    assert foreign <= THIRD_PARTY[room(path)] | LOOKS_ONLY.get(str(path.relative_to(PACKAGE)), set())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_have_a_subject_and_an_end(path: Path) -> None:
    name = str(path.relative_to(PACKAGE))
    assert path.stem not in {"utils", "util", "common", "helpers", "misc"}
    assert name in TABLES or len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_the_law_sees_a_breach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "viewer").mkdir()
    guilty = tmp_path / "viewer" / "page.py"
    guilty.write_text("def f():\n    from ..runtime import pipeline\n    import posemend.training.loop\n")
    assert len(broken_floors(guilty)) == 2
    guilty.write_text("from ..body import pose\nfrom posemend.viewer import scene\n")
    assert broken_floors(guilty) == []
