"""A finding of a check: one line that says what works, or what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from c2vl.core.errors import UserError

State = Literal["ok", "note", "FAIL"]


@dataclass(frozen=True)
class Finding:
    """One line of `c2vl doctor`.

    Attributes:
        state: `ok`, `note` (it works, but you may want to know) or `FAIL`.
        topic: what was checked, such as `encoder`.
        found: what the check found.
        todo: what to do; empty when there is nothing to do.
    """

    state: State
    topic: str
    found: str
    todo: str = ""

    def line(self, width: int) -> str:
        """The line, with `topic` padded to `width` characters."""
        todo = f" → {self.todo}" if self.todo else ""
        return f"{self.state:<5} {self.topic:<{width}}  {self.found}{todo}"


Check = Callable[[], Iterable[Finding]]


def examine(topic: str, check: Check) -> list[Finding]:
    """Run a check. An error becomes its finding, so that it does not hide the other checks."""
    try:
        return list(check())
    except UserError as error:
        return [Finding("FAIL", topic, str(error))]
    except Exception as error:
        message = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return [Finding("FAIL", topic, message, "install again: `rm -r .venv && make install`")]


def gib(size: float) -> str:
    """Bytes in GiB, such as `1.4 GiB`."""
    return f"{size / 2**30:.1f} GiB"


def mib(size: float) -> str:
    """Bytes in MiB, such as `12 MiB`."""
    return f"{size / 2**20:,.0f} MiB"
