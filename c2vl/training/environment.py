"""What training takes from this machine's environment."""

from __future__ import annotations

import math
import os

from c2vl.core.errors import UserError

SAVE_SECONDS = 60.0


def threads() -> int:
    """Threads of a training on a CPU (`C2VL_THREADS`, default 1).

    One, whatever the number of cores: another number sums in another order and changes the last
    bits of the weights, so a laptop's result would differ from a server's.
    """
    text = os.environ.get("C2VL_THREADS", "")
    if text and (not text.isdigit() or int(text) < 1):
        raise UserError(
            f"The environment variable C2VL_THREADS must be a positive whole number, not '{text}'."
        )
    return int(text or 1)


def save_seconds() -> float:
    """Seconds between two saves of a state (`C2VL_SAVE_SECONDS`, default 60; 0: every step)."""
    text = os.environ.get("C2VL_SAVE_SECONDS", "")
    try:
        seconds = float(text or SAVE_SECONDS)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:  # nor is nan: no time would ever be long enough
        raise UserError(
            f"The environment variable C2VL_SAVE_SECONDS must be a number of seconds, not '{text}'."
        )
    return seconds


def compiled() -> bool:
    """Whether `torch.compile` compiles encoders (`C2VL_COMPILE=1`); this changes the last bits."""
    text = os.environ.get("C2VL_COMPILE", "")
    if text not in ("", "0", "1"):
        raise UserError(f"The environment variable C2VL_COMPILE must be 1 or 0, not '{text}'.")
    return text == "1"
