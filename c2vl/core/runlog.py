"""Log of each stage's last run on this machine: time, memory, and what was reused.

The log lies in `.c2vl/runs`, outside the outputs, because it differs between machines.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_json
from c2vl.core.machine import state_dir

log = logging.getLogger(__name__)


def peak_memory_mib() -> float:
    """Largest resident memory of this process or one of its finished children, in MiB."""
    scale = 1 if sys.platform == "darwin" else 1024
    usage = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return max(usage) * scale / 2**20


def peak_gpu_mib() -> float | None:
    """Largest memory of this process on its GPU so far, in MiB; None if it uses no GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return float(torch.cuda.max_memory_reserved() / 2**20)


@contextlib.contextmanager
def logged(stage: str) -> Iterator[dict[str, Any]]:
    """Time a stage and write its record to `.c2vl/runs/<stage>.json`.

    The caller may add counts and reasons to the yielded dictionary. Git and DVC ignore the file.
    """
    notes: dict[str, Any] = {}
    began, wall = time.perf_counter(), time.time()
    yield notes
    record = {
        "stage": stage,
        "started": wall,
        "seconds": round(time.perf_counter() - began, 3),
        "peak_memory_mib": round(peak_memory_mib(), 1),
        **notes,
    }
    if (gpu := peak_gpu_mib()) is not None:
        record["peak_gpu_mib"] = round(gpu, 1)
    path = state_dir() / "runs" / f"{stage}.json"
    try:
        write_json(path, record)
    except OSError as error:  # the stage itself succeeded, so only warn
        log.info(
            "%s: %s could not be written (%s); `c2vl timings` lacks this run.",
            stage,
            path,
            error.strerror,
        )


def records(folder: Path | None = None) -> list[dict[str, Any]]:
    """All records of this working copy, sorted by start time.

    Args:
        folder: folder of the records (default: `.c2vl/runs`).

    Raises:
        UserError: one is damaged.
    """
    folder = folder or state_dir() / "runs"
    found = [_record(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []
    return sorted(found, key=lambda record: record["started"])


def _record(path: Path) -> dict[str, Any]:
    try:
        record = read_json(path)
        float(record["started"]), float(record["seconds"]), str(record["stage"])
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(
            f"The run log {path} cannot be read ({type(error).__name__}: {reason}); `rm {path}`, "
            "and the next run of its stage writes it again."
        ) from None
    return dict(record)
