"""What lies beside the package: recipes parse, results fit, pages name commands that exist, bundles are there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPES = sorted((REPOSITORY / "recipes").glob("*.toml"))
RESULTS = sorted((REPOSITORY / "results").rglob("*.json"))
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BUNDLES = REPOSITORY / "posemend" / "bundles"

# of somebody's machine, not of the project; put together so that this file does not find itself
MACHINE_PATH = re.compile(
    r"(?<![\w.:/}>-])/(?:" + "|".join(["work", "opt", "root", r"home/\w+", r"Users/\w+"]) + r")/\w"
)


def text_files() -> Iterator[tuple[Path, str]]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        path = REPOSITORY / name
        if not path.is_file() or path.stat().st_size > 2_000_000:
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_parses(path: Path) -> None:
    from posemend.training.recipe import load

    load(path, [])


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_result_fits_its_schema(path: Path) -> None:
    from posemend.evaluation.refiners import read_table
    from posemend.evaluation.report import read_result

    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    if "protocol" in found:  # errors; other measurements (speed, size) have a form of their own
        read_result(path)
    elif found.get("kind") == "refiners":
        read_table(path)
    else:
        from benchmarks.record import check

        check(found, published=True)


def test_no_machine_paths() -> None:
    guilty = [
        f"{path.relative_to(REPOSITORY)}: {match.group()}"
        for path, text in text_files()
        for match in MACHINE_PATH.finditer(text)
    ]
    assert guilty == []


def test_machine_paths_would_be_seen() -> None:
    assert MACHINE_PATH.search("root = '" + "/work" + "/main'")
    assert MACHINE_PATH.search('open("' + "/home" + '/me/x")')
    assert not MACHINE_PATH.search("recipes/work/main and https://example.org/opt/x")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shell_lines(path: Path) -> list[str]:
    joined = "\n".join(blocks(path, "sh")).replace("\\\n", " ")
    return [line.split("  #")[0].strip() for line in joined.splitlines() if line.strip()]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_shell_blocks_are_real_commands(path: Path) -> None:
    from posemend.cli.main import app

    for line in shell_lines(path):
        words = shlex.split(line)
        if words[0] == "posemend":
            app.parse_args(words[1:], exit_on_error=False, print_error=False)  # parsed, not run
        elif words[0].startswith(("scripts/", ".ci/")):
            script = REPOSITORY / words[0]
            assert script.is_file() and os.access(script, os.X_OK), line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_python_blocks_use_public_names(path: Path) -> None:
    import posemend

    for block in blocks(path, "python"):
        compile(block, str(path), "exec")
        assert set(re.findall(r"\bposemend\.(\w+)", block)) <= {*posemend.__all__}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_readme_has_its_two_commands() -> None:
    assert {"scripts/demo.sh", "scripts/test.sh"} <= set(shell_lines(PAGES[0]))
    assert "scripts/test.sh" in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")


def test_pages_name_every_kind_skeleton_and_suffix() -> None:
    from posemend.body.catalogue import SKELETONS
    from posemend.formats import KINDS, WRITERS

    formats = (REPOSITORY / "docs" / "formats.md").read_text(encoding="utf-8")
    conventions = (REPOSITORY / "docs" / "conventions.md").read_text(encoding="utf-8")
    assert [name for name in [*KINDS, *WRITERS] if f"`{name}`" not in formats] == []
    assert [name for name in SKELETONS if f"`{name}`" not in conventions] == []


def test_packaging_says_what_the_code_says() -> None:
    import posemend

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == posemend.__version__
    assert f"## [{project['version']}]" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert not any(re.match(r"torch|onnx\b", name) for name in project["dependencies"])
    pinned = set(re.findall(r"^([\w-]+)==", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    extras = project["optional-dependencies"]
    wanted = {re.split(r"[<>=\[]", name)[0] for name in [*project["dependencies"], *sum(extras.values(), [])]}
    assert wanted - {"posemend"} == pinned


def test_bundles_are_shipped_small_and_whole() -> None:
    from posemend.contract.card import DEPTH_SET, DEPTH_TASKS, SETS, TASKS, find, read_card

    for name in SETS:
        for task in TASKS:
            card = read_card(find(name, task))  # compares the model's hash
            assert card.task == task
            assert card.commercial or name != "default"
    for task in DEPTH_TASKS:
        card = read_card(find(DEPTH_SET, task))
        assert card.task == task and card.commercial
    assert sum(path.stat().st_size for path in BUNDLES.rglob("*") if path.is_file()) <= 10_000_000
