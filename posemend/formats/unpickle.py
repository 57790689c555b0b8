"""A pickle reader that lets in arrays, dicts, lists, texts and numbers, and nothing else.

Needed for one thing: the object arrays of VideoPose3D-style 2D files. Even
NumPy's own unpickling code is not called (a forged array state can make it
read out of bounds): arrays arrive as inert records, and are turned into real
arrays here after shape, dtype and byte count have been compared.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from posemend.errors import FormatError

MAX_NODES = 2_000_000
MAX_DEPTH = 12
_PLAIN = (str, bytes, int, float, bool, type(None))


class _Type:
    """What stands for a ``numpy.dtype`` while the pickle is read."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]

    def dtype(self) -> np.dtype:
        if not isinstance(self.code, str) or not re.fullmatch(r"[fiubOUS]\d{0,5}|bool", self.code):
            raise FormatError(f"an array of type {self.code!r}")
        if self.order not in ("<", ">", "|", "="):
            raise FormatError(f"an array with byte order {self.order!r}")
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]


class _Record:
    """What stands for a ``numpy.ndarray`` while the pickle is read."""

    def __init__(self, *_: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Scalar:
    """What stands for a NumPy number while the pickle is read."""

    def __init__(self, kind: Any, raw: Any = b"") -> None:
        self.kind, self.raw = kind, raw


class _NoClass:
    """What stands for the class ``numpy.ndarray`` itself, which is only ever an argument."""


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise FormatError(f"text in {encoding!r}")
    return text.encode("latin1")


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    **{(module, "_reconstruct"): _Record for module in _MULTIARRAY},
    **{(module, "scalar"): _Scalar for module in _MULTIARRAY},
    ("numpy", "ndarray"): _NoClass,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _latin1,
    ("collections", "OrderedDict"): dict,
    **{(module, "list"): list for module in ("builtins", "__builtin__")},
    **{(module, "dict"): dict for module in ("builtins", "__builtin__")},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise FormatError(f"the forbidden object {module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise FormatError("a reference to something outside of the file")


class _Tree:
    """Turns records into arrays, with a budget against trees that explode."""

    def __init__(self) -> None:
        self.nodes = 0
        self.bytes = 0

    def real(self, value: Any, depth: int = 0) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise FormatError("too many or too deeply nested values")
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, dict):
            return {self.real(key, depth + 1): self.real(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.real(item, depth + 1) for item in value]
        if isinstance(value, _Record):
            return self._array(value.state, depth)
        if isinstance(value, _Scalar) and isinstance(value.kind, _Type):
            return self._array((1, (1,), value.kind, False, value.raw), depth)[0].item()
        raise FormatError(f"a bare {type(value).__name__.strip('_')}")

    def _array(self, state: Any, depth: int) -> NDArray[Any]:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Type):
            raise FormatError("a damaged array")
        _, shape, kind, fortran, raw = state
        good = isinstance(shape, tuple) and all(isinstance(length, int) and length >= 0 for length in shape)
        if not good or len(shape) > 6:
            raise FormatError("an array of impossible shape")
        dtype, count = kind.dtype(), math.prod(shape)
        order: Literal["F", "C"] = "F" if fortran else "C"
        if dtype.hasobject:
            if not isinstance(raw, list) or len(raw) != count:
                raise FormatError("an array whose length is not what it says")
            items = np.empty(count, object)
            for place, item in enumerate(raw):
                items[place] = self.real(item, depth + 1)
            return items.reshape(shape, order=order)
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        if not isinstance(raw, (bytes, bytearray)) or len(raw) != count * dtype.itemsize:
            raise FormatError("an array whose length is not what it says")
        return np.frombuffer(bytes(raw), dtype, count).reshape(shape, order=order) if count else np.zeros(shape, dtype)


def unpickle(stream: BinaryIO, where: str) -> Any:
    """The value of a pickle made of arrays, dicts, lists, texts and numbers.

    Args:
        stream: At the first byte of the pickle.
        where: Name of the file and array, for messages.

    Raises:
        FormatError: Anything else is in there, or the pickle is damaged.
    """
    try:
        return _Tree().real(_Reader(stream, encoding="latin1").load())
    except FormatError as error:
        raise FormatError(
            f"{where} holds {error}; only arrays, dicts, lists, texts and numbers are let in. "
            "Do not open this file with other tools unless you know where it comes from."
        ) from None
    except Exception as error:  # a damaged pickle can fail in any way at all
        raise FormatError(f"{where} is a damaged pickle ({type(error).__name__}: {error}).") from None
