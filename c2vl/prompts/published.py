"""Stage `caption` from a published answers file. Reads no crop and loads no captioner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.tables.schemas import CAPTION, CLIP_CAPTION, OK
from c2vl.datasets.sample_ids import sample_id
from c2vl.prompts.base import mean
from c2vl.prompts.distinct import Distinct
from c2vl.prompts.engines.repeats import repeats
from c2vl.prompts.published_file import PublishedPrompts, read_published
from c2vl.store.keys import content_key
from c2vl.store.stage import Failure, Row, Stage, Unit

VERSION = 2  # raise it when something here changes a row
NAMES_SHOWN = 5  # unmatched clips in the message
NOT_PUBLISHED = Failure(
    "not_published",
    "the published file has no sentence for this prompt of the clip",
    inherited=True,
)


def read_for_captions(path: Path, per_clip: bool) -> PublishedPrompts:
    """Read the published answers that `caption.published` names.

    Args:
        path: the file or folder.
        per_clip: each clip has at most one sentence, about all of its crops.

    Raises:
        UserError: it cannot be used, or a clip has more sentences.
    """
    found = read_published(path, "caption.published")
    if per_clip and found.most > 1:
        raise UserError(
            f"{path} (`caption.published`) holds up to {found.most} sentences of a clip, and "
            "`caption.per: clip` takes one; set `caption.per: frame`."
        )
    return found


class PublishedStage(Stage):
    """Stage `caption` from a published file: sentence k of a clip is its prompt k.

    Clips that the file lacks are rows `not_published`, which do not count against `max_failed`.

    Args:
        path: the published file or folder.
        crops: folder of the crop table, read for its samples only.
        per_clip: the file has one sentence a clip, about all of its crops (`caption.per: clip`).

    Raises:
        UserError: the file cannot be used, or no clip of it is among the samples.
    """

    name = "caption"
    done = "taken as published"
    max_failed = 1.0  # an empty sentence was published like that; running again does not help

    def __init__(self, path: Path, crops: Path, per_clip: bool = False) -> None:
        self._published, self._per_clip = read_for_captions(path, per_clip), per_clip
        self._shards: dict[str, list[str]] = {}
        self._cropped = 0  # frames with crops in a clip; 0 if no clip has any
        for shard, table in tables.shards(crops, ["sample", "k", "status"]):
            self._shards[shard] = pc.unique(table["sample"]).to_pylist()
            last = pc.max(table.filter(pc.equal(table["status"], OK))["k"]).as_py()
            self._cropped = max(self._cropped, 0 if last is None else last + 1)
        samples = [sample for members in self._shards.values() for sample in members]
        sentences = self._published.sentences
        self._by_id = {sample_id(name): texts for name, texts in sentences.items()}
        self._matched = sum(sample in self._by_id for sample in samples)
        if not self._matched:
            raise UserError(
                f"no clip of {path} (`caption.published`) is in the index: it names clips such as "
                f"{next(iter(sentences))[:60]!r}, the index {samples[0] if samples else 'none'}. "
                "Is the file for another data set? Set `caption.published` to the right one."
            )
        known = set(samples)
        self._unmatched = {
            "clips_not_in_the_index": [name for name in sentences if sample_id(name) not in known],
            "clips_without_sentences": [one for one in samples if one not in self._by_id],
        }
        self._rows = self._words = 0
        self._answers = Distinct()

    def description(self) -> dict[str, Any]:
        """The file's content."""
        return {"version": VERSION, "published": self._published.digest}

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """The caption table."""
        return CLIP_CAPTION if self._per_clip else CAPTION

    def shards(self) -> Iterable[str]:
        """The shards of the crop table."""
        return self._shards

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        """For each sample as many prompts as the clip with the most sentences has.

        Of sentences about whole clips, `k` is null.
        """
        return [
            unit for sample in self._shards[shard] for unit in self._of_sample(sample, fingerprint)
        ]

    def _of_sample(self, sample: str, fingerprint: str) -> list[Unit]:
        texts = self._by_id.get(sample, [])
        units = []
        for k in range(self._published.most):
            identity = {"sample": sample, "k": None if self._per_clip else k}
            units.append(
                Unit(identity, content_key(fingerprint, texts[k]), texts[k])
                if k < len(texts)
                else Unit(identity, None, failure=NOT_PUBLISHED)
            )
        return units

    def batch_size(self) -> int:
        """Sentences per batch; nothing is computed with them."""
        return 16384

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> list[Row | Failure]:
        """Return the sentences as rows."""
        empty = Failure("empty", "the published sentence is empty")
        return [
            {"answer": sentence, "finished": True, "repeats": repeats(sentence)}
            if sentence
            else empty
            for sentence in ready
        ]

    def observe(self, table: pa.Table) -> None:
        """Count answers and words."""
        answers = [
            row["answer"]
            for row in tables.rows_of(table.select(["answer", "status"]))
            if row["status"] == OK
        ]
        self._answers.add(answers)
        self._rows += len(answers)
        self._words += sum(len(answer.split()) for answer in answers)

    def metrics(self) -> dict[str, Any]:
        """Numbers about the usable rows, and the clips without a match, on either side."""
        unmatched = {
            what: {"count": len(names), "first": names[:NAMES_SHOWN]}
            for what, names in self._unmatched.items()
        }
        return {
            "unique_answers": len(self._answers),
            "unfinished": 0,
            "mean_words": mean(self._words, self._rows),
            "published": {
                "clips": len(self._published.sentences),
                "matched": self._matched,
                **unmatched,
            },
        }

    def summary(self) -> str:
        """Return one line for people: how many clips match, and whether frames and sentences do."""
        parts = [
            f"caption: {self._matched:,} of {len(self._published.sentences):,} published clips are "
            "in the index"
        ]
        for what, names in self._unmatched.items():
            if names:
                shown = ", ".join(name[:40] for name in islice(names, NAMES_SHOWN))
                more = ", …" if len(names) > NAMES_SHOWN else ""
                parts.append(f"{len(names):,} {what.replace('_', ' ')} ({shown}{more})")
        if self._cropped not in (0, self._published.most) and not self._per_clip:
            of_clip = "caption.per to clip, " if self._published.most == 1 else ""
            parts.append(
                f"there are crops of {self._cropped} frames per clip and {self._published.most} "
                f"sentences, so sentence k is not about crop k: set {of_clip}crop.frames_per_clip "
                f"to {self._published.most}, or learn from language alone"
            )
        return "; ".join(parts) + "."
