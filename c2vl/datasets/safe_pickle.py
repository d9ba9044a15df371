"""Unpickle numbers, text, containers and NumPy arrays, and nothing that could run code.

A pickle is a program: `pickle.load` runs whatever a stranger's file asks for. This one looks
names up in a short table instead of importing them, so a file that asks for anything else is
refused before anything of it is called. NumPy's own names are not in that table: its dtypes and
arrays take any state that a pickle gives them, object pointers and fields outside the array
included.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

from c2vl.core.errors import UserError

_PLAIN = re.compile(
    r"[?bBhHiIlLqQefd]|[biuf]\d{1,2}|[SU]\d{1,6}", re.ASCII
)  # codes of dtypes without structure or objects


class _Array:
    """Stands for numpy.ndarray in a pickle; it is only ever named there, never called."""


class _Dtype:
    """Stands for numpy.dtype: a plain one."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        if not isinstance(code, str) or not _PLAIN.fullmatch(code):
            raise pickle.UnpicklingError(f"it has an array of {code!r}"[:100])
        self.plain: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order, and nothing else."""
        _, order, *layout = state
        if order not in ("<", ">", "|", "=") or layout[:3] != [None] * 3:
            raise pickle.UnpicklingError("it has an array of a structured type")
        self.plain = self.plain.newbyteorder(order)


class _PlainArray(np.ndarray):
    """An array that a pickle fills with bytes only."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take shape, type, order and bytes."""
        shape, dtype, fortran, data = state[-4:]
        checked: Any = (1, _fitting(shape, dtype, data), dtype.plain, bool(fortran), data)
        super().__setstate__(checked)


def _fitting(shape: Any, dtype: Any, data: Any) -> tuple[int, ...]:
    """`shape`, if it is one and `data` is exactly what it needs."""
    whole = isinstance(shape, tuple) and all(isinstance(size, int) and size >= 0 for size in shape)
    if not whole or not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray | str):
        raise pickle.UnpicklingError("it has an array that is not made of plain bytes")
    if len(data) != math.prod(shape) * dtype.plain.itemsize:
        raise pickle.UnpicklingError("it has an array of more or fewer bytes than its shape says")
    return shape


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """An empty array, which the pickle then fills (NumPy's own takes any class and size)."""
    return _PlainArray((0,), np.int8)


def _frombuffer(data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    shape = (shape,) if isinstance(shape, int) else shape
    return np.frombuffer(data, dtype.plain).reshape(
        _fitting(shape, dtype, data), order="F" if order == "F" else "C"
    )


def _scalar(dtype: Any, data: Any = b"") -> Any:
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype.plain).reshape(_fitting((), dtype, data))[()]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How protocols 0 to 2 write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("bytes in another encoding than latin1")
    return str(text).encode("latin1")


_NUMPY = {"_reconstruct": _reconstruct, "scalar": _scalar, "_frombuffer": _frombuffer}
_ALLOWED: dict[tuple[str, str], Any] = {
    **{
        (f"numpy.{core}.{module}", name): value
        for core in ("core", "_core")
        for module in ("multiarray", "numeric")
        for name, value in _NUMPY.items()
    },
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}"[:100]) from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it asks for something outside the file")


def _refuse_bombs(file: IO[bytes], size: int) -> None:
    """Refuse programs that make the unpickler take memory out of all proportion to their length."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > count:
            raise pickle.UnpicklingError("it numbers its objects beyond their count")
        if opcode.name == "FRAME" and int(argument or 0) > size:
            raise pickle.UnpicklingError("it is cut short")


def load_pickle(path: Path) -> Any:
    """Return the content of a pickle of numbers, text, containers and arrays.

    Raises:
        UserError: the file cannot be read, is damaged, or holds anything else.
    """
    try:
        with path.open("rb") as file:
            _refuse_bombs(file, path.stat().st_size)
            file.seek(0)
            return _Unpickler(file, encoding="latin1").load()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from None
    except (
        Exception,
        RecursionError,
        MemoryError,
    ) as error:  # a damaged program may fail in any way
        why = str(error)[:100] or type(error).__name__
        raise UserError(
            f"{path} is no pickle of plain numbers, text and arrays, and is not loaded: {why}."
        ) from None
