"""Weights out of other people's ``torch.save`` files, without running what is in them.

Such files are pickles, which can name any function to be called. Here a name
stands for nothing but an inert record; storages are read as plain bytes, and
tensors are made from them after offset, shape and stride have been compared
with what is there. Two layouts exist: a row of pickles followed by the raw
storages (before PyTorch 1.6, often called ``.pth.tar``), and a zip archive.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from posemend.errors import FormatError

MAX_BYTES = 2 << 30
SECTIONS = ("state_dict", "model_pos", "model")  # SemGCN's, VideoPose3D's, many others' name for the weights
_MAGIC = 0x1950A86A20F9469CFC6C


class _Inert:
    """What stands for anything that is let in but of no interest."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass


class _Table(dict):  # type: ignore[type-arg]
    """What stands for an ordered dict; networks hang version notes on theirs, which are read over."""

    def __setstate__(self, state: object) -> None:
        pass


@dataclass(frozen=True)
class _Kind:
    """What stands for a storage class."""

    dtype: torch.dtype

    def __call__(self, *_: object) -> None:
        raise FormatError("a storage outside of its place")


@dataclass(frozen=True)
class _Storage:
    """What stands for a storage: ``count`` numbers from number ``first`` of the bytes called ``key``."""

    dtype: torch.dtype
    key: str
    count: int
    first: int = 0


class _Record:
    """What stands for a tensor until the storages are known."""

    def __init__(self, storage: Any, offset: Any, shape: Any, stride: Any, *_: object) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def __setstate__(self, state: object) -> None:
        raise FormatError("a tensor with a state of its own")

    def tensor(self, data: dict[str, bytes]) -> Tensor:
        """The tensor, after its bounds have been checked."""
        storage = self.storage
        shape, stride = tuple(self.shape), tuple(self.stride)
        numbers = (self.offset, *shape, *stride)
        if not isinstance(storage, _Storage) or len(shape) != len(stride) or len(shape) > 8:
            raise FormatError("a damaged tensor")
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise FormatError("a tensor of impossible shape")
        if 0 in shape:
            return torch.zeros(shape, dtype=storage.dtype)
        last = self.offset + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))
        size = torch.empty((), dtype=storage.dtype).element_size()
        raw = data.get(storage.key, b"")
        if last >= storage.count or (storage.first + storage.count) * size > len(raw):
            raise FormatError("a tensor that reaches beyond its storage")
        whole = torch.frombuffer(bytearray(raw), dtype=storage.dtype, count=storage.count, offset=storage.first * size)
        return whole.as_strided(shape, stride, self.offset).clone(memory_format=torch.contiguous_format)


def _parameter(data: Any, *_: object) -> Any:
    return data


_STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
# what optimisers, options and random states bring along
_READ_OVER = (
    ("collections", "defaultdict"), ("argparse", "Namespace"), ("_codecs", "encode"),
    ("numpy", "ndarray"), ("numpy", "dtype"), ("numpy.random", "__RandomState_ctor"),
    ("numpy.random._pickle", "__randomstate_ctor"), ("numpy.random._pickle", "__bit_generator_ctor"),
    ("numpy.random._mt19937", "MT19937"), ("numpy.random.mtrand", "RandomState"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
)  # fmt: skip
_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    **{("torch", name): _Kind(dtype) for name, dtype in _STORAGES.items()},
    ("torch._utils", "_rebuild_tensor"): _Record,
    ("torch._utils", "_rebuild_tensor_v2"): _Record,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.nn.parameter", "Parameter"): _parameter,
    ("collections", "OrderedDict"): _Table,
    **dict.fromkeys(_READ_OVER, _Inert),
}  # fmt: skip


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise FormatError(f"the forbidden object {module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        pid = tuple(part.decode("ascii") if isinstance(part, bytes) else part for part in pid)
        if len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], _Kind):
            raise FormatError("a whole pickled module instead of its weights")
        view = pid[5] if len(pid) > 5 else None
        if view is None:
            return _Storage(pid[1].dtype, str(pid[2]), int(pid[4]))
        return _Storage(pid[1].dtype, str(pid[2]), int(view[2]), int(view[1]))


def _read_row(stream: BinaryIO, size: int) -> tuple[Any, dict[str, bytes]]:
    """The older layout: magic number, version, system, value, storage names, storages."""

    def pickled() -> Any:
        return _Reader(stream, encoding="latin1").load()

    if pickled() != _MAGIC:
        raise FormatError("no number that PyTorch files begin with")
    pickled()  # version
    if not pickled().get("little_endian", True):
        raise FormatError("numbers in big-endian order")
    value, keys = pickled(), pickled()
    sizes = _element_sizes(value)
    data = {}
    for key in map(str, keys):
        (count,) = struct.unpack("<q", stream.read(8))
        length = count * sizes.get(key, 1)
        if count < 0 or length > size:
            raise FormatError("a storage that is longer than the file")
        if key not in sizes:
            raise FormatError("a storage that no tensor uses")
        data[key] = stream.read(length)
    return value, data


def _element_sizes(value: Any) -> dict[str, int]:
    """Bytes per number of each storage that tensors somewhere in ``value`` use."""
    sizes: dict[str, int] = {}
    waiting, known = [value], set()
    while waiting:
        item = waiting.pop()
        if id(item) in known:  # a pickle may hold the same list a million times
            continue
        known.add(id(item))
        if isinstance(item, _Record) and isinstance(item.storage, _Storage):
            sizes[item.storage.key] = torch.empty((), dtype=item.storage.dtype).element_size()
        elif isinstance(item, dict):
            waiting += list(item.values())
        elif isinstance(item, (list, tuple)):
            waiting += item
    return sizes


def _read_zip(stream: BinaryIO) -> tuple[Any, dict[str, bytes]]:
    """The newer layout: ``<name>/data.pkl`` and ``<name>/data/<key>``."""
    with zipfile.ZipFile(stream) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise FormatError("more than 2 GiB of data")
        names = archive.namelist()
        main = next((name for name in names if name.endswith("/data.pkl")), None)
        if main is None:
            raise FormatError("no data.pkl")
        top = main[: -len("data.pkl")]
        if f"{top}byteorder" in names and archive.read(f"{top}byteorder") != b"little":
            raise FormatError("numbers in big-endian order")
        value = _Reader(io.BytesIO(archive.read(main)), encoding="latin1").load()
        data = {key: archive.read(f"{top}data/{key}") for key in _element_sizes(value)}
    return value, data


def _weights(value: Any) -> dict[str, _Record]:
    """The first table of tensors: a named section, or the whole file."""
    tables = [value.get(name) for name in SECTIONS] + [value] if isinstance(value, dict) else []
    for table in tables:
        if isinstance(table, dict) and table and all(isinstance(item, _Record) for item in table.values()):
            return {str(name): item for name, item in table.items()}
    held = f" It holds: {', '.join(map(str, list(value)[:12]))}." if isinstance(value, dict) else ""
    raise FormatError(f"no table of weights (looked for {', '.join(SECTIONS)}).{held}")


def load_legacy(path: str | Path) -> dict[str, Tensor]:
    """Weights of a ``torch.save`` file, old or new layout; nothing in it is run.

    The table called ``state_dict``, ``model_pos`` or ``model`` is taken, or
    the whole file where it is one table. The ``module.`` that parallel
    training puts before every name is taken off.

    Raises:
        FormatError: The file is missing, damaged, no such file, or names objects that weights do not need.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FormatError("more than 2 GiB of data")
        with path.open("rb") as stream:
            value, data = _read_zip(stream) if zipfile.is_zipfile(path) else _read_row(stream, size)
        weights = {name: record.tensor(data) for name, record in _weights(value).items()}
    except FormatError as error:
        raise FormatError(
            f"{path} holds {error}. Wanted a file that torch.save wrote, with a table of weights and nothing to run."
        ) from None
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error}. Check the path.") from None
    except Exception as error:  # a damaged pickle can fail in any way at all
        raise FormatError(f"{path} is damaged or no torch.save file ({type(error).__name__}: {error}).") from None
    if all(name.startswith("module.") for name in weights):
        weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    return weights
