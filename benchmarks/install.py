"""How large the default install is, and that it works: a fresh environment, `pip install`, doctor, demo.

    python benchmarks/install.py --output results/install.json

Needs a way to the package registry, and nothing but Python. The environment
lies in a temporary folder and is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from record import SCHEMA, check_target, facts, save

REPOSITORY = Path(__file__).resolve().parents[1]
UNWANTED = re.compile(r"torch|nvidia|cuda|triton|tensorflow|jax", re.IGNORECASE)
INSTALLERS = ("pip", "setuptools", "wheel")  # what `venv` puts there itself
PATIENCE = 1800  # seconds

# inside the new environment: each distribution with the bytes of its own files, and where they lie
_INVENTORY = """
import json, os, sysconfig
from importlib import metadata
place = sysconfig.get_paths()["purelib"]
found = []
for one in metadata.distributions(path=[place]):
    paths = {os.path.realpath(one.locate_file(file)) for file in one.files or ()}
    size = sum(os.lstat(path).st_size for path in paths if os.path.isfile(path))
    found.append({"name": one.metadata["Name"], "version": one.version, "bytes": size})
print(json.dumps({"place": place, "found": sorted(found, key=lambda one: -one["bytes"])}))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Install, measure, print, and write if asked to; 0 if what was installed works and holds nothing unwanted."""
    parser = argparse.ArgumentParser(description="How large the default install is, and that it works.")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--cache", action="store_true", help="let pip use its cache; the seconds then tell less")
    told = parser.parse_args(arguments)
    try:
        if told.output is not None:
            check_target(told.output)
        with tempfile.TemporaryDirectory(prefix="posemend-install-") as folder:
            record = measured(Path(folder), told.cache)
        if told.output is not None:
            save(told.output, record)
    except (RuntimeError, ValueError, OSError) as error:
        print(f"benchmark: error: {error}", file=sys.stderr)
        return 1
    print(table(record))
    return 0 if record["passed"] else 1


def measured(folder: Path, cache: bool) -> dict[str, Any]:
    """The whole record, from an environment made in ``folder``."""
    python = folder / "venv" / "bin" / "python"
    making = _timed([sys.executable, "-m", "venv", str(folder / "venv")], folder)
    words = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    words += [] if cache else ["--no-cache-dir"]
    installing = _timed([str(python), *words, str(REPOSITORY), "-c", str(REPOSITORY / "constraints.txt")], folder)
    inventory = json.loads(_said([str(python), "-c", _INVENTORY], folder))
    place = Path(inventory["place"])
    packages = [one for one in inventory["found"] if one["name"].lower() not in INSTALLERS]
    whole = tree_bytes(place)
    own = whole - sum(tree_bytes(path) for path in place.iterdir() if _of_installers(path.name))
    doctor, demo = _doctor(folder), _demo(folder)
    unwanted = [one["name"] for one in packages if UNWANTED.search(one["name"])]
    return {
        "kind": "install", "schema": SCHEMA, "settings": {"extras": [], "constraints": True, "cache": cache},
        "seconds": {"environment": round(making, 1), "install": round(installing, 1)},
        "packages": {
            "count": len(packages),
            "with_installers": len(inventory["found"]),
            "list": [{"name": one["name"], "version": one["version"], "mb": _mb(one["bytes"])} for one in packages],
        },
        "size_mb": {
            "site_packages": _mb(whole), "without_pip": _mb(own), "posemend": _mb(tree_bytes(place / "posemend")),
            "bundles": _mb(tree_bytes(place / "posemend" / "bundles")),
        },
        "unwanted": unwanted, "doctor": doctor, "demo": demo,
        "passed": doctor["healthy"] and demo["passed"] and not unwanted,
        **facts(REPOSITORY),
    }  # fmt: skip


def tree_bytes(path: Path) -> int:
    """Apparent size of a file or of all files below a folder; links count as links, what is not there as 0."""
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size
    return sum(one.lstat().st_size for one in path.rglob("*") if one.is_symlink() or one.is_file())


def _of_installers(name: str) -> bool:
    parts = (*INSTALLERS, "pkg_resources", "_distutils_hack", "distutils-precedence.pth")
    return any(name == part or name.startswith(f"{part}-") for part in parts)


def _mb(size: int) -> float:
    return round(size / 1e6, 2)


def _environment() -> dict[str, str]:
    """Without what would let this tree or another environment be seen from the new one."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command), cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


def _said(command: Sequence[str], folder: Path) -> str:
    done = _run(command, folder)
    if done.returncode:
        what = " ".join(["python", *command[1:4]]) if "-m" in command else "python"
        raise RuntimeError(f"`{what} ...` ended with exit code {done.returncode}: {done.stderr.strip()[-800:]}")
    return done.stdout


def _timed(command: Sequence[str], folder: Path) -> float:
    started = time.perf_counter()
    _said(command, folder)
    return time.perf_counter() - started


def _answer(folder: Path, *words: str) -> tuple[int, Mapping[str, Any]]:
    """Exit code and JSON of a `posemend` command in the new environment."""
    done = _run([str(folder / "venv" / "bin" / "posemend"), *words, "--json"], folder)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(
            f"`posemend {words[0]} --json` printed no JSON and ended with exit code {done.returncode}: "
            f"{done.stderr.strip()[-800:]}"
        ) from None


def _doctor(folder: Path) -> dict[str, Any]:
    code, said = _answer(folder, "doctor")
    checks = said.get("checks", [])
    return {
        "healthy": code == 0 and said.get("healthy") is True,
        "ok": [one["name"] for one in checks if one["state"] == "ok"],
        "missing": [one["name"] for one in checks if one["state"] == "missing"],
        "broken": [f"{one['name']}: {one['found']}" for one in checks if one["state"] == "broken"],
    }


def _demo(folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    code, said = _answer(folder, "demo", "-o", "demo.html")
    seconds = round(time.perf_counter() - started, 2)
    if code or "error" in said:
        return {"passed": False, "seconds": seconds, "error": said.get("error", {}).get("message", f"exit code {code}")}
    page = folder / "demo.html"
    made = page.is_file() and page.stat().st_size > 0
    return {"passed": made, "seconds": seconds} | {key: said[key] for key in ("frames", "raw", "refined")}


def table(record: Mapping[str, Any]) -> str:
    """The record for people."""
    size, seconds = record["size_mb"], record["seconds"]
    largest = ", ".join(f"{one['name']} {one['mb']:.0f}" for one in record["packages"]["list"][:4])
    lines = [
        f"{record['packages']['count']} packages (posemend among them; {record['packages']['with_installers']} with "
        "what venv brings)",
        f"{size['without_pip']:.0f} MB without pip, {size['site_packages']:.0f} MB with it; the largest: {largest}",
        f"posemend itself {size['posemend']:.1f} MB, of which bundles {size['bundles']:.1f} MB",
        f"environment {seconds['environment']:.0f} s, install {seconds['install']:.0f} s",
        f"unwanted packages: {', '.join(record['unwanted']) or 'none'}",
        f"doctor: {'healthy' if record['doctor']['healthy'] else '; '.join(record['doctor']['broken']) or 'unhealthy'}",
        f"demo: {'works' if record['demo']['passed'] else record['demo'].get('error', 'no page')}, "
        f"{record['demo']['seconds']} s",
    ]
    return "\n".join([*lines, "passed" if record["passed"] else "NOT passed"])


if __name__ == "__main__":
    sys.exit(main())
