"""Batches made ahead in another process, in order.

Batches are numbered and depend on nothing but their number, so it does not
matter where or when they are made.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from posemend.datasets.workers import leave_with_parent
from posemend.training.recipe import Recipe
from posemend.training.tasks import BatchLike

AHEAD = 4

_maker: Any = None  # the worker process's own maker; set once by _start


def _start(recipe: Recipe) -> None:
    global _maker
    import torch

    from posemend.training.tasks import maker

    torch.set_num_threads(1)  # the other processor cores are the network's
    threading.Thread(target=leave_with_parent, daemon=True).start()
    _maker = maker(recipe)


def _make(number: int) -> BatchLike:
    return _maker.batch(number)


def batches(recipe: Recipe, first: int, last: int) -> Iterator[BatchLike]:
    """Batches ``first`` to ``last - 1`` of a recipe."""
    context = multiprocessing.get_context("spawn")  # a forked torch can hang
    with ProcessPoolExecutor(1, mp_context=context, initializer=_start, initargs=(recipe,)) as pool:
        waiting: deque[Future[BatchLike]] = deque()
        for number in range(first, last):
            waiting.append(pool.submit(_make, number))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
