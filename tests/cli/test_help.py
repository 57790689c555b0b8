"""Every verb explains itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

import posemend

VERBS = (
    "run", "lift", "refine", "triangulate", "convert", "view", "evaluate", "train", "adapt", "export", "calibrate",
    "doctor", "demo", "data build",
)  # fmt: skip


def test_help_lists_every_verb_in_order(call) -> None:
    said = call("--help")
    assert said.code == 0
    places = [said.out.index(f"\n│ {verb.split()[0]} ") for verb in VERBS]
    assert places == sorted(places)


def test_no_words_is_help(call) -> None:
    assert call().out == call("--help").out


@pytest.mark.parametrize("verb", VERBS)
def test_verb_helps_and_has_json(call, verb: str) -> None:
    said = call(*verb.split(), "--help")
    assert said.code == 0
    assert f"posemend {verb}" in said.out
    assert "--json" in said.out


def test_version(call) -> None:
    assert call("--version").out.strip() == posemend.__version__


def test_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "posemend", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == posemend.__version__
    done = subprocess.run([sys.executable, "-m", "posemend", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
