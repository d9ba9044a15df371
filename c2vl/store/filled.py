"""What filling the store has done, and when it makes no sense to go on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from c2vl.core.errors import UserError
from c2vl.store.work import Failure, Work


class TooManyError(UserError):
    """More units of a stage failed than it may; `failures` are those known, by key."""

    def __init__(self, said: str, failures: dict[bytes, Failure]) -> None:
        super().__init__(said)
        self.failures = failures


@dataclass
class Filled:
    """What one run did.

    Attributes:
        computed: units with a row.
        failures: of the others, by key.
        engine_seconds: in the engine.
        starting_seconds: until processes that prepare were up, where they were asked for; no part of the filling.
        seconds: in all of the filling.
        first_units: in the first batch that an engine computed; a start-up is in its time.
        later_seconds: from then to the end of the last batch.
    """

    computed: int = 0
    failures: dict[bytes, Failure] = field(default_factory=dict)
    engine_seconds: float = 0.0
    starting_seconds: float = 0.0
    seconds: float = 0.0
    first_units: int = 0
    later_seconds: float = 0.0

    def notes(self) -> dict[str, float]:
        """For the run log."""
        return {
            "engine_seconds": round(self.engine_seconds, 3),
            "fill_seconds": round(self.seconds, 3),
            "starting_seconds": round(self.starting_seconds, 3),
            "first_units": self.first_units,
            "later_seconds": round(self.later_seconds, 3),
        }


def too_many(work: Work, reasons: Counter[str], beside: str) -> str:
    """The sentence of a stage that fails as a whole; `reasons` counts its failures."""
    (most, count), failed = reasons.most_common(1)[0], reasons.total()
    return (
        f"{work.stage}: {failed:,} units failed and {beside}: above the share of {work.max_failed:g} that "
        f"`max_failed` in params.yaml allows; most often ({count:,}): {most} (`c2vl failures {work.stage}` lists them)"
    )
