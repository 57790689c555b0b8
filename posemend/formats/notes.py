"""Warnings that point at the caller's line, however deep in this package they arise."""

from __future__ import annotations

import sys
import warnings

_PACKAGE = __name__.split(".")[0] + "."


def tell(message: str) -> None:
    """Warn about something that was repaired or left out, at the first line outside of the package."""
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    warnings.warn(message, stacklevel=level)
