"""The field's benchmarks by name: which reader, which split is whose, which average their tables use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from posemend.body.pose import Take
from posemend.datasets import human36m, mpi_inf_3dhp, threedpw
from posemend.errors import InputError


@dataclass(frozen=True)
class Benchmark:
    """What the papers agree on.

    Attributes:
        training: Subjects (3DPW: splits) to learn from.
        test: Subjects (splits) to report.
        averaging: Name in ``posemend.evaluation.papers``.
    """

    training: tuple[str, ...]
    test: tuple[str, ...]
    averaging: str


BENCHMARKS = {
    "human36m": Benchmark(human36m.TRAINING_SUBJECTS, human36m.TEST_SUBJECTS, "h36m"),
    "mpi-inf-3dhp": Benchmark(mpi_inf_3dhp.TRAINING_SUBJECTS, mpi_inf_3dhp.TEST_SUBJECTS, "3dhp"),
    "3dpw": Benchmark(("train",), threedpw.TEST_SUBJECTS, "3dpw"),
}


def read(
    name: str,
    root: str | Path,
    subjects: Iterable[str] | None = None,
    actions: Iterable[str] | None = None,
    cameras: Iterable[str | int] | None = None,
    *,
    detections: str | None = None,
    trust: bool = False,
) -> list[Take]:
    """Takes of a benchmark; the papers' test split where no subject is named.

    Args:
        name: Key of ``BENCHMARKS``.
        root: Folder of the data set, see its reader.
        subjects: Subjects; of 3DPW its splits.
        actions: Actions; of 3DPW its sequences.
        cameras: Cameras; of 3DPW its people.
        detections: Human3.6M only: which file of detections comes along.
        trust: Open pickled files through the restricted unpickler.

    Raises:
        InputError: No such benchmark, or something asked for is not there.
        FormatError: A file is damaged or not trusted.
    """
    if name not in BENCHMARKS:
        raise InputError(f"No benchmark is called '{name}'. There are: {', '.join(BENCHMARKS)}.")
    if detections is not None and name != "human36m":
        raise InputError(f"'{name}' has no files of detections to choose from; detections are for human36m.")
    chosen = BENCHMARKS[name].test if subjects is None else subjects
    if name == "human36m":
        return human36m.read(root, chosen, actions, cameras, detections=detections, trust=trust)
    if name == "mpi-inf-3dhp":
        return mpi_inf_3dhp.read(root, chosen, actions, cameras, trust=trust)
    return threedpw.read(root, chosen, actions, cameras, trust=trust)
