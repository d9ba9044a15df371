"""What depends on this machine: device, workers, threads, batch sizes. Never part of params or of a key.

Everything is read from environment variables, because a value in `params.yaml` or in a stage's `cmd`
would change DVC's key and make one lab's results look stale on another lab's machine.
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

QUOTA = Path(
    "/sys/fs/cgroup/cpu.max"
)  # microseconds of processor time in a period of so many, as the kernel tells a container


def positive_integer(name: str, default: int) -> int:
    """The environment variable `name`, or `default` where it is not set.

    Raises:
        UserError: it is set to something else than a positive whole number.
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
    """Folder for everything that is neither source nor out: the store, run logs (`C2VL_HOME`, default `.c2vl`)."""
    return Path(os.environ.get("C2VL_HOME", ".c2vl"))


def store_dir() -> Path:
    """Root of the sample store (`C2VL_STORE`, default `.c2vl/store`).

    Raises:
        UserError: a folder that the user named is not there. It is not made: on a node whose disk is not mounted a new
            store would be filled where nobody looks for it.
    """
    named = os.environ.get("C2VL_STORE")
    if named and not Path(named).is_dir():
        raise UserError(
            f"The folder {named} that C2VL_STORE names is not there; mount its disk, or make the folder for a new store."
        )
    return Path(named) if named else state_dir() / "store"


def workers() -> int:
    """Processes for CPU-bound work (`C2VL_WORKERS`, default: the cores this process may use)."""
    return positive_integer("C2VL_WORKERS", cores())


def cores() -> int:
    """Those this process may run on; of a container with a quota, as many as it is allowed the time of."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # not Linux, or `max`: no quota
        quota, period = map(int, QUOTA.read_text(encoding="ascii").split())
        seen = min(seen, max(1, round(quota / period)))
    return seen


def workers_each() -> int:
    """This process's part of `workers`, where torchrun or accelerate started several here (`LOCAL_WORLD_SIZE`)."""
    return max(1, workers() // positive_integer("LOCAL_WORLD_SIZE", 1))


def batch_size(stage: str, default: int | Callable[[], int]) -> int:
    """Items a stage's engine takes at once (`C2VL_BATCH_<STAGE>`); a callable default is asked only when it is needed."""
    name = f"C2VL_BATCH_{stage.upper()}"
    return (
        positive_integer(name, default)
        if isinstance(default, int)
        else positive_integer(name, 0) or default()
    )


def local_rank() -> int:
    """Which of this machine's processes this is, as torchrun and accelerate (`LOCAL_RANK`) or srun (`SLURM_LOCALID`) say."""
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0


def device() -> torch.device:
    """The device to compute on (`C2VL_DEVICE`, default: CUDA where there is one, else the CPU).

    Where several processes were started on a machine with several GPUs, each takes its own. A scheduler that shows a process
    one GPU only is fine too: the rank is taken modulo the GPUs that are visible. A GPU has its index, as the device of a tensor
    on it does: torch holds `cuda` and `cuda:0` for two.

    Raises:
        UserError: the named device does not exist on this machine.
    """
    import torch

    name = _device_name()
    try:
        chosen = torch.device(_place(name))
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(
            f"The device '{name}' (C2VL_DEVICE) is not there on this machine; unset it or use 'cpu'."
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
    """What CUDA says where the GPU of this process answers no more; None where it does, or none is in use.

    To be asked after an error: after some (an illegal access, a card that fell off the bus) every later call fails too.
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
