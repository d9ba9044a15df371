"""The state of a training that is under way, so that it goes on where it was killed.

It lies under `C2VL_HOME` (`.c2vl/training/<name>/`), because DVC deletes a stage's outs before it runs it. One name has
one state, which says what it belongs to: a hash of the parameters, the data and the code. Another's is not resumed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import c2vl
from c2vl.core.files import published
from c2vl.training.environment import save_seconds

STATE, LAST_GOOD, LIVE = "state.pt", "last-good", "live"
CODE = (
    "training",
    "models",
)  # packages that say what a training computes


class Keep:
    """Where the state of one training lies.

    Args:
        folder: of this training alone.
        key: of everything the result depends on, see `training_key`.
        seconds: between saves; `C2VL_SAVE_SECONDS`, default 60.
    """

    def __init__(self, folder: Path, key: str, seconds: float | None = None) -> None:
        self.folder, self.key = folder, key
        self.seconds = save_seconds() if seconds is None else seconds
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The state of this very training, tensors on the CPU; None where there is none."""
        try:
            state: dict[str, Any] = torch.load(
                self.folder / STATE, map_location="cpu", weights_only=True
            )
        except FileNotFoundError:
            return None
        except Exception:  # whatever torch, pickle or zipfile say of a file that is none of ours
            print(f"{self.folder / STATE} cannot be read; training starts anew.", file=sys.stderr)
            return None
        return state if state.get("key") == self.key else None

    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self._saved >= self.seconds

    def save(self, state: Mapping[str, Any]) -> None:
        """Publish the state atomically: a kill at any moment leaves this one or the one before."""
        with published(self.folder / STATE) as temporary:
            torch.save({**state, "key": self.key}, temporary)
        self._saved = time.monotonic()


def forget(folder: Path) -> None:
    """Delete what is kept of a training whose result is published; the curves of its tracker stay."""
    (folder / STATE).unlink(missing_ok=True)
    shutil.rmtree(folder / LAST_GOOD, ignore_errors=True)


def training_key(settings: Mapping[str, Any], tensors: Iterable[Tensor]) -> str:
    """Hash of the settings, the data's bytes, this package's code that trains, and torch's version."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(settings, sort_keys=True).encode())
    digest.update(torch.__version__.encode())
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    root = Path(c2vl.__file__).parent
    for path in sorted(file for package in CODE for file in (root / package).rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()
