"""``evaluate --table depth``: the depth chain after each of its steps, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


@Parameter(name="*")  # its fields are options of `evaluate`
@dataclass(frozen=True)
class Deep:
    """Options of the table of the depth chain."""

    sets: Annotated[
        list[str] | None,
        Parameter(
            name="--sets", consume_multiple=True, negative=(),
            help="Of --table depth: folders with the depth modules, one for each seed of training; the shipped ones if "
            "left out.",
        ),
    ] = None  # fmt: skip
    published: Annotated[
        Path | None, Parameter(help="Of --table depth: a folder with published forms of modules, to exchange in turn.")
    ] = None
    clips: Annotated[int, Parameter(help="Of --table depth: how many recordings are made up.")] = 8
    frames: Annotated[int, Parameter(help="Of --table depth: frames of each.")] = 60
    threads: Annotated[int, Parameter(help="Of --table depth: threads of the measured speed.")] = 2
    side: Annotated[Literal["side", "top"], Parameter(help="Of --table depth with ITOP: which camera.")] = "side"


def evaluate(asked: Deep, seed: int, itop: Path | None, out: Path | None, as_json: bool) -> None:
    """Measure, write and print."""
    from posemend.cli import output
    from posemend.cli.depth_errors import table, whole
    from posemend.evaluation import report

    with output.working("measuring the depth chain", as_json):
        found = {"schema": report.SCHEMA, **whole(asked, seed, itop), "commit": report.commit()}
    if out is not None:
        report.save(out, found, lambda record: None)
    if as_json:
        output.print_json(found)
    else:
        print(table(found))
