"""Work spread over processes: one that dies takes its own job with it, and all of them leave with their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def leave_with_parent() -> None:
    """End this process when the one that it works for is killed; nobody else would tell it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _start() -> None:
    """Leave Ctrl-C to the parent, and leave with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_parent, daemon=True).start()


def _lane() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_start)


def spread(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[tuple[int, Result | None]]:
    """Results as they come, with the place of their job; ``None`` for a job whose process died.

    Each worker has a pool of its own with one job in it at a time: when one
    dies, it is known over which job, and the others go on.

    Args:
        work: A function of a module, with arguments and results that can be pickled between processes.
        jobs: One argument each.
        workers: Processes.
    """
    waiting = deque(enumerate(jobs))
    lanes = [_lane() for _ in range(min(workers, len(jobs)))]
    running: dict[Future[Result], tuple[int, int]] = {}
    try:
        while waiting or running:
            for lane in set(range(len(lanes))) - {lane for _, lane in running.values()}:
                if waiting:
                    place, job = waiting.popleft()
                    running[lanes[lane].submit(work, job)] = place, lane
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                place, lane = running.pop(future)
                result: Result | None = None
                try:
                    result = future.result()
                except BrokenProcessPool:
                    lanes[lane].shutdown(wait=False)
                    lanes[lane] = _lane()
                yield place, result
    finally:
        for pool in lanes:
            pool.shutdown(wait=True, cancel_futures=True)
