"""The parts of `bench/gpu.py`. Each writes what it measures into `row.json`, once it knows it."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engine_inputs
import engines
import full_size
import gpu_resume
import numpy as np
import torch
import train
import transformers

from c2vl.core import machine
from c2vl.core.boxes import iou
from c2vl.core.errors import one_sentence
from c2vl.prompts.engines import (
    Captioner,
    CaptionerParams,
    Detector,
    DetectorParams,
    Encoder,
    EncoderParams,
)
from c2vl.prompts.engines.batching import machine_file
from c2vl.studio.stills import still

TINY = Path(__file__).resolve().parents[1] / "checkpoints/tiny"


class Row:
    """The cells of a part, in a file that is rewritten with each of them."""

    def __init__(self, folder: Path) -> None:
        self._path, self._cells = folder / "row.json", {"remarks": []}

    def add(self, remark: str = "", **cells: Any) -> None:
        """Add cells, and a remark."""
        self._cells |= cells
        self._cells["remarks"] += [remark] if remark else []
        self._path.write_text(json.dumps(self._cells), encoding="utf-8")


def peak() -> float:
    """GiB: the most that was allocated on the GPU; on a CPU, the most memory of this process."""
    if machine.device().type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def about(row: Row, folder: Path, tiny: bool) -> None:
    """Say what this machine is."""
    cpu = machine.device().type == "cpu"
    name = "CPU" if cpu else torch.cuda.get_device_name()
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    row.add(gpu=not cpu, about=f"{name}, {machine.workers()} workers, {versions}")


SHORT = {"max_new_tokens": 32}
# Parameters, and how many items. The formats are those of the profile `paper`; in half precision, a
# detector of random weights would differ too much from float32 (`half_precision.py`).
ENGINES: dict[str, tuple[type, dict[str, Any], int]] = {
    "detector": (DetectorParams, {"dtype": "float32"}, 128),
    "llava": (CaptionerParams, {"dtype": "float16", **SHORT}, 256),
    "qwen3-vl": (
        CaptionerParams,
        {"dtype": "bfloat16", "template": "chat", "pad_to_square": False, **SHORT},
        256,
    ),
    "encoder": (EncoderParams, {"dtype": "float16", "pad_to_square": True}, 2048),
}


def with_random_weights(name: str, folder: Path, tiny: bool) -> tuple[Any, Any]:
    """Load an engine through its own loader, from a checkpoint in `folder` with random weights.

    Returns:
        Its parameters and the engine.
    """
    kind, given, _ = ENGINES[name]
    full_size.write_checkpoint(name, folder, tiny)
    shorter = {"max_new_tokens": 4} if tiny and "max_new_tokens" in given else {}
    params = kind.model_validate({"model": str(folder), **given, **shorter})
    adapter = {DetectorParams: Detector, EncoderParams: Encoder}.get(kind, Captioner)
    with full_size.random_weights(machine.device()):
        return params, adapter.load(params, machine.device())


def engine(name: str, row: Row, folder: Path, tiny: bool) -> None:
    """Load an engine with random weights, find its batch size, time it in its stage."""
    items = 16 if tiny else ENGINES[name][-1]
    if name == "detector":
        clips = items // engine_inputs.FRAMES
        engine_inputs.write_clips(folder, clips, (384, 216) if tiny else (1920, 1080))
    else:
        engine_inputs.write_crops(folder / "crop", items, 0.2 if tiny else 1.0)

    began = time.monotonic()
    params, loaded = with_random_weights(name, folder / "checkpoint", tiny)
    row.add(f"{params.dtype}, loaded in {time.monotonic() - began:.0f} s", peak=peak())
    if isinstance(params, DetectorParams):
        timed = engines.cropping(folder, params, loaded)
    elif isinstance(params, CaptionerParams):
        timed = engines.captioning(folder / "crop", params, loaded)
    else:
        timed = engines.embedding(folder / "crop", params, loaded)

    began = time.monotonic()
    batch = timed[0]().batch_size()
    found = f"found in {time.monotonic() - began:.0f} s"
    row.add(f"batch {'fixed' if machine.device().type == 'cpu' else found}", batch=batch)
    measured = engines.measure(*timed, folder, rounds=1, singles=4 if tiny else 8)
    rates = {"stage": measured.stage, "model": measured.model, "script": measured.singly}
    row.add(
        f"{items} items, preparing {measured.prepare:.1f}/s a core, "
        f"{100 * measured.busy:.0f} % of the stage in the engine",
        **rates,
        peak=peak(),
    )


def training(precision: str, compiled: bool, row: Row, folder: Path, tiny: bool) -> None:
    """Time steps of ST-GCN, as `bench/train.py` does."""
    device = machine.device()
    torch.set_num_threads(train.threads())
    chosen = argparse.Namespace(
        frames=8 if tiny else 64,
        repetitions=1 if tiny else 5,
        warmup=1 if tiny else 3,
        compile=compiled,
    )
    if compiled and device.type == "cpu":
        compile_without_code()
        row.add("traced, without code generation")
    settings = "tiny" if tiny else "published"
    batch, measured = train.where_memory_allows(
        lambda size: train.measure("stgcn", settings, size, chosen, precision, device),
        8 if tiny else 400,
    )
    share = 100 * measured["outside"]
    row.add(
        f"DataLoader {batch / measured['DataLoader']:,.0f}/s; {share:.0f} % outside the encoder; "
        f"the matrix products alone {1 / measured['floor']:,.0f}/s",
        batch=batch,
        stage=batch / measured["step"],
        model=batch / measured["forward + backward"],
        script=batch / measured["usual script"],
        peak=peak(),
    )


def compile_without_code() -> None:
    """Let `Module.compile` trace forward and backward; generating code takes a CPU a minute."""
    plain = torch.nn.Module.compile
    torch.nn.Module.compile = lambda module: plain(module, backend="aot_eager")


def resume(precision: str, row: Row, folder: Path, tiny: bool) -> None:
    """Kill a training and resume it; compare with one that was not killed."""
    gpu_resume.compare(precision, row, folder, tiny)


def agreement(row: Row, folder: Path, tiny: bool) -> None:
    """Load the shipped engines here and on the CPU, and compare what they say of some stills."""
    device = machine.device()
    shown = [still(seed, 216) for seed in range(4 if tiny else 32)]
    images = [one.image for one in shown]
    places: tuple[torch.device | str, torch.device | str] = (device, "cpu")
    detector = DetectorParams(model=str(TINY / "detector"))
    here, there = (Detector.load(detector, place)(images) for place in places)
    half = Detector.load(detector.model_copy(update={"dtype": "bfloat16"}), device)
    half_used = half.preparer.preparer.dtype == torch.bfloat16
    same = [
        len(one.boxes) == len(other.boxes)
        and (not len(one.boxes) or bool(iou(one.boxes, other.boxes).max(1).min() > 0.95))
        for one, other in zip(here, there, strict=True)
    ]
    captioner = CaptionerParams(model=str(TINY / "captioner"), pad_to_square=False)
    said, meant = (
        [answer.text for answer in Captioner.load(captioner, place)(images)] for place in places
    )
    equal = [one == other for one, other in zip(said, meant, strict=True)]
    encoder = EncoderParams(model=str(TINY / "encoder"))
    ours, theirs = (Encoder.load(encoder, place).images(images) for place in places)
    least = float((ours.astype(np.float32) * theirs.astype(np.float32)).sum(1).min())
    row.add(
        f"of {len(images)} stills, boxes agree for {sum(same)} and answers for {sum(equal)}; "
        f"cosine of features at least {least:.4f}; "
        f"the detector {'agrees' if half_used else 'does not agree'} in bfloat16",
        peak=peak(),
    )
    if min(sum(same), sum(equal)) < 0.9 * len(images) or least < 0.999:
        row.add(failure="another device gives other results")


def memory(row: Row, folder: Path, tiny: bool) -> None:
    """Encode a batch that does not fit: it is halved, and the results are those of small ones."""
    device = machine.device()
    if device.type == "cpu":
        row.add(skipped="it needs a GPU")
        return
    encoder = Encoder.load(EncoderParams(model=str(TINY / "encoder")), device)
    images = np.random.default_rng(0).integers(0, 256, (32, 64, 64, 3), dtype=np.uint8)
    few = encoder.prepare_images(list(images))
    expected = encoder.encode_images(few).astype(np.float32)
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(
        (torch.cuda.memory_reserved(device) + 256 * 2**20) / whole, device
    )
    many = few * 512
    found = encoder.encode_images(many).astype(np.float32).reshape(512, *expected.shape)
    least = float((found * expected).sum(-1).min())
    kept = json.loads(machine_file().read_text(encoding="utf-8"))["batch"]
    row.add(f"{len(many)} items, cosine at least {least:.4f}", batch=min(kept.values()))
    row.add(peak=peak())
    if least < 0.999:
        row.add(failure="a batch that was halved gives other results")


PARTS: dict[str, Callable[[Row, Path, bool], None]] = {
    "machine": about,
    **{name: lambda *given, name=name: engine(name, *given) for name in ENGINES},
    **{
        f"train-{precision}{'-compiled' * compiled}": (
            lambda *given, how=(precision, compiled): training(*how, *given)
        )
        for precision in ("fp32", "bf16")
        for compiled in (False, True)
    },
    "resume-fp32": lambda *given: resume("fp32", *given),
    "resume-bf16": lambda *given: resume("bf16", *given),
    "agreement": agreement,
    "memory": memory,
}


@one_sentence
def isolated(name: str, folder: Path, tiny: bool) -> None:
    """Run a part in this process, which was started for it; it writes to a log alone."""
    os.setsid()  # so that it can be ended together with what it starts
    sys.stdout = sys.stderr = (folder / "log").open("w", buffering=1, errors="backslashreplace")
    for stream in (1, 2):  # of libraries and of processes that this one starts
        os.dup2(sys.stdout.fileno(), stream)
    os.environ["C2VL_HOME"] = str(folder / "home")
    if tiny:
        os.environ["C2VL_DEVICE"] = "cpu"
        os.environ.setdefault("C2VL_WORKERS", "1")
    torch.set_num_threads(machine.workers())
    PARTS[name](Row(folder), folder, tiny)
