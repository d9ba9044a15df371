"""Run the stages on a tiny real world and kill them, for tests/store/test_store_crash.py.

Each attempt is a process forked from one that has already imported everything and loaded the
engines, so it takes a fraction of a second. It notes what it computes in a file, which survives
SIGKILL.
"""

from __future__ import annotations

import copy
import functools
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from standin_stage import Stage
from standin_stage import world as standin_world

from c2vl.core import files, tables
from c2vl.core.errors import one_sentence
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.index import build_index
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.skeleton_stage import SkeletonStage, denoise_all
from c2vl.prompts.caption import CaptionParams, CaptionStage
from c2vl.prompts.crop import CropStage, detected_now
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.embed import EmbedStage
from c2vl.prompts.embed_params import EmbedParams
from c2vl.store import publish, run
from c2vl.studio.dataset import film, takes
from c2vl.studio.studio_params import StudioParams
from c2vl.studio.vocabulary import ACTIONS

ROOT = Path(__file__).resolve().parents[2]
DEMO: dict[str, Any] = yaml.safe_load((ROOT / "profiles/demo.yaml").read_text(encoding="utf-8"))
STAGES = ("skeleton", "crop", "caption", "vision", "language")
BATCH = 3  # units; no divisor of a shard's, so that the last batch is a short one
WORLD = {
    "setups": 1,
    "subjects": 2,
    "height": 96,
    "frames_per_second": 6,
    "broken": 0,
    "actions": ["drink water", "shake hands"],
}
# ("before" or "after", kind, n): at the n-th step of publishing of this kind; "": of any kind.
Kill = tuple[str, str, int] | None


def make_world(folder: Path) -> None:
    """Raw files and index of a dozen clips."""
    params = profile()
    studio = StudioParams(**params["studio"] | WORLD)
    for take in takes(studio):
        film(studio, take, folder / "raw")
    files.write_bytes(folder / "raw" / "classes.txt", "\n".join(ACTIONS).encode())
    data = DataParams(**params["data"] | {"raw": folder / "raw", "benchmarks": ["xsub"]})
    tables.write(folder / "index.parquet", build_index(data).table)


def profile() -> dict[str, Any]:
    """The demo's parameters with paths that hold in any folder."""
    params = copy.deepcopy(DEMO)
    params["crop"]["frames_per_clip"] = 1
    params["caption"]["captioner"]["max_new_tokens"] = 12
    for section, engine in (("crop", "detector"), ("caption", "captioner"), ("embed", "encoder")):
        params[section][engine]["model"] = str(ROOT / params[section][engine]["model"])
    return params


def note(units: Sequence[Any]) -> None:
    """Append a line: this process and how many units it computes. Appends this small are atomic."""
    handle = os.open(os.environ["LAB_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{os.getpid()} {len(units)}\n".encode())
    os.close(handle)


def let_workers_write() -> None:
    """With `LAB_WRITE`, let worker processes write even small batches themselves."""
    if os.environ.get("LAB_WRITE"):
        publish.LARGE_BYTES = 0


let_workers_write()  # a real worker imports this file


class NotedSkeletons(SkeletonStage):
    """Notes what is computed, in a thread or, with `LAB_WORKERS=processes`, in real workers."""

    def preparer(self) -> Callable[[list[Any]], Sequence[Any]]:
        return noted_denoising


def noted_denoising(payloads: Sequence[Any]) -> list[Any]:
    """`denoise_all` with a note of what it does."""
    note(payloads)
    time.sleep(float(os.environ.get("LAB_DELAY", "0")))
    return denoise_all(payloads)


def noted(kind: type[Any]) -> type[Any]:
    """Return a subclass of a stage that notes what its engine computes.

    Of `crop` it notes what is detected: cutting needs no engine. With `LAB_THREADS=forbidden`
    preparing in this process is an error.
    """

    class Noted(kind):
        def compute(self, units: Sequence[Any], ready: Sequence[Any]) -> Any:
            engine = detected_now(ready) if issubclass(kind, CropStage) else units
            if engine:
                note(engine)
            return super().compute(units, ready)

        def preparer(self) -> Any:
            prepare = super().preparer()
            if os.environ.get("LAB_THREADS") == "forbidden":
                return functools.partial(elsewhere, os.getpid(), prepare)
            return prepare

    return Noted


def elsewhere(process: int, prepare: Callable[..., Any], payloads: Sequence[Any]) -> Any:
    """`prepare` in another process than this one."""
    if os.getpid() == process:
        raise AssertionError("prepared in this process")
    return prepare(payloads)


def stage_over(stage: str, world: Path) -> Any:
    """The real stage over what lies in `world`."""
    if stage == "standin":
        publish.FLUSH_SECONDS, publish.MERGE_AFTER = 0.0, 3
        return noted(Stage)(standin_world(1, 6), size=4)
    params, index = profile(), world / "index.parquet"
    if stage == "skeleton":
        return NotedSkeletons(SkeletonParams(**params["skeleton"]), index, world / "raw")
    if stage == "crop":
        return noted(CropStage)(
            CropParams(**params["crop"]), index, world / "skeleton", world / "raw"
        )
    if stage == "caption":
        return noted(CaptionStage)(CaptionParams(**params["caption"]), world / "crop")
    prompts = {"vision": world / "crop", "language": world / "caption"}[stage]
    return noted(EmbedStage)(EmbedParams(**params["embed"]), stage, prompts)


def warm() -> None:
    """Load the engines once for all attempts; a forked torch must have had one thread."""
    import pandas  # noqa: F401  # pyarrow imports it later, if it is installed
    import pyarrow.compute
    import pyarrow.pandas_compat  # noqa: F401
    import torch

    from c2vl.prompts.engines.captioner import Captioner
    from c2vl.prompts.engines.detector import Detector
    from c2vl.prompts.engines.encoder import Encoder

    torch.set_num_threads(1)
    for engine, section, name in (
        (Detector, "crop", "detector"),
        (Captioner, "caption", "captioner"),
        (Encoder, "embed", "encoder"),
    ):
        kind = {"crop": CropParams, "caption": CaptionParams, "embed": EmbedParams}[section]
        loaded = engine.load(getattr(kind(**profile()[section]), name), torch.device("cpu"))
        engine.load = functools.partial(lambda one, params, device: one, loaded)
    gc.freeze()  # no attempt looks through all this, or copies it by doing so


def attempt(
    stage: str,
    world: Path,
    trial: Path,
    out: Path,
    kill: Kill = None,
    settings: dict[str, str] | None = None,
) -> None:
    """Run a stage in this process; its store is in `trial`, its output in `trial/printed`."""
    os.environ |= {
        "C2VL_HOME": str(trial / "home"),
        "C2VL_WORKERS": "1",
        "LAB_NOTES": str(trial / "notes"),
        "C2VL_PREPARE": "threads",  # processes take seconds to start
    }
    os.environ |= {
        f"C2VL_BATCH_{name}": str(BATCH) for name in ("SKELETON", "CROP", "CAPTION", "EMBED")
    } | (settings or {})
    let_workers_write()
    printed = os.open(trial / "printed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    steps = count_steps(kill)
    one_sentence(lambda: run.run(stage_over(stage, world), out, {}))()
    (trial / "steps").write_text("\n".join(steps))


def count_steps(kill: Kill) -> list[str]:
    """Note the kind of each call that makes files visible or durable; kill this process at one."""
    steps: list[str] = []

    def noted(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def step(*arguments: Any, **named: Any) -> Any:
            steps.append(f"{call.__name__} in {callers()}")
            here = [("", len(steps)), (steps[-1], steps.count(steps[-1]))]
            if kill and kill[0] == "before" and kill[1:] in here:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return call(*arguments, **named)
            finally:
                if kill and kill[0] == "after" and kill[1:] in here:
                    os.kill(os.getpid(), signal.SIGKILL)

        return step

    def fsync(handle: int) -> None:
        """Noted as a step, but not done: no trial cuts the power, and it takes long."""

    os.fsync = fsync
    for name in ("replace", "rename", "fsync", "unlink", "chmod"):
        setattr(os, name, noted(getattr(os, name)))
    files.tempfile.mkstemp = noted(files.tempfile.mkstemp)
    return steps


def callers() -> str:
    """The functions of the package that led to a step, the nearest four."""
    names, frame = [], sys._getframe(2)
    while frame is not None and len(names) < 4:
        if "/c2vl/" in frame.f_code.co_filename:
            names.append(frame.f_code.co_name)
        frame = frame.f_back
    return " of ".join(names)
