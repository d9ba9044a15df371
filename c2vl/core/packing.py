"""Objects on their way between processes: packed into one tensor of bytes in shared memory.

`torch.multiprocessing` passes such a tensor as a file descriptor, in a message so short that the
system writes it whole or not at all. A descriptor a tensor, as torch does for a batch of
dictionaries, would take hundreds of both.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ALIGNED = 64  # bytes; where an array begins may change the last bits of an engine's results
LENGTH = 8  # bytes that hold the length of the header


def packed(made: Any) -> torch.Tensor:
    """Return `made` as a uint8 tensor in shared memory: a pickle, then its arrays and CPU tensors.

    An array that `made` holds twice is stored once.

    Raises:
        PicklingError, TypeError, AttributeError: `made` cannot be pickled.
        RuntimeError: there is no shared memory left.
    """
    import torch

    buffers: list[memoryview] = []
    content = io.BytesIO()
    pickler = _Pickler(content, protocol=5, buffer_callback=lambda one: buffers.append(one.raw()))
    pickler.dump(made)
    places, end = [], 0
    for buffer in buffers:
        begin = _aligned(end)
        end = begin + buffer.nbytes
        places.append((begin, end))
    header = pickle.dumps((content.getvalue(), places))
    start = _aligned(LENGTH + len(header))
    memory = torch.empty(start + end, dtype=torch.uint8).share_memory_()
    view = memoryview(memory.numpy().data)
    view[:LENGTH] = len(header).to_bytes(LENGTH, "little")
    view[LENGTH : LENGTH + len(header)] = header
    for (begin, stop), buffer in zip(places, buffers, strict=True):
        view[start + begin : start + stop] = buffer
    return memory


def unpacked(memory: torch.Tensor) -> Any:
    """Return what was packed; its arrays are writable and keep `memory` alive as long as needed."""
    view = memoryview(memory.numpy().data)
    stop = LENGTH + int.from_bytes(view[:LENGTH], "little")
    content, places = pickle.loads(view[LENGTH:stop])
    start = _aligned(stop)
    arrays = [view[start + begin : start + end] for begin, end in places]
    return pickle.loads(content, buffers=arrays)


def _aligned(position: int) -> int:
    return -(-position // ALIGNED) * ALIGNED


class _Pickler(pickle.Pickler):
    """Pickles tensors as NumPy arrays, which can be left out of the pickle."""

    def reducer_override(self, made: Any) -> Any:
        import torch

        if not isinstance(made, torch.Tensor):
            return NotImplemented
        made = made.detach().contiguous()
        if made.dtype == torch.bfloat16:  # NumPy has no such type
            return _bfloat16, (made.view(torch.int16).numpy(),)
        return torch.from_numpy, (made.numpy(),)


def _bfloat16(bits: Any) -> torch.Tensor:
    import torch

    return torch.from_numpy(bits).view(torch.bfloat16)
