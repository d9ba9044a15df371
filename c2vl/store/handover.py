"""Large results on their way from a worker process: laid out in memory that both share, read where they lie.

A pipe would carry them through Python twice, 64 KB at a time, each time asking for the lock that the engine's thread needs.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import weakref
from collections import deque
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

AVAILABLE = hasattr(os, "memfd_create")  # Linux
ALIGNED = 64  # bytes; kernels, and so an engine's last bits, may depend on where an array begins


@dataclass(frozen=True)
class Packed:
    """An object on its way: pickled, but for its arrays, which lie in shared memory.

    Attributes:
        slot: of the memory.
        frame: the pickle.
        places: of each array, (begin, end) in the slot.
    """

    slot: int
    frame: bytes
    places: list[tuple[int, int]]

    def unpacked(self, shared: memoryview) -> Any:
        """The object, its arrays where they lie in the slot's bytes."""
        return pickle.loads(self.frame, buffers=[shared[begin:end] for begin, end in self.places])


class Slots:
    """Pieces of memory without a name, as large as what is laid into them, which this process shares with those it starts.

    A slot is free again when the last array that lies in it is gone. Nothing is left behind, however a process ends.

    Raises:
        OSError: the system gives none.
    """

    def __init__(self, count: int) -> None:
        self._descriptors: list[int] = []
        weakref.finalize(self, _close, self._descriptors)
        for slot in range(count):
            self._descriptors.append(os.memfd_create(f"c2vl-{slot}"))
        self._free = deque(range(count))
        self._mapped: dict[int, np.ndarray] = {}

    def take(self) -> int | None:
        """A free slot, for `Inherited.pack`; None where there is none."""
        return (
            self._free.pop() if self._free else None
        )  # the last that was used: the others need not grow

    def inherited(self) -> Inherited:
        """The slots for another process, as an argument of the call that starts it."""
        return Inherited(self._descriptors)

    def open(self, packed: Packed) -> Any:
        """The object; its arrays are writable and nobody else's."""
        if not packed.places:
            self._free.append(packed.slot)
            return pickle.loads(packed.frame)
        held = self._memory(packed.slot, packed.places[-1][1])[
            :
        ]  # an object of its own, which goes when they go
        weakref.finalize(held, self._free.append, packed.slot)
        return packed.unpacked(memoryview(held.data))

    def _memory(self, slot: int, size: int) -> np.ndarray:
        """The slot's bytes, `size` or more; kept, as each page of a new mapping costs a fault."""
        mapped = self._mapped.get(slot)
        if mapped is None or len(mapped) < size:
            mapped = self._mapped[slot] = np.frombuffer(
                mmap.mmap(self._descriptors[slot], 0), np.uint8
            )
        return mapped


class Inherited:
    """`Slots` in a process that lays something into them."""

    def __init__(self, descriptors: list[int]) -> None:
        self._descriptors = descriptors
        self._mapped: dict[int, mmap.mmap] = {}

    def __reduce__(self) -> Any:
        return _inherited, ([DupFd(descriptor) for descriptor in self._descriptors],)

    def pack(self, made: Any, slot: int) -> Packed:
        """Lay out the NumPy arrays and CPU tensors of `made`; one that it holds twice is laid out once."""
        buffers: list[memoryview] = []
        frame = io.BytesIO()
        _Pickler(
            frame, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw())
        ).dump(made)
        places, end = [], 0
        for buffer in buffers:
            begin = -(-end // ALIGNED) * ALIGNED
            end = begin + buffer.nbytes
            places.append((begin, end))
        if end == 0:  # there is nothing to share; an empty array needs no memory, but a place
            return Packed(slot, pickle.dumps(made), [])
        shared = self._memory(slot, end)
        for (begin, stop), buffer in zip(places, buffers, strict=True):
            shared[begin:stop] = buffer
        return Packed(slot, frame.getvalue(), places)

    def read(self, packed: Packed) -> Any:
        """What was packed, here or in another process, for as long as the slot is not free."""
        if not packed.places:
            return pickle.loads(packed.frame)
        return packed.unpacked(memoryview(self._memory(packed.slot, packed.places[-1][1])))

    def _memory(self, slot: int, size: int) -> mmap.mmap:
        """The slot, with room for `size` bytes; kept, for to map it anew costs as much as to fill it."""
        mapped = self._mapped.get(slot)
        if mapped is None or len(mapped) < size:
            descriptor = self._descriptors[slot]
            if os.fstat(descriptor).st_size < size:
                os.ftruncate(descriptor, size)
            mapped = self._mapped[slot] = mmap.mmap(descriptor, 0)
        return mapped


class _Pickler(pickle.Pickler):
    """Leaves tensors out of the pickle as NumPy does arrays."""

    def reducer_override(self, made: Any) -> Any:
        import torch

        if not isinstance(made, torch.Tensor):
            return NotImplemented
        made = made.detach().contiguous()
        if made.dtype == torch.bfloat16:  # NumPy has none
            return _bfloat16, (made.view(torch.int16).numpy(),)
        return torch.from_numpy, (made.numpy(),)


def _bfloat16(bits: Any) -> torch.Tensor:
    import torch

    return torch.from_numpy(bits).view(torch.bfloat16)


def _inherited(descriptors: list[Any]) -> Inherited:
    return Inherited([descriptor.detach() for descriptor in descriptors])


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
