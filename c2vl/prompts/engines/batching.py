"""How many items a device takes at once: fixed on a CPU, measured on anything else, halved when memory runs out.

On a CPU the batch stays what it is, because results may move in the last bit with the company an item is computed in and a
CPU gains nothing from large batches. On a GPU the size is found once: doubled until memory or the gain ends, and
remembered in `machine.json` of `C2VL_HOME` for this device and engine. `C2VL_BATCH_<STAGE>` overrides all of it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_json
from c2vl.core.machine import state_dir

if TYPE_CHECKING:
    import torch

GAIN = 1.1  # a doubled batch must be this much quicker an item to be worth its memory
FIRST = 4
SECTION = "batch"
# What torch's own class does not stand for: an error of CUDA's runtime, cuBLAS and cuDNN, Apple's devices, the CPU's allocator.
NO_MEMORY = ("out of memory", "_STATUS_ALLOC_FAILED", "can't allocate memory")

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batching:
    """Runs one engine in batches that fit.

    Args:
        what: the engine, in messages: `detector`.
        key: its fingerprint; another checkpoint or precision has another size.
        device: where it runs.
        fixed: items at once on a CPU.
        largest: above which no batch is tried: what is prepared ahead must fit into main memory.
    """

    def __init__(self, what: str, key: str, device: torch.device, fixed: int, largest: int) -> None:
        self._what, self._device, self._fixed, self._largest = what, device, fixed, largest
        self._name = f"{device_name(device)} {what} {key}"
        self._limit: int | None = None  # set by an out-of-memory

    def run(
        self, items: Sequence[Item], forward: Callable[[Sequence[Item]], list[Result]]
    ) -> list[Result]:
        """`forward` over all items, in as few calls as memory allows.

        Raises:
            UserError: a single item does not fit.
        """
        done: list[Result] = []
        while len(done) < len(items):
            chunk = items[len(done) :][: self._limit]
            made = run_if_fits(forward, chunk)
            if made is None:
                self._halve(len(chunk))
            else:
                done += made
        return done

    def size(self, forward: Callable[[int], object]) -> int:
        """Items at once on this device.

        Args:
            forward: computes that many synthetic items, the heaviest that may come.
        """
        if self._device.type == "cpu":
            return self._fixed
        known = known_batch(self._name)
        if known is None:
            known = find_batch(forward, self._largest, self._what)
            keep_batch(self._name, known)
            print(
                f"{self._what}: {known} at once on {device_name(self._device)}, found by trying; kept in {place()}"
            )
        return known

    def _halve(self, failed: int) -> None:
        import torch

        if failed == 1:
            raise UserError(
                f"The {self._what} does not fit into the memory of {device_name(self._device)} even with one item at a time; "
                "end what else runs there, or use a smaller model, a `dtype` of half the size or another device."
            )
        self._limit = failed // 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        print(
            f"{self._what}: {failed} at once do not fit into memory, going on with {self._limit}",
            flush=True,
        )
        if self._device.type != "cpu":
            keep_batch(self._name, self._limit)


def run_if_fits(forward: Callable[[Any], Any], argument: Any) -> Any:
    """What `forward` returns, or None when memory ran out; what it had allocated is free again by then."""
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
    what: str = "engine",
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """The batch from which doubling gains less than a tenth, or after which memory runs out.

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

    size = min(FIRST, largest)
    while (
        seconds(size) is None
    ):  # also the first call, which compiles and allocates and is not timed
        if size == 1:
            raise UserError(
                f"The {what} does not fit into this device's memory even with one item at a time."
            )
        size //= 2
    best, rate = size, size / max(seconds(size) or 1e9, 1e-9)
    while best * 2 <= largest:
        took = seconds(best * 2)
        if took is None or best * 2 / max(took, 1e-9) < GAIN * rate:
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


def place() -> Path:
    """The file of what was found out about this machine."""
    return state_dir() / "machine.json"


def known_batch(name: str) -> int | None:
    """The batch found for `name`, if one was."""
    size = _read().get(SECTION, {}).get(name)
    return size if isinstance(size, int) and size > 0 else None


def keep_batch(name: str, size: int) -> None:
    """Keep the batch found for `name`. When two processes write at once one entry is lost and found again."""
    known = _read()
    with contextlib.suppress(OSError):  # it only saves a minute
        write_json(place(), {**known, SECTION: {**known.get(SECTION, {}), name: size}})


def _read() -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        known = read_json(place())
        if isinstance(known, dict) and isinstance(known.get(SECTION, {}), dict):
            return known
    return {}
