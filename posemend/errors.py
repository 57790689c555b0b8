"""Every error a user can meet, as one tree.

    PosemendError                 catch this to catch everything below
    ├── InputError                something about what was handed in
    │   ├── FormatError           a file cannot be read, or its kind is not known
    │   ├── SkeletonError         joints do not fit (count, names, no conversion)
    │   └── HandednessError       left and right look swapped
    ├── BundleError               a model bundle is damaged or does not fit
    ├── RecipeError               a training recipe has a mistake
    ├── BlenderError              Blender is not there, or failed
    └── MissingExtra              an optional package is not installed

Messages follow one form: what happened · what was wanted · what was got · the cure.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class PosemendError(Exception):
    """Base of all errors raised on purpose by posemend."""


class InputError(PosemendError, ValueError):
    """The data handed in cannot be used as it is."""


class FormatError(InputError):
    """A file cannot be read, or its kind cannot be told."""


class SkeletonError(InputError):
    """Joints do not fit: wrong count, unknown name, or no conversion."""


class HandednessError(InputError):
    """The geometry says that left and right are swapped."""


class BundleError(PosemendError):
    """A model bundle is missing, damaged or does not fit the data."""


class RecipeError(PosemendError, ValueError):
    """A training recipe has an unknown key or an impossible value."""


class BlenderError(PosemendError):
    """Blender is not there, or failed."""


class MissingExtra(PosemendError, ImportError):
    """An optional package is needed; the message gives the pip line."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    Args:
        module: Module to import, e.g. ``"torch"``.
        extra: Name of the extra in ``pyproject.toml`` that carries it.

    Raises:
        MissingExtra: The package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"'{module.split('.')[0]}' is needed here and is not installed. "
            f"Install it with: pip install 'posemend[{extra}]'"
        ) from error
