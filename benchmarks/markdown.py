"""Tables in Markdown, for the pages of ``docs/results.md``."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, and an empty one after it."""
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)] + [""]


def give_or_take(mean: float, half: float | None, form: str = ".1f") -> str:
    """A mean with half the width of its interval, where it has one."""
    return f"{mean:{form}}" + ("" if half is None else f" ± {half:{form.lstrip('+')}}")
