"""Stage `embed`: features of crops (vision) and of answers (language) in one space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from c2vl.core import machine, tables
from c2vl.core.tables.schemas import feature
from c2vl.prompts.base import engine_description, engine_device
from c2vl.prompts.embed_params import EmbedParams
from c2vl.prompts.engines.encoder import Encoder
from c2vl.prompts.inputs import answer_units, clip_units, crop_units
from c2vl.prompts.reading import ReadClips, ReadCrops
from c2vl.store.stage import Failure, Row, Stage, Unit

VERSION = 2  # of everything here that changes a row; raise it with the change
Knowledge = Literal["vision", "language"]


class EmbedStage(Stage):
    """Stage `embed`, of crops or of answers.

    Args:
        params: section `embed`.
        knowledge: `vision` reads the crop table, `language` the caption table.
        prompts: folder of that table.
    """

    done = "embedded"

    def __init__(self, params: EmbedParams, knowledge: Knowledge, prompts: Path) -> None:
        self.name = f"embed-{knowledge}"
        self.may_be_empty = True  # skeletons alone: no crops, and answers only if published
        self.max_failed = params.max_failed
        self._params, self._knowledge, self._prompts = params, knowledge, prompts
        self._encoder: Encoder | None = None
        self._width = self._truncated = 0

    def description(self) -> dict[str, Any]:
        """The encoder and its parameters."""
        return {"version": VERSION, **engine_description("encoder", self._params.encoder)}

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """The table of features, as wide as the encoder's or, if it is not loaded, the store's."""
        unit = self._params.encoder.normalise
        if self._encoder is not None:
            return feature(self._encoder.width, unit)
        return feature(stored.field("feature").type.list_size if stored is not None else 1, unit)

    def shards(self) -> Iterable[str]:
        """Those of the prompts' table."""
        return [path.stem for path in tables.shard_paths(self._prompts)]

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        """One unit a prompt; a video encoder's units of a clip share all of its crops."""
        units = answer_units
        if self._knowledge == "vision":
            units = clip_units if self._by_clip else crop_units
        return units(self._prompts / f"{shard}.parquet", fingerprint)

    @cached_property
    def _by_clip(self) -> bool:
        """Whether the encoder reads the crops of a clip at once."""
        encoder = self._encoder
        frames = self._params.encoder.frames() if encoder is None else encoder.frames
        return frames is not None

    def use(self, encoder: Encoder) -> None:
        """Use an encoder that is loaded already."""
        self._encoder = encoder

    def load(self) -> None:
        """Load the encoder."""
        if self._encoder is None:
            self._encoder = Encoder.load(self._params.encoder, engine_device())

    def batch_size(self) -> int:
        """Prompts at once (`C2VL_BATCH_EMBED`)."""
        assert self._encoder is not None
        return machine.batch_size("embed", self._encoder.batch_size)

    def preparer(self) -> Callable[[list[Any]], Sequence[Any]]:
        """Decode the crops and prepare them for the encoder, or tokenise the answers."""
        assert self._encoder is not None
        if self._knowledge == "language":
            return self._encoder.prepare_texts
        if self._by_clip:
            return ReadClips(self._encoder.clip_preparer)
        return ReadCrops(self._encoder.preparer)

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> list[Row | Failure]:
        """Encode."""
        assert self._encoder is not None
        if self._knowledge == "vision":
            return [_row(vector) for vector in self._encoder.encode_images(ready)]
        vectors = self._encoder.encode_texts(ready)
        return [
            _row(vector, truncated=words.truncated)
            for vector, words in zip(vectors, ready, strict=True)
        ]

    def observe(self, table: pa.Table) -> None:
        """Note the width, count what was too long."""
        self._width = table.schema.field("feature").type.list_size
        self._truncated += table.column("truncated").to_pylist().count(True)

    def metrics(self) -> dict[str, Any]:
        """Width of the features; of language also how many answers were too long."""
        return {"width": self._width} | (
            {"truncated": self._truncated} if self._knowledge == "language" else {}
        )


def _row(feature: np.ndarray, **columns: bool) -> Row | Failure:
    if not np.isfinite(feature).all():  # one would make a whole batch of pretraining NaN
        return Failure(
            "not_finite", "the encoder computed numbers that are not finite; try another `dtype`"
        )
    return {"feature": feature, **columns}
