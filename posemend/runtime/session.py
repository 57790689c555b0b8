"""A bundle, loaded and ready to run on clips of any length."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemend.contract import certainty
from posemend.contract.card import Card, find, read_card
from posemend.errors import BundleError

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

CHUNK = 2048  # frames at a time: long clips stay small in memory
SHORTEST = 512  # frames; shorter pieces would be mostly overlap


def _cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Model:
    """One network with its card.

    Args:
        folder: Bundle folder.
        threads: How many pieces of a clip run at the same time, 0 = as many as there are cores.

    Raises:
        BundleError: The bundle is damaged or cannot be run here.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        import onnxruntime

        self.card: Card = read_card(folder)
        options = onnxruntime.SessionOptions()
        # one thread for each piece of a clip: making its input runs beside the networks, and no thread waits for others
        options.intra_op_num_threads = 1
        self._workers = threads or int(os.environ.get("POSEMEND_THREADS", "0")) or _cores()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no public base class for its errors
            raise BundleError(f"ONNX Runtime cannot load {folder / 'model.onnx'}: {error}") from None
        self._names = [entry.name for entry in self._session.get_inputs()]
        self._calibrations = {route: certainty.read(self.card.calibration, route) for route in certainty.ROUTES}

    def calibration(self, route: str) -> certainty.Calibration | None:
        """How to correct the errors that the network states on a route, if the card says it."""
        return self._calibrations[route]

    def run(self, frames: int, make: Callable[[Rows], tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
        """Run a whole clip.

        Long clips go through in overlapping pieces, several at a time; the
        overlap is as wide as the network's reach, so that the result does not
        depend on the pieces. Input is made piece by piece, so that it never lies
        in memory as a whole.

        Args:
            frames: Length of the clip.
            make: Gives the network's two inputs, (N, 17, F) and (N, G), for
                frame numbers (N,). Called from several threads.

        Returns:
            positions (T, 17, 3) metres and log expected errors (T, 17).
        """
        patch = self.card.patch
        step = min(CHUNK, max(SHORTEST, -(-frames // self._workers)))
        step = max(step // patch, 1) * patch
        margin = -(-self.card.reach // patch) * patch
        positions = np.empty((frames, 17, 3), np.float32)
        log_error = np.empty((frames, 17), np.float32)

        def piece(first: int) -> None:
            low = max(first - margin, 0)
            high = min(first + step + margin, frames)
            last = min(first + step, frames)
            rows = np.minimum(np.arange(low, low + -(-(high - low) // patch) * patch), frames - 1)
            given = make(rows)
            out = self._session.run(None, dict(zip(self._names, (x[None] for x in given), strict=True)))
            positions[first:last] = out[0][0, first - low : last - low]
            log_error[first:last] = out[1][0, first - low : last - low]

        firsts = range(0, frames, step)
        if len(firsts) == 1:
            piece(0)
        else:
            with ThreadPoolExecutor(self._workers) as pool:
                list(pool.map(piece, firsts))
        return positions, log_error

    def answer(self, **inputs: Floats) -> list[Floats]:
        """What the network answers to its inputs by name, all frames at once; inputs it does not know are left out."""
        return self._session.run(None, {name: inputs[name] for name in self._names})


@lru_cache(maxsize=32)
def _load(folder: Path, threads: int) -> Model:
    return Model(folder, threads)


def model(bundle: str | Path, task: str, threads: int = 0) -> Model:
    """The model of a bundle for a task; loaded once per process.

    Raises:
        BundleError: No such bundle, or it is damaged.
    """
    return _load(find(bundle, task).resolve(), threads)
