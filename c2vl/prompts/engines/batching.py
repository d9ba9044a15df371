"""How many items an engine computes at once.

On a CPU the batch has a fixed size. Results may move in the last bit with the other items of a
batch, and a CPU gains nothing from large batches. On a GPU the size is measured once: it doubles
until memory or the gain ends, and is kept in `machine.json` in `C2VL_HOME` for this device and
engine. A batch that does not fit later is halved. `C2VL_BATCH_<STAGE>` overrides all of this.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_json
from c2vl.core.machine import state_dir

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

MIN_GAIN = 1.1  # a doubled batch must be this much faster per item
FIRST_SIZE = 4
SECTION = "batch"  # of `machine.json`
# Messages of out-of-memory errors that are no `torch.OutOfMemoryError`: those of the CUDA runtime,
# cuBLAS, cuDNN, Apple's devices and the CPU's allocator.
NO_MEMORY = ("out of memory", "_STATUS_ALLOC_FAILED", "can't allocate memory")

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batching:
    """Runs one engine in batches that fit into memory.

    Args:
        engine: its name in messages, such as `detector`.
        key: its fingerprint; another checkpoint or precision has another batch size.
        device: where it runs.
        fixed: batch size on a CPU.
        largest: largest batch size to try. Batches are prepared ahead and must fit into main
            memory.
    """

    def __init__(
        self, engine: str, key: str, device: torch.device, fixed: int, largest: int
    ) -> None:
        self._engine, self._device, self._fixed, self._largest = engine, device, fixed, largest
        self._name = f"{device_name(device)} {engine} {key}"
        self._limit: int | None = None  # set when a batch did not fit

    def run(
        self, items: Sequence[Item], forward: Callable[[Sequence[Item]], list[Result]]
    ) -> list[Result]:
        """Compute `forward` on all items, in as few calls as memory allows.

        Raises:
            UserError: a single item does not fit.
        """
        results: list[Result] = []
        while len(results) < len(items):
            batch = items[len(results) :][: self._limit]
            computed = run_if_fits(forward, batch)
            if computed is None:
                self._halve(len(batch))
            else:
                results += computed
        return results

    def size(self, forward: Callable[[int], object]) -> int:
        """Return the batch size for this device; measure it if it is not known.

        Args:
            forward: computes a batch of that many synthetic items, of the largest size that occurs.
        """
        if self._device.type == "cpu":
            return self._fixed
        size = known_batch(self._name)
        if size is None:
            size = find_batch(forward, self._largest, self._engine)
            keep_batch(self._name, size)
            log.info(
                f"{self._engine}: measured a batch size of {size} on {device_name(self._device)}; "
                f"kept in {machine_file()}"
            )
        return size

    def _halve(self, failed: int) -> None:
        import torch

        if failed == 1:
            raise UserError(
                f"The {self._engine} does not fit into the memory of {device_name(self._device)}, "
                "even with one item at a time; end other programs there, or use a smaller model, "
                "a `dtype` of half the size or another device."
            )
        self._limit = failed // 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        log.info(
            f"{self._engine}: a batch of {failed} does not fit into memory; "
            f"going on with {self._limit}",
        )
        if self._device.type != "cpu":
            keep_batch(self._name, self._limit)


def run_if_fits(forward: Callable[[Any], Any], argument: Any) -> Any:
    """Return `forward(argument)`, or None when memory ran out.

    Memory that the failed call held is free again: its frames are gone when this returns.
    """
    try:
        return forward(argument)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    return None


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a device, one of its libraries, or the CPU's allocator had no memory left."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in NO_MEMORY
    )


def find_batch(
    forward: Callable[[int], object],
    largest: int,
    engine: str = "engine",
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """Double the batch while an item gets a tenth faster and memory lasts; return the last size.

    Raises:
        UserError: a single item does not fit.
    """
    import torch

    def seconds(size: int) -> float | None:
        began = clock()
        fits = run_if_fits(lambda count: (forward(count), True), size) is not None
        if torch.cuda.is_available():
            torch.cuda.synchronize() if fits else torch.cuda.empty_cache()
        return clock() - began if fits else None

    size = min(FIRST_SIZE, largest)
    # The first call also compiles and allocates, so its time does not count.
    while seconds(size) is None:
        if size == 1:
            raise UserError(
                f"The {engine} does not fit into this device's memory, even with one item at a "
                "time; use a smaller model, a `dtype` of half the size or another device."
            )
        size //= 2
    best, rate = size, size / max(seconds(size) or 1e9, 1e-9)
    while best * 2 <= largest:
        took = seconds(best * 2)
        if took is None or best * 2 / max(took, 1e-9) < MIN_GAIN * rate:
            break
        best, rate = best * 2, best * 2 / max(took, 1e-9)
    return best


def device_name(device: torch.device) -> str:
    """Such as `NVIDIA H200, 140 GiB`, or `cpu`."""
    if device.type != "cuda":
        return device.type
    import torch

    about = torch.cuda.get_device_properties(device)
    return f"{about.name}, {about.total_memory / 2**30:.0f} GiB"


def machine_file() -> Path:
    """The file that holds what was measured on this machine."""
    return state_dir() / "machine.json"


def known_batch(name: str) -> int | None:
    """The batch size measured for `name`, or None."""
    size = _read().get(SECTION, {}).get(name)
    return size if isinstance(size, int) and size > 0 else None


def keep_batch(name: str, size: int) -> None:
    """Keep the batch size measured for `name`.

    When two processes write at once, one entry is lost and measured again.
    """
    known = _read()
    with contextlib.suppress(OSError):  # without the file a minute is lost, nothing else
        write_json(machine_file(), {**known, SECTION: {**known.get(SECTION, {}), name: size}})


def _read() -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        known = read_json(machine_file())
        if isinstance(known, dict) and isinstance(known.get(SECTION, {}), dict):
            return known
    return {}
