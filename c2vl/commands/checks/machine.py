"""Check the interpreter, packages, devices, memory and disks."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from c2vl.commands.checks.finding import Finding, gib
from c2vl.core import machine
from c2vl.core.errors import UserError

OLDEST_PYTHON = (3, 11)
# As in pyproject.toml. A cluster's own image may have older ones.
OLDEST = {"torch": (2, 7), "transformers": (5, 23)}
# Bytes that the demo needs; a full run needs more of both.
LEAST_MEMORY, LEAST_DISK = 4 * 2**30, 10 * 2**30


def python() -> Iterator[Finding]:
    """Check the interpreter's version."""
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        yield Finding(
            "FAIL", "Python", f"{version} is too old", "make install PYTHON=python3.11 (or newer)"
        )
    else:
        yield Finding("ok", "Python", f"{version}, {sys.prefix}")


def packages() -> Iterator[Finding]:
    """Check the versions of the packages that results depend on most."""
    names = ("torch", "transformers", "accelerate", "pyarrow", "dvc")
    installed, absent, old = [], [], []
    for name in names:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
            continue
        installed.append(f"{name} {version}")
        oldest = OLDEST.get(name, (0, 0))
        if tuple(map(int, re.findall(r"\d+", version)[:2])) < oldest:
            old.append(f"{name} {version} is older than {oldest[0]}.{oldest[1]}")
    yield Finding("ok", "packages", ", ".join(installed))
    if old:
        yield Finding(
            "FAIL",
            "packages",
            f"{', '.join(old)}; results were not tested with it",
            "make install",
        )
    if absent:
        yield Finding("FAIL", "packages", f"{', '.join(absent)}: not installed", "make install")


def device() -> Iterator[Finding]:
    """Check where engines and encoders run, and whether torch computes right there."""
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            name = torch.cuda.get_device_name(number)
            half = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: set `dtype: float16`"
            yield Finding(
                "ok", "GPU", f"cuda:{number} {name}, {gib(free)} of {gib(total)} free, {half}"
            )
    else:
        why = "" if torch.version.cuda else " (this torch is a CPU build)"
        yield Finding(
            "note",
            "GPU",
            f"none{why}; enough for the demo, too slow for the profiles small and paper",
        )
    chosen = machine.device()
    answer = float((torch.ones(8, 8, device=chosen) @ torch.ones(8, 8, device=chosen)).sum())
    if answer != 512.0:
        yield Finding(
            "FAIL",
            "device",
            f"{chosen} computes 8 * 8 * 8 = {answer}",
            "choose another device: `export C2VL_DEVICE=cpu`",
        )
    else:
        yield Finding(
            "ok", "device", f"{chosen} (C2VL_DEVICE), {machine.workers()} workers (C2VL_WORKERS)"
        )


def memory() -> Iterator[Finding]:
    """Check the memory of the machine."""
    import psutil

    free, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    enough = free >= LEAST_MEMORY
    todo = "" if enough else "close other programs, or lower C2VL_WORKERS"
    yield Finding(
        "ok" if enough else "note",
        "memory",
        f"{gib(free)} of {gib(total)} free, {os.cpu_count()} cores",
        todo,
    )


def disks() -> Iterator[Finding]:
    """Check free space and permissions of the store's folder and of the project."""
    places = [("project", Path("."))]
    try:
        places.insert(0, ("store", machine.store_dir()))
    except UserError as error:
        yield Finding("FAIL", "store", str(error))
    for topic, folder in places:
        existing = next(
            path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
        )
        free = shutil.disk_usage(existing).free
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            yield Finding(
                "FAIL",
                topic,
                f"{existing} cannot be written ({error.strerror})",
                "change its permissions, or set C2VL_STORE to another folder",
            )
            continue
        enough = free >= LEAST_DISK
        todo = (
            ""
            if enough
            else "free some space, or set C2VL_STORE to a larger disk; "
            "`c2vl plan` estimates what a run writes"
        )
        yield Finding("ok" if enough else "note", topic, f"{folder}: {gib(free)} free", todo)
