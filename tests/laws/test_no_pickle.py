"""Nothing that is read can run code: no pickle, no object arrays, no unsafe torch.load.

Two modules read other people's old pickles, each through an unpickler that lets
in nothing but numbers, texts and containers.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted(path for path in (REPOSITORY / "posemend").rglob("*.py") if "node_modules" not in path.parts)
PICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
RESTRICTED = {"posemend/formats/unpickle.py", "posemend/nn/legacy.py"}


def unsafe(source: str) -> list[str]:
    """What a source text does that could run a file's code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in PICKLERS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLERS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            named = {word.arg: word.value for word in node.keywords}
            allow = named.get("allow_pickle")
            if allow is not None and not (isinstance(allow, ast.Constant) and allow.value is False):
                found.append(f"allow_pickle in line {node.lineno}")
            called = ast.unparse(node.func)
            if called == "torch.load":
                only = named.get("weights_only")
                if not (isinstance(only, ast.Constant) and only.value is True):
                    found.append(f"torch.load without weights_only=True in line {node.lineno}")
            if called in ("eval", "exec", "os.system") or called.endswith("read_pickle"):
                found.append(f"{called} in line {node.lineno}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_file_can_run_code(path: Path) -> None:
    found = unsafe(path.read_text(encoding="utf-8"))
    if str(path.relative_to(REPOSITORY)) in RESTRICTED:
        found = [what for what in found if what != "pickle"]
    assert found == []


def test_restricted_unpicklers_look_every_class_up() -> None:
    for name in RESTRICTED:
        tree = ast.parse((REPOSITORY / name).read_text(encoding="utf-8"))
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert calls.isdisjoint({"pickle.load", "pickle.loads"})
        assert any(isinstance(node, ast.FunctionDef) and node.name == "find_class" for node in ast.walk(tree))


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "np.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=flag)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "eval(text)",
    ],
)
def test_the_law_sees_a_breach(source: str) -> None:
    assert unsafe(source) != []


@pytest.mark.parametrize(
    "source", ["np.load(f, allow_pickle=False)", "torch.load(f, weights_only=True)", "model.eval()"]
)
def test_the_law_leaves_the_rest_alone(source: str) -> None:
    assert unsafe(source) == []
