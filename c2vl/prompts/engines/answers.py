"""What a captioner answers, and what the caption stage needs of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from c2vl.prompts.engines.repeats import repeats


@dataclass(frozen=True)
class Answer:
    """An answer, and whether it ended before `max_new_tokens`."""

    text: str
    finished: bool

    @property
    def repeats(self) -> bool:
        """Whether it repeats itself; see `c2vl.prompts.engines.repeats`."""
        return repeats(self.text)


@dataclass(frozen=True)
class NoAnswer:
    """Why a crop or clip has no answer."""

    reason: str


class Answerer(Protocol):
    """What the caption stage needs of a captioner, wherever it runs."""

    fingerprint: str

    def prepare(self, images: Sequence[Any]) -> list[Any]:
        """Turn crops (H, W, 3) uint8 RGB into what `answer` takes; thread-safe, on the CPU.

        A captioner of clips takes sequences of crops.
        """

    def answer(self, ready: Sequence[Any]) -> Sequence[Answer | NoAnswer]:
        """Answer for each prepared crop or clip."""

    def batch_size(self) -> int:
        """Crops to pass to `answer` at once."""

    def close(self) -> None:
        """Stop: no more questions follow."""
