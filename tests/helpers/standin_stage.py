"""A stage for tests of the store; its engine is a hash.

Run as a script, `standin_stage.py OUT DELAY` runs the stage on `world()` in a process of its own.
It prints `batch` at each batch and sleeps DELAY seconds.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from c2vl.core.errors import one_sentence
from c2vl.core.tables import by_shard
from c2vl.core.tables.schemas import CAPTION
from c2vl.store import run, stage
from c2vl.store.keys import content_key
from c2vl.store.stage import Failure, Row, Unit

# Of each sample's prompts; None: an earlier stage failed; b"bad…": this one will.
Contents = dict[str, list[bytes | None]]


def sample(setup: int, subject: int, action: int = 1) -> str:
    return f"S{setup:03d}C001P{subject:03d}R001A{action:03d}"


def world(setups: int = 2, subjects: int = 12) -> Contents:
    """K = 3; some prompts are equal, some are bad, one is missing."""
    contents: Contents = {}
    for setup in range(1, setups + 1):
        for subject in range(1, subjects + 1):
            name = sample(setup, subject)
            contents[name] = [
                f"{name} 0".encode(),
                f"{name} 1".encode(),
                f"shared {subject % 5}".encode(),
            ]
    contents[sample(1, 2)][1] = b"bad pixels"
    contents[sample(setups, 3)][0] = None
    return contents


class Stage(stage.Stage):
    """Answers are digests of the content and of the batch it was computed in.

    Args:
        company: let the answer depend on the batch, as a GPU's last bits do.
        raise_at: raise `Stop` before this batch, as if the process were killed there.
    """

    name, done, most_threads = "caption", "captioned", 2

    def __init__(
        self,
        contents: Contents,
        size: int = 7,
        company: bool = True,
        question: str = "what?",
        max_failed: float = 0.5,
        raise_at: int | None = None,
        delay: float = 0.0,
    ) -> None:
        self.contents, self.size, self.company, self.question = contents, size, company, question
        self.max_failed, self.raise_at, self.delay = max_failed, raise_at, delay
        self.asked: list[bytes] = []
        self.loaded = self.batches = 0

    def description(self) -> dict[str, Any]:
        return {"question": self.question, "size": {"of": "weights"}}

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        return CAPTION

    def shards(self) -> list[str]:
        return list(by_shard(self.contents))

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        return [
            Unit({"sample": name, "k": k}, content_key(fingerprint, content), content)
            if content is not None
            else Unit(
                {"sample": name, "k": k},
                None,
                failure=Failure("no_crop", "there is no crop", inherited=True),
            )
            for name in by_shard(self.contents)[shard]
            for k, content in enumerate(self.contents[name])
        ]

    def load(self) -> None:
        self.loaded += 1

    def batch_size(self) -> int:
        return self.size

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> list[Row | Failure]:
        if self.batches == self.raise_at:
            raise Stop
        self.batches += 1
        self.asked += ready
        if self.delay:
            print("batch", flush=True)
            time.sleep(self.delay)
        beside = (
            b"".join(content for content in ready if not content.startswith(b"bad"))
            if self.company
            else b""
        )
        return [
            Failure("empty", "no answer")
            if content.startswith(b"bad")
            else {
                "answer": hashlib.sha256(content + self.question.encode() + beside).hexdigest() * 4,
                "finished": True,
            }
            for content in ready
        ]


class Stop(BaseException):
    """Stands for the end of the process: nothing may catch it."""


@one_sentence
def main() -> None:
    print("started", flush=True)
    run.run(Stage(world(), size=4, delay=float(sys.argv[2])), Path(sys.argv[1]), {})


if __name__ == "__main__":
    main()
