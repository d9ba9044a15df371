"""Unpickle numbers, text, containers and NumPy arrays, and nothing that could run code.

A pickle is a program: `pickle.load` on a stranger's file hands over the machine. This one looks names up in a short table
instead of importing them, so a file that asks for anything else is refused before anything of it is called.
"""

from __future__ import annotations

import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy._core.multiarray import scalar as _scalar

from c2vl.errors import UserError


class _Array:
    """Stands for numpy.ndarray in a pickle; it is only ever named there, never called."""


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """An empty array, which the pickle then fills (NumPy's own function takes any class and size)."""
    return np.ndarray((0,), np.int8)


def _frombuffer(data: Any, dtype: np.dtype[Any], shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")


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
    ("numpy", "dtype"): np.dtype,
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
    except (Exception, RecursionError, MemoryError) as error:  # a damaged program may fail in any way
        why = str(error)[:100] or type(error).__name__
        raise UserError(f"{path} is no pickle of plain numbers, text and arrays, and is not loaded: {why}.") from None
