"""How busy the stages keep their engines, a Markdown table.

    python bench/engines.py [--clips N] [--rounds N] [--full]

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

On a CPU with the shipped tiny checkpoints and videos of the demo's size. `--full` takes the paper's
engines at full size with random weights on full-HD videos, and needs a GPU. Videos are noise with
something upright moving. A GPU's batch is found first and not timed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import harmonic_mean, median
from typing import Any

import cv2
import numpy as np

from c2vl.core import machine, tables
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
FRAMES, LENGTH, SHARD = 16, 90, "S001C001"  # K, frames of a video
AHEAD = 512  # items that are prepared for the model alone: of full size 10 GB


def write_clips(root: Path, clips: int, size: tuple[int, int]) -> None:
    """Videos, index and skeleton table of `clips` samples."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 40, (size[1], size[0], 3), dtype=np.uint8)
    index, skeletons = [], []
    scale = size[0] / 1920
    for number in range(clips):
        name = f"{SHARD}P{number % 40 + 1:03d}R{number // 40 + 1:03d}A001"
        path = root / f"{name}_rgb.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 30, size)
        colour = np.full((LENGTH, 2, 25, 2), np.nan, np.float32)
        for frame in range(LENGTH):
            left = 500 + 8 * frame + number % 50
            picture = np.roll(noise, frame, axis=0)
            picture[
                int(150 * scale) : int(950 * scale), int(left * scale) : int((left + 300) * scale)
            ] += 150
            writer.write(picture)
            colour[frame, 0] = rng.uniform((left + 30, 200), (left + 270, 900), (25, 2))
        writer.release()
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        index.append(
            {
                "sample": name,
                "dataset": "bench",
                "video_file": path.name,
                "video_hash": digest,
                "video_frames": LENGTH,
            }
        )
        skeletons.append({"sample": name, "bodies": 1, "file_frames": LENGTH, "colour": colour})
        skeletons[-1]["tracked"] = np.where(np.isfinite(colour[..., 0]), 2, 0).astype(np.uint8)
    ok = {"status": "ok", "reason": ""}
    tables.write(
        root / "index.parquet",
        tables.table_of([{**row, **ok} for row in index], tables.schemas.index([])),
    )
    skeleton = tables.table_of([{**row, **ok} for row in skeletons], tables.schemas.SKELETON)
    tables.write(root / "skeleton" / f"{SHARD}.parquet", skeleton)


def engine(name: str, params: Any, full: bool) -> Any:
    """The loaded adapter: the shipped checkpoint, or one of full size with random weights."""
    kind = {"detector": Detector, "captioner": Captioner, "encoder": Encoder}[name]
    device = machine.device()
    if not full:
        return kind.load(params, device)
    import full_size

    from c2vl.prompts.engines.engine_params import torch_dtype

    return kind(
        params,
        full_size.build(name, device, torch_dtype(params)),
        full_size.processor(name),
        device,
        f"full-{name}",
    )


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
    todo = (units for units, _ in [*batches[:2], *batches])
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
    root: Path,
    rounds: int,
    alone: Callable[[list[Any]], Any],
    single: Callable[[Any], Any],
) -> Measured:
    """Time the model, the stage on an empty store and one item after the other, in turn."""
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
        singly = rate(16, lambda: [single(unit) for unit in units[:16]])  # noqa: B023
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
    parser.add_argument("--full", action="store_true")
    chosen = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    import torch

    torch.set_num_threads(machine.workers())
    device = machine.device()
    if chosen.full and device.type == "cpu":
        sys.exit("Full size needs a GPU: not measured.")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("C2VL_HOME", str(Path(folder) / "home"))
        root = Path(folder)
        write_clips(root, chosen.clips, (1920, 1080) if chosen.full else (384, 216))
        rows = stages(root, chosen.full, chosen.rounds)
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


def stages(root: Path, full: bool, rounds: int) -> dict[str, Measured]:
    """Time crop, caption and embed on the clips in `root`; each reads the table before it."""
    common = {"dtype": "bfloat16"} if full else {}
    found = DetectorParams(model=str(TINY / "detector"), **common)
    asked = CaptionerParams(
        model=str(TINY / "captioner"), max_new_tokens=32, pad_to_square=full, **common
    )
    shown = EncoderParams(model=str(TINY / "encoder"), pad_to_square=full, **common)
    keep = {"margin": 0.08, "jpeg_quality": 92, "fallback": "skeleton", "max_failed": 1.0}
    rows = {}

    def crops() -> CropStage:
        params = CropParams(frames_per_clip=FRAMES, detector=found, **keep)
        stage = CropStage(params, root / "index.parquet", root / "skeleton", root)
        stage.use(detector)
        return stage

    def one_frame(unit: Any) -> None:  # the usual script: open, decode, detect, write a file
        (image,) = read_frames([unit.payload])
        boxes = detector([image])[0].boxes
        x0, y0, x1, y1 = boxes[0].astype(int) if len(boxes) else (0, 0, *image.shape[1::-1])
        (root / "one.jpg").write_bytes(to_jpeg(image[y0 : y1 + 1, x0 : x1 + 1], 92))

    detector = engine("detector", found, full)
    rows["detector"] = measure(crops, root, rounds, detector.detect, one_frame)
    detector = None

    def captions() -> CaptionStage:
        stage = CaptionStage(CaptionParams(max_failed=1.0, captioner=asked), root / "crop-0")
        stage.use(captioner)
        return stage

    def one_answer(unit: Any) -> None:
        captioner([from_jpeg(unit.payload)])

    captioner = engine("captioner", asked, full)
    rows["captioner"] = measure(captions, root, rounds, captioner.answer, one_answer)
    captioner = None

    def features() -> EmbedStage:
        stage = EmbedStage(EmbedParams(max_failed=1.0, encoder=shown), "vision", root / "crop-0")
        stage.use(encoder)
        return stage

    def one_crop(unit: Any) -> None:
        encoder.images([from_jpeg(unit.payload)])

    encoder = engine("encoder", shown, full)
    rows["encoder, crops"] = measure(features, root, rounds, encoder.encode_images, one_crop)
    return rows


if __name__ == "__main__":
    main()
