"""How busy the stages keep their engines, a Markdown table.

    python bench/engines.py [--clips N] [--rounds N]

For each engine, items a second in one run of:
- the model alone on tensors that are ready, in the batches that the stage cuts;
- the same, while other batches are prepared beside it and thrown away;
- preparing alone (decoding, cropping, processor), a core;
- the whole stage (preparing, engine, rows, store, table), without loading and, where
  `C2VL_PREPARE=processes` asks for processes, without waiting for their first batch;
- the usual script that takes one frame after the other.

Then stage / model, with its lowest and highest round; stage / model beside preparing, where what
two busy cores take from each other is in both rates; the most that stage / model can be where every
preparing thread has a core; and the share of the stage's time that its engine was at work.

It takes the shipped tiny checkpoints and videos of the demo's size: noise with something upright
moving. `bench/gpu.sh` times engines of full size on full-HD videos by the same code.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import harmonic_mean, median
from typing import Any

from engine_inputs import FRAMES, write_clips

from c2vl.core import machine
from c2vl.prompts.caption import CaptionParams, CaptionStage
from c2vl.prompts.crop import CropStage
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.embed import EmbedStage
from c2vl.prompts.embed_params import EmbedParams
from c2vl.prompts.engines import (
    Captioner,
    CaptionerParams,
    Detector,
    DetectorParams,
    Encoder,
    EncoderParams,
)
from c2vl.prompts.frame import read_frames
from c2vl.prompts.jpeg import from_jpeg, to_jpeg
from c2vl.store.fill import PREPARE, Filled, prepared_batches
from c2vl.store.missing import batches, blocks
from c2vl.store.run import run
from c2vl.store.stage import Stage

TINY = Path(__file__).resolve().parents[1] / "checkpoints/tiny"
AHEAD = 512  # items that are prepared for the model alone: of full size 10 GB


def rate(count: int, work: Callable[[], object], notes: dict[str, Any] | None = None) -> float:
    """Items a second of `work`, without the time that `notes` call its start."""
    import torch

    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return count / (time.perf_counter() - began - (notes or {}).get("starting_seconds", 0.0))


def beside(
    stage: Any, batches: list[tuple[list[Any], list[Any]]], alone: Callable[[list[Any]], Any]
) -> float:
    """Items a second of the model, while other batches are prepared as the stage has them prepared.

    Args:
        stage: the stage that is timed.
        batches: its units, and what is ready of them, in the model's batches.
        alone: the model.
    """
    elsewhere = os.environ.get(PREPARE) == "processes"
    todo = islice(cycle([units for units, _ in batches]), len(batches) + 2)
    with closing(prepared_batches(stage, todo, elsewhere, Filled())) as preparing:
        for _ in range(2):
            next(preparing)

        def pass_by() -> None:
            for _, ready in batches:
                next(preparing)
                for batch in ready:
                    alone(batch)

        return rate(sum(len(units) for units, _ in batches), pass_by)


@dataclass
class Measured:
    """Medians over the rounds; a ratio is of one round's two rates, of the same minute."""

    items: int
    batch: int
    model: float
    beside: float
    prepare: float
    stage: float
    singly: float
    busy: float
    of_model: float
    lowest: float
    highest: float
    of_beside: float
    of_singly: float


def measure(
    make: Callable[[], Any],
    alone: Callable[[list[Any]], Any],
    single: Callable[[Any], Any],
    root: Path,
    rounds: int,
    singles: int = 16,
) -> Measured:
    """Time the model, the stage on an empty store and one item after the other, in turn.

    Args:
        make: makes the stage.
        alone: the model on prepared items.
        single: the script that takes one unit.
        root: a folder for stores and outputs.
        rounds: how often each is timed.
        singles: units that the script takes.
    """
    rates: list[tuple[float, ...]] = []
    busy: list[float] = []
    for number in range(rounds):
        (root / f"store-{number}").mkdir(exist_ok=True)  # all stages share it
        os.environ["C2VL_STORE"] = str(root / f"store-{number}")
        stage = make()
        size = stage.batch_size()
        units = [
            unit
            for shard in stage.shards()
            for unit in stage.units(shard, "bench")
            if unit.key is not None
        ]
        cut = [
            batch
            for shard in stage.shards()
            for block in blocks(stage.units(shard, "bench"))
            for batch in batches(block, size)
        ]
        cut = cut[: max(1, AHEAD // size)]
        count = sum(map(len, cut))
        prepare_batch = stage.preparer()
        payloads = [[unit.payload for unit in batch] for batch in cut]
        prepare_batch(payloads[0])  # what is found out once, is
        began = time.process_time()
        made = [prepare_batch(batch) for batch in payloads]
        prepare = count / (time.process_time() - began)
        at_once = getattr(
            stage, "_at_once", size
        )  # a sample's frames are prepared together, however few the detector takes
        ready = [
            _parts([item[1] if isinstance(item, tuple) else item for item in batch], at_once)
            for batch in made
        ]
        alone(ready[0][0])  # kernels are chosen, memory is taken

        def model() -> float:
            return rate(count, lambda: [alone(batch) for parts in ready for batch in parts])  # noqa: B023 - called at once

        before = model()
        next_to = beside(stage, list(zip(cut, ready, strict=True)), alone)
        notes: dict[str, Any] = {}
        whole = rate(len(units), lambda: run(stage, root / f"{stage.name}-{number}", notes), notes)  # noqa: B023
        both = harmonic_mean((before, model()))
        busy.append(notes["engine_seconds"] * whole / len(units))
        singly = rate(singles, lambda: [single(unit) for unit in units[:singles]])  # noqa: B023
        rates.append((both, next_to, prepare, whole, singly))
    medians = [median(column) for column in zip(*rates, strict=True)]
    ratios = sorted(whole / both for both, _, _, whole, _ in rates)
    of_beside = median(whole / next_to for _, next_to, _, whole, _ in rates)
    of_singly = median(whole / singly for *_, whole, singly in rates)
    of_model = (median(ratios), ratios[0], ratios[-1])
    return Measured(len(units), at_once, *medians, median(busy), *of_model, of_beside, of_singly)


def _parts(items: list[Any], size: int) -> list[list[Any]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(machine.workers())
    device = machine.device()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("C2VL_HOME", str(Path(folder) / "home"))
        root = Path(folder)
        write_clips(root, chosen.clips, (384, 216))
        rows = stages(root, chosen.rounds)
    print(
        f"\n{device}, {torch.get_num_threads()} threads, {chosen.clips} clips of {FRAMES} frames\n"
    )
    heads = [
        "items",
        "batch",
        "model alone, /s",
        "beside preparing, /s",
        "preparing, a core, /s",
        "stage, /s",
        "stage / model",
    ]
    heads += [
        "lowest, highest",
        "stage / beside",
        "at most",
        "in the engine",
        "one by one, /s",
        "stage / one by one",
    ]
    print("| engine | " + " | ".join(heads) + " |")
    print("|---" + "|---:" * len(heads) + "|")
    for name, one in rows.items():
        most = min(1.0, one.prepare * min(machine.workers(), Stage.most_threads) / one.model)
        rates = (one.model, one.beside, one.prepare, one.stage)
        models = " | ".join([str(one.items), str(one.batch), *(f"{rate:.1f}" for rate in rates)])
        ratios = f"{one.of_model:.2f} | {one.lowest:.2f}, {one.highest:.2f} | {one.of_beside:.2f}"
        shares = f"{most:.2f} | {one.busy:.2f} | {one.singly:.1f} | {one.of_singly:.1f}"
        print(f"| {name} | {models} | {ratios} | {shares} |")


def stages(root: Path, rounds: int) -> dict[str, Measured]:
    """Time crop, caption and embed on the clips in `root`; each reads the table before it."""
    device, crops, rows = machine.device(), root / "crop-0", {}
    finding = DetectorParams(model=str(TINY / "detector"))
    detector = cropping(root, finding, Detector.load(finding, device))
    rows["detector"] = measure(*detector, root, rounds)
    asking = CaptionerParams(model=str(TINY / "captioner"), max_new_tokens=32, pad_to_square=False)
    captioner = captioning(crops, asking, Captioner.load(asking, device))
    rows["captioner"] = measure(*captioner, root, rounds)
    encoding = EncoderParams(model=str(TINY / "encoder"))
    encoder = embedding(crops, encoding, Encoder.load(encoding, device))
    rows["encoder, crops"] = measure(*encoder, root, rounds)
    return rows


Timed = tuple[Callable[[], Any], Callable[[list[Any]], Any], Callable[[Any], Any]]
"""Makes a stage; its model; a script that does the work of one unit."""


def cropping(root: Path, params: DetectorParams, detector: Any) -> Timed:
    """The crop stage on the clips in `root`."""

    def make() -> CropStage:
        keep = {"margin": 0.08, "jpeg_quality": 92, "fallback": "skeleton", "max_failed": 1.0}
        of_stage = CropParams(frames_per_clip=FRAMES, detector=params, **keep)
        stage = CropStage(of_stage, root / "index.parquet", root / "skeleton", root)
        stage.use(detector)
        return stage

    def single(unit: Any) -> None:  # the usual script: open, decode, detect, write a file
        (image,) = read_frames([unit.payload])
        boxes = detector([image])[0].boxes
        x0, y0, x1, y1 = boxes[0].astype(int) if len(boxes) else (0, 0, *image.shape[1::-1])
        (root / "one.jpg").write_bytes(to_jpeg(image[y0 : y1 + 1, x0 : x1 + 1], 92))

    return make, detector.detect, single


def captioning(crops: Path, params: CaptionerParams, captioner: Any) -> Timed:
    """The caption stage on a crop table."""

    def make() -> CaptionStage:
        stage = CaptionStage(CaptionParams(max_failed=1.0, captioner=params), crops)
        stage.use(captioner)
        return stage

    return make, captioner.answer, lambda unit: captioner([from_jpeg(unit.payload)])


def embedding(crops: Path, params: EncoderParams, encoder: Any) -> Timed:
    """The embed stage on a crop table."""

    def make() -> EmbedStage:
        stage = EmbedStage(EmbedParams(max_failed=1.0, encoder=params), "vision", crops)
        stage.use(encoder)
        return stage

    return make, encoder.encode_images, lambda unit: encoder.images([from_jpeg(unit.payload)])


if __name__ == "__main__":
    main()
