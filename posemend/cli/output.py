"""What the commands say, and where: results on standard output, talk on standard error.

With ``--json`` standard output holds one JSON object and nothing else. Progress
is drawn on a terminal only.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from posemend.errors import InputError


def plain(value: Any) -> Any:
    """A value as JSON can hold it: numbers that are not finite become ``None``, paths become text."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy arrays and numbers, without importing NumPy
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False))


def note(text: str) -> None:
    """A remark for people, on standard error."""
    print(f"posemend: {text}", file=sys.stderr)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = True) -> None:
    """A table on standard output; the first column is text, the others are numbers or text."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and place else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


@contextlib.contextmanager
def working(text: str, as_json: bool = False) -> Iterator[None]:
    """Show that something takes its time: a spinner on a terminal, nothing elsewhere."""
    if as_json or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{text} ..."):
        yield


@contextlib.contextmanager
def remarks(as_json: bool = False) -> Iterator[list[str]]:
    """Collect what the rooms below warn of; said on standard error at the end, unless a program listens.

    After an error the collected warnings are said too, as they often explain it.
    """
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield found
        finally:
            found += dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, UserWarning))
            for text in found if not as_json else ():
                note(f"warning: {text}")


@contextlib.contextmanager
def counting(text: str, as_json: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """A bar with the time left, on a terminal; gives what is to be called with (done, in all), or ``None``."""
    if as_json or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def check_output(path: Path, suffixes: Sequence[str], inputs: Sequence[Path] = ()) -> None:
    """Refuse an impossible output before any work is done.

    Raises:
        InputError: The suffix is not known, the folder does not exist, the
            path is a folder, or it is one of the inputs.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(
            f"Cannot write '{path}': the suffix says the format, wanted one of {', '.join(suffixes)}, "
            f"got '{path.suffix}'."
        )
    if path.is_dir():
        raise InputError(f"Cannot write '{path}': it is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise InputError(f"Cannot write '{path}': there is no folder '{path.parent}'. Make it first.")
    for taken in inputs:
        if path.exists() and taken.exists() and path.samefile(taken):
            raise InputError(f"Cannot write '{path}': it is the input. Choose another name.")
