"""What a check found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from c2vl.core.errors import UserError

State = Literal["ok", "note", "FAIL"]


@dataclass(frozen=True)
class Finding:
    """One line: `ok`, `note` (works, but you may want to know) or `FAIL`, with what to do where something is to be done."""

    state: State
    what: str
    said: str
    todo: str = ""

    def line(self, width: int) -> str:
        """The line, `what` padded to `width`."""
        return f"{self.state:<5} {self.what:<{width}}  {self.said}{f' → {self.todo}' if self.todo else ''}"


Check = Callable[[], Iterable[Finding]]


def examine(what: str, check: Check) -> list[Finding]:
    """Run a check; whatever it raises is its finding, so that one broken part does not hide the others."""
    try:
        return list(check())
    except UserError as error:
        return [Finding("FAIL", what, str(error))]
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        return [
            Finding(
                "FAIL",
                what,
                f"{type(error).__name__}: {said}",
                "install again: `rm -r .venv && make install`",
            )
        ]


def gib(size: float) -> str:
    """Bytes for people: `1.4 GiB`."""
    return f"{size / 2**30:.1f} GiB"


def mib(size: float) -> str:
    """Bytes for people: `12 MiB`."""
    return f"{size / 2**20:,.0f} MiB"
