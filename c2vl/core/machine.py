"""Settings that depend on this machine: device, workers, threads, batch sizes.

They come from environment variables and are never part of params or of a key. In `params.yaml` or
in a stage's `cmd` they would change DVC's key, and one lab's results would look out of date on
another lab's machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.core.errors import UserError

if TYPE_CHECKING:
    import torch

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # a container's CPU time and its period, in microseconds


def positive_integer(name: str, default: int) -> int:
    """Value of the environment variable `name`, or `default` if it is not set.

    Raises:
        UserError: the value is not a positive whole number.
    """
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise UserError(
            f"The environment variable {name} must be a positive whole number, not '{text}'."
        )
    return int(text)


def state_dir() -> Path:
    """Folder of the sample store and the run logs (`C2VL_HOME`, default `.c2vl`)."""
    return Path(os.environ.get("C2VL_HOME", ".c2vl"))


def store_dir() -> Path:
    """Root of the sample store (`C2VL_STORE`, default `.c2vl/store`).

    Raises:
        UserError: the folder that `C2VL_STORE` names does not exist. It is not created, because
            on a node whose disk is not mounted the new store would be lost.
    """
    named = os.environ.get("C2VL_STORE")
    if named and not Path(named).is_dir():
        raise UserError(
            f"The folder {named} that C2VL_STORE names is not there; mount its disk, or make the "
            "folder for a new store."
        )
    return Path(named) if named else state_dir() / "store"


def workers() -> int:
    """Number of processes for CPU-bound work (`C2VL_WORKERS`, default: `cores()`)."""
    return positive_integer("C2VL_WORKERS", cores())


def cores() -> int:
    """Number of CPU cores this process may use, capped by the container's CPU quota."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    with suppress(OSError, ValueError):  # not Linux, or no quota (`max`)
        quota, period = map(int, QUOTA.read_text(encoding="ascii").split())
        count = min(count, max(1, round(quota / period)))
    return count


def workers_each() -> int:
    """`workers()` divided by the processes that torchrun or accelerate started on this machine."""
    return max(1, workers() // positive_integer("LOCAL_WORLD_SIZE", 1))


def engine_threads() -> int:
    """Threads of an engine on a CPU: `OMP_NUM_THREADS` if it is set, otherwise `workers_each()`.

    On a server that others use too, threads that wait for a core slow an engine down tenfold.

    Raises:
        UserError: the variable is not a positive whole number, or a list of them.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # `4,2`: nested threads
    if not first:
        return workers_each()
    if not first.isdigit() or int(first) < 1:
        raise UserError(
            "The environment variable OMP_NUM_THREADS must be a positive whole number, "
            f"not '{first}'."
        )
    return int(first)


def batch_size(stage: str, default: int | Callable[[], int]) -> int:
    """Number of items in one batch of a stage's engine (`C2VL_BATCH_<STAGE>`).

    Args:
        stage: name of the stage.
        default: used if the variable is not set; a function is called only then.

    Raises:
        UserError: the variable is not a positive whole number.
    """
    name = f"C2VL_BATCH_{stage.upper()}"
    return (
        positive_integer(name, default)
        if isinstance(default, int)
        else positive_integer(name, 0) or default()
    )


def local_rank() -> int:
    """Rank of this process on this machine, from `LOCAL_RANK` or `SLURM_LOCALID`; otherwise 0."""
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0


def device() -> torch.device:
    """The device to compute on (`C2VL_DEVICE`, default: CUDA if available, otherwise the CPU).

    Several processes on one machine take one GPU each: the local rank modulo the visible GPUs.
    The device has its index (`cuda:0`), because torch does not treat `cuda` as equal to it.

    Raises:
        UserError: this machine does not have the named device.
    """
    import torch

    name = _device_name()
    try:
        chosen = torch.device(_place(name))
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(
            f"This machine has no device '{name}' (C2VL_DEVICE). Run `unset C2VL_DEVICE`, "
            "or set it to 'cpu'."
        ) from None
    return chosen


def _device_name() -> str:
    import torch

    return os.environ.get("C2VL_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")


def _place(name: str) -> str:
    import torch

    alone = name == "cuda" and torch.cuda.device_count() > 0
    return f"cuda:{local_rank() % torch.cuda.device_count()}" if alone else name


def lost_device() -> str | None:
    """CUDA's error message if this process's GPU no longer works; otherwise None.

    Call it after an error: after some errors (an illegal access, a lost card) all later calls fail.
    """
    torch = sys.modules.get("torch")
    if (
        torch is None
        or not torch.cuda.is_initialized()
        or not (name := _device_name()).startswith("cuda")
    ):
        return None
    try:
        torch.cuda.synchronize(_place(name))
    except RuntimeError as error:
        return " ".join(str(error).split())[:100]
    return None
