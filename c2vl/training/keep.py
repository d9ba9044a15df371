"""The state of an unfinished training, so that it resumes where it was killed.

It lies in `C2VL_HOME` (`.c2vl/training/<name>/`), because DVC deletes a stage's output before it
runs the stage. The file begins with a line of JSON: the training's key and a checksum. A state of
another key is not resumed, and neither is a damaged one.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from c2vl.core.files import published
from c2vl.training.environment import save_seconds

log = logging.getLogger(__name__)

STATE, LAST_GOOD, LIVE = "state.pt", "last-good", "live"


class Keep:
    """Saves and loads the state of one training.

    Args:
        folder: a folder for this training alone.
        key: key of everything that the result depends on, see `c2vl.training.key`.
        seconds: time between saves; default: `C2VL_SAVE_SECONDS`.
    """

    def __init__(self, folder: Path, key: str, seconds: float | None = None) -> None:
        self.folder, self.key = folder, key
        self.seconds = save_seconds() if seconds is None else seconds
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the state of this training, with tensors on the CPU; None if there is none.

        A damaged state is refused with a warning.
        """
        path = self.folder / STATE
        try:
            key, state = read_state(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning(f"{path} cannot be used ({error}); training starts again.")
            return None
        return state if key == self.key else None

    def due(self) -> bool:
        """True if it is time to save again."""
        return time.monotonic() - self._saved >= self.seconds

    def save(self, state: Mapping[str, Any]) -> None:
        """Save the state atomically: after a kill, this state or the one before is there."""
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        content = buffer.getbuffer()
        head = {"key": self.key, "checksum": _checksum(self.key, content)}
        with published(self.folder / STATE) as temporary, temporary.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.write(content)
        self._saved = time.monotonic()


def read_state(path: Path) -> tuple[str, dict[str, Any]]:
    """The key and the state in a file that `Keep.save` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is damaged, or no state.
    """
    first, _, content = path.read_bytes().partition(b"\n")
    try:
        head = json.loads(first)
        key, expected = str(head["key"]), head["checksum"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("it is damaged, or of another version of c2vl") from None
    if _checksum(key, content) != expected:
        raise ValueError("it is damaged: its checksum is wrong")
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return key, state


def forget(folder: Path) -> None:
    """Delete the state of a training whose result is published; the tracker's curves stay."""
    (folder / STATE).unlink(missing_ok=True)
    shutil.rmtree(folder / LAST_GOOD, ignore_errors=True)


def _checksum(key: str, content: bytes | memoryview) -> str:
    digest = hashlib.blake2b(key.encode(), digest_size=32)
    digest.update(content)
    return digest.hexdigest()
