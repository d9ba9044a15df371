"""Stage `caption`: ask the captioner about every crop, or once about the crops of each clip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from c2vl.core import machine, tables
from c2vl.core.params import ParamsModel
from c2vl.core.tables.schemas import CAPTION, CLIP_CAPTION, OK
from c2vl.core.unicode_text import whole_characters
from c2vl.prompts.base import engine_description, engine_device, mean
from c2vl.prompts.distinct import Distinct
from c2vl.prompts.engines.adapters import load_captioner
from c2vl.prompts.engines.captioner import Answer, Answerer, CaptionerParams, NoAnswer
from c2vl.prompts.engines.own_question import question_of
from c2vl.prompts.inputs import crop_units, whole_clip_units
from c2vl.prompts.reading import ReadClips, ReadCrops
from c2vl.store.stage import Failure, Row, Stage, Unit

VERSION = 2  # raise it when something here changes a row
CLIP_VERSION = 1  # the same for questions about clips
CLIP_QUESTION = (
    "The images show one scene in order of time. "
    "Is he/she or are they holding anything in the hand? "
    "Is he/she or are they standing or sitting? "
    "What does he/she or do they do first, and what then? "
    "What is he/she or are they trying to do? Answer the questions concisely"
)


class CaptionParams(ParamsModel):
    """Section `caption`: the engine, and the share of failed rows above which the stage fails.

    Attributes:
        published: published answers, a file or a folder, to take instead of asking an engine.
        per: ask about each crop (`frame`), as the paper does, or once about all crops of a clip.
        clip_question: asked about a clip, in place of `captioner.question`; it may come from
            elsewhere in the same ways.
    """

    published: Path | None = None
    per: Literal["frame", "clip"] = "frame"
    clip_question: str = CLIP_QUESTION
    max_failed: float = Field(ge=0, le=1)
    captioner: CaptionerParams

    @field_validator("clip_question", mode="before")
    @classmethod
    def _from_elsewhere(cls, question: Any) -> Any:
        of_dict = isinstance(question, dict)
        return question_of(question, "caption.clip_question") if of_dict else question

    def asking(self) -> CaptionerParams:
        """The captioner with the question that it is asked."""
        if self.per == "frame":
            return self.captioner
        return self.captioner.model_copy(update={"question": self.clip_question})


class CaptionStage(Stage):
    """Stage `caption`: one question for each different crop, or clip, of the table in `crops`."""

    name = "caption"
    done = "captioned"

    def __init__(self, params: CaptionParams, crops: Path) -> None:
        self.max_failed = params.max_failed
        self._params, self._crops = params, crops
        self._per_clip = params.per == "clip"
        self._longest = 1  # crops of the longest clip
        self._captioner: Answerer | None = None
        self._answers = Distinct()
        self._rows = self._unfinished = self._repeating = self._words = 0

    def description(self) -> dict[str, Any]:
        """The captioner and its parameters."""
        of_clips = {"per": "clip", "clip version": CLIP_VERSION} if self._per_clip else {}
        captioner = engine_description("captioner", self._params.asking())
        return {"version": VERSION, **captioner, **of_clips}

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """The caption table."""
        return CLIP_CAPTION if self._per_clip else CAPTION

    def shards(self) -> Iterable[str]:
        """The shards of the crop table."""
        found = [path.stem for path in tables.shard_paths(self._crops)]
        statuses = crop_statuses(self._crops)  # skeletons alone have no crops to ask about
        self.may_be_empty = "no_video" in statuses and statuses <= {"no_video", "no_skeleton"}
        return found

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        """One unit per crop or clip."""
        path = self._crops / f"{shard}.parquet"
        if not self._per_clip:
            return crop_units(path, fingerprint)
        units = whole_clip_units(path, fingerprint)
        crops = (len(unit.payload) for unit in units if unit.key is not None)
        self._longest = max([self._longest, *crops])
        return units

    def use(self, captioner: Answerer) -> None:
        """Use a captioner that is loaded already."""
        self._captioner = captioner

    def load(self) -> None:
        """Load the captioner."""
        if self._captioner is None:
            images = self._longest if self._per_clip else None
            self._captioner = load_captioner(self._params.asking(), engine_device, images)

    def batch_size(self) -> int:
        """Crops per batch (`C2VL_BATCH_CAPTION`), or clips of as many crops, at least one."""
        assert self._captioner is not None
        crops = machine.batch_size("caption", self._captioner.batch_size)
        return max(1, crops // self._longest) if self._per_clip else crops

    def preparer(self) -> ReadCrops | ReadClips:
        """Decode the crops and prepare them for the captioner."""
        assert self._captioner is not None
        prepare = getattr(self._captioner, "preparer", None) or self._captioner.prepare
        return ReadClips(prepare) if self._per_clip else ReadCrops(prepare)

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
