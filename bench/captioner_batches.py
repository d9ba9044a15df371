"""How crops of different sizes share the batches of a captioner, a Markdown table.

    python bench/captioner_batches.py [--crops data/crop] [--items N] [--max-pixels N]

For each type of model, tiny and with random weights, on crops in the order of a crop table and in
the stage's batches of 16:
- tokens of a prompt, fewest and most;
- groups a batch, if only equal shapes share one, and as they are made;
- crops a group, and the share of tokens that only pads;
- crops a second, in groups of equal shapes and as they are made.

The three Qwen-VL have the image sizes of their class. The others cut crops into tiles of 56 or 64
pixels, because the studio's crops are as much smaller than those of a full-HD video.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/helpers")]

import tiny_vlms  # noqa: E402

from c2vl.core import tables  # noqa: E402
from c2vl.core.tables.schemas import OK  # noqa: E402
from c2vl.prompts.engines import Captioner, CaptionerParams  # noqa: E402
from c2vl.prompts.engines.captioner import CPU_BATCH  # noqa: E402
from c2vl.prompts.engines.model_inputs import group_by_shape  # noqa: E402
from c2vl.prompts.engines.padding import length, padding  # noqa: E402
from c2vl.prompts.jpeg import from_jpeg  # noqa: E402

OWN_SIZES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
KINDS = (*OWN_SIZES, "internvl", "llava_next", "llava_onevision", "smolvlm", "idefics3")
COLUMNS = (
    "type",
    "square",
    "tokens",
    "groups, equal shapes",
    "groups",
    "crops a group",
    "tokens wasted",
    "crops/s, equal shapes",
    "crops/s",
)


def crops_in(folder: Path) -> Iterator[np.ndarray]:
    """The usable crops (H, W, 3) of a crop table."""
    for path in tables.shard_paths(folder):
        for row in tables.rows_of(tables.read(path, ["crop", "status"])):
            if row["status"] == OK:
                yield from_jpeg(row["crop"])


def row(kind: str, folder: Path, crops: Sequence[np.ndarray], **params: Any) -> list[str]:
    captioner = Captioner.load(
        CaptionerParams(model=str(folder), max_new_tokens=8, question="is he standing", **params),
        "cpu",
    )
    batches = [
        captioner.prepare(crops[at : at + CPU_BATCH]) for at in range(0, len(crops), CPU_BATCH)
    ]
    lengths = [[length(item) for item in ready] for ready in batches]
    groups = [captioner.groups(ready) for ready in batches]
    equal = [group_by_shape(ready) for ready in batches]
    tokens = [count for batch in lengths for count in batch]
    wasted = sum(padding(*pair) for pair in zip(lengths, groups, strict=True))
    seconds = []
    for way in (equal, groups):
        start = time.perf_counter()
        for ready, shared in zip(batches, way, strict=True):
            for group in shared:
                captioner.answer([ready[index] for index in group])
        seconds.append(time.perf_counter() - start)
    made = sum(map(len, groups))
    return [
        kind,
        "yes" if params["pad_to_square"] else "no",
        f"{min(tokens)} to {max(tokens)}",
        f"{sum(map(len, equal)) / len(batches):.1f}",
        f"{made / len(batches):.1f}",
        f"{len(crops) / made:.1f}",
        f"{wasted / (wasted + sum(tokens)):.1%}",
        *(f"{len(crops) / taken:.0f}" for taken in seconds),
    ]


def build(kind: str, folder: Path) -> None:
    tiny_vlms.build(kind, folder)
    if kind in OWN_SIZES:
        path = folder / "preprocessor_config.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({key: settings[key] for key in settings.keys() - {"size"}}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crops", type=Path, default=Path("data/crop"))
    parser.add_argument("--items", type=int, default=128)
    parser.add_argument("--max-pixels", type=int)
    chosen = parser.parse_args()
    logging.disable()
    crops = list(islice(crops_in(chosen.crops), chosen.items))
    heights, widths = zip(*(crop.shape[:2] for crop in crops), strict=True)
    print(
        f"{len(crops)} crops, {min(heights)} to {max(heights)} pixels high, {min(widths)} to "
        f"{max(widths)} wide\n"
    )
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "---:|" * (len(COLUMNS) - 2))
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            build(kind, Path(folder))
            for square in (False, True):
                cells = row(
                    kind,
                    Path(folder),
                    crops,
                    pad_to_square=square,
                    max_pixels=chosen.max_pixels,
                )
                print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
