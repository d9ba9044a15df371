"""Stage `caption`: ask the captioner the paper's question about every crop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from c2vl.core import machine, tables
from c2vl.core.params import ParamsModel
from c2vl.core.tables.schemas import CAPTION, OK
from c2vl.core.unicode_text import whole_characters
from c2vl.prompts.base import engine_description, engine_device, mean
from c2vl.prompts.distinct import Distinct
from c2vl.prompts.engines.adapters import load_captioner
from c2vl.prompts.engines.captioner import Answer, Answerer, CaptionerParams, NoAnswer
from c2vl.prompts.inputs import crop_units
from c2vl.prompts.reading import ReadCrops
from c2vl.store.stage import Failure, Row, Stage, Unit

VERSION = 2  # raise it when something here changes a row


class CaptionParams(ParamsModel):
    """Section `caption`: the engine, and the share of failed rows above which the stage fails.

    Attributes:
        published: published answers, a file or a folder, to take instead of asking an engine.
    """

    published: Path | None = None
    max_failed: float = Field(ge=0, le=1)
    captioner: CaptionerParams


class CaptionStage(Stage):
    """Stage `caption`: one question for each different crop of the crop table in `crops`."""

    name = "caption"
    done = "captioned"

    def __init__(self, params: CaptionParams, crops: Path) -> None:
        self.max_failed = params.max_failed
        self._params, self._crops = params, crops
        self._captioner: Answerer | None = None
        self._answers = Distinct()
        self._rows = self._unfinished = self._repeating = self._words = 0

    def description(self) -> dict[str, Any]:
        """The captioner and its parameters."""
        return {"version": VERSION, **engine_description("captioner", self._params.captioner)}

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """The caption table."""
        return CAPTION

    def shards(self) -> Iterable[str]:
        """The shards of the crop table."""
        found = [path.stem for path in tables.shard_paths(self._crops)]
        statuses = crop_statuses(self._crops)  # skeletons alone have no crops to ask about
        self.may_be_empty = "no_video" in statuses and statuses <= {"no_video", "no_skeleton"}
        return found

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        """One unit per crop."""
        return crop_units(self._crops / f"{shard}.parquet", fingerprint)

    def use(self, captioner: Answerer) -> None:
        """Use a captioner that is loaded already."""
        self._captioner = captioner

    def load(self) -> None:
        """Load the captioner."""
        if self._captioner is None:
            self._captioner = load_captioner(self._params.captioner, engine_device)

    def batch_size(self) -> int:
        """Crops per batch (`C2VL_BATCH_CAPTION`)."""
        assert self._captioner is not None
        return machine.batch_size("caption", self._captioner.batch_size)

    def preparer(self) -> ReadCrops:
        """Decode the crops and prepare them for the captioner."""
        assert self._captioner is not None
        return ReadCrops(getattr(self._captioner, "preparer", None) or self._captioner.prepare)

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> list[Row | Failure]:
        """Ask the captioner."""
        assert self._captioner is not None
        return [_row(answer) for answer in self._captioner.answer(ready)]

    def close(self) -> None:
        """Stop waiting for a server's answers."""
        if self._captioner is not None:
            self._captioner.close()

    def observe(self, table: pa.Table) -> None:
        """Count answers and words."""
        rows = [
            row
            for row in tables.rows_of(table.select(["answer", "finished", "repeats", "status"]))
            if row["status"] == OK
        ]
        self._answers.add(row["answer"] for row in rows)
        self._rows += len(rows)
        for row in rows:
            self._unfinished += not row["finished"]
            self._repeating += row["repeats"]
            self._words += len(row["answer"].split())

    def metrics(self) -> dict[str, Any]:
        """Numbers about the usable rows."""
        return {
            "unique_answers": len(self._answers),
            "unfinished": self._unfinished,
            "repeating": self._repeating,
            "mean_words": mean(self._words, self._rows),
        }


def crop_statuses(crops: Path) -> set[str]:
    """The statuses that occur in the crop table."""
    found: set[str] = set()
    for _, table in tables.shards(crops, ["status"]):
        found.update(pc.unique(table["status"]).to_pylist())
    return found


def _row(answer: Answer | NoAnswer) -> Row | Failure:
    if isinstance(answer, NoAnswer):
        return Failure("no_answer", answer.reason)
    if not answer.text:
        return Failure("empty", "the captioner gave an empty answer")
    return {
        "answer": whole_characters(answer.text),
        "finished": answer.finished,
        "repeats": answer.repeats,
    }
