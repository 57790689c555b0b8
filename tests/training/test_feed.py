"""Batches from another process: in order, and that process does not outlive its master."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from posemend.training.feed import batches
from posemend.training.tasks import maker
from tests.training.test_fit import recipe

FEED = """
import time
from posemend.training.feed import batches
from tests.training.test_fit import recipe
if __name__ == "__main__":
    feed = batches(recipe(), 0, 50)
    next(feed)
    print("fed", flush=True)
    time.sleep(600)
"""


def test_batches_come_in_order() -> None:
    here = maker(recipe())
    for number, batch in enumerate(batches(recipe(), 3, 6), 3):
        assert np.array_equal(batch.inputs()[0], here.batch(number).inputs()[0])


def test_the_worker_ends_with_a_killed_training(tmp_path: Path) -> None:
    """Both write to one pipe, so its end is read when both are gone."""
    script = tmp_path / "feeding.py"
    script.write_text(FEED)
    command, environment = [sys.executable, str(script)], {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as training:
        assert training.stdout is not None
        assert training.stdout.readline() == "fed\n"
        training.kill()
        training.communicate(timeout=30)  # TimeoutExpired if the worker lives on
