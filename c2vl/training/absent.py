"""An encoder that was not pretrained, because there are no prompts: a data set of skeletons alone.

Its folder holds a note in place of the weights. Later stages pass the note on. They train and
evaluate what needs no prompts: the random and supervised baselines, and finetuning from scratch.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow.compute as pc

from c2vl.core import tables
from c2vl.core.files import read_json, write_json
from c2vl.core.layout import SkeletonLayout
from c2vl.models.streams import Stream
from c2vl.training.checkpoint import ABSENT, EncoderConfig, Method
from c2vl.training.training_params import PretrainParams

log = logging.getLogger(__name__)
KINDS = ("vision", "language")
REASON = (
    "There are no prompts to learn from: put the videos beside the skeletons, or set "
    "`caption.published` to a file of answers (docs/datasets.md)."
)


def without_prompts(data: Path) -> bool:
    """Whether this is a data set of skeletons alone: no clip has a video or a prompt.

    Raises:
        UserError: the index or a table of prompts is missing.
    """
    videos = tables.read(data / "index" / "index.parquet", ["video_file"])["video_file"]
    return videos.null_count == len(videos) and not any(
        pc.any(pc.equal(table["status"], "ok")).as_py()
        for kind in KINDS
        for _, table in tables.shards(data / "embed" / kind, ["status"])
    )


def note_absent(
    folder: Path,
    method: Method,
    benchmark: str,
    stream: Stream,
    params: PretrainParams,
    layout: SkeletonLayout,
) -> None:
    """Write the note: the reason, and the config that the encoder would have had."""
    params = params.on(layout)
    config = EncoderConfig(
        method=method,
        benchmark=benchmark,
        stream=stream,
        seed=params.seed,
        encoder=params.encoder,
        frames=params.view.frames,
        training=params.model_dump(mode="json"),
    ).on(layout)
    write_json(folder / ABSENT, {"reason": REASON, "config": config.to_json()})
    log.info(f"{folder}: not trained. {REASON}")


def absent(folder: Path) -> EncoderConfig | None:
    """The config of the encoder that the folder would hold; None where it holds one."""
    if not (folder / ABSENT).is_file():
        return None
    return EncoderConfig.model_validate(read_json(folder / ABSENT)["config"])


def pass_on(folder: Path, out: Path) -> None:
    """Write the note of `folder` to `out`."""
    write_json(out / ABSENT, read_json(folder / ABSENT))
