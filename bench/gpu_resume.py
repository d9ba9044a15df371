"""Kill a training of random clips with SIGKILL, resume it, compare with one that was not killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from train import ENCODERS, WIDTHS, made_up

from c2vl.core import machine
from c2vl.models.clips import Clips
from c2vl.models.prompt_features import Prompts
from c2vl.models.ragged import RaggedSkeletons
from c2vl.training.environment import threads
from c2vl.training.keep import STATE, read_state
from c2vl.training.methods import train
from c2vl.training.pretrain import Pretraining
from c2vl.training.training_params import BaselinesParams, PretrainParams

CLASSES, K = 10, 4
EPOCHS, STEPS, KILLED = 2, 6, 9  # steps an epoch; the step after which the process dies


def params_of(precision: str, tiny: bool) -> PretrainParams:
    """ST-GCN at its published width, or a tiny one, for two epochs."""
    frames = 8 if tiny else 64
    return PretrainParams.model_validate(
        {
            "encoder": ENCODERS["tiny" if tiny else "published"]["stgcn"].model_dump(),
            "view": {"frames": frames, "shortest": frames},
            "batch": 8 if tiny else 200,
            "epochs": EPOCHS,
            "warmup_epochs": 1,
            "milestones": [],
            "precision": precision,
            "tracker": "none",
            "probe_every": 0,
        }
    )


@dataclass(frozen=True)
class Training:
    """One training by the trainer's own loop.

    Attributes:
        precision: fp32 or bf16.
        folder: keeps its state; what is found there is resumed.
        tiny: train a tiny encoder.
        kill_after: step after which the process kills itself.
        deterministic: allow no other algorithms.
    """

    precision: str
    folder: Path
    tiny: bool
    kill_after: int | None = None
    deterministic: bool = False

    @property
    def out(self) -> Path:
        """Where it writes the network."""
        return self.folder.with_suffix(".safetensors")


def run(chosen: Training) -> None:
    """Train, or resume."""
    device = machine.device()
    torch.set_num_threads(threads())
    if chosen.deterministic:
        torch.use_deterministic_algorithms(True)
    params = params_of(chosen.precision, chosen.tiny)
    made = made_up(STEPS * params.batch, 20 if chosen.tiny else 300)
    rng = np.random.default_rng(1)
    width = WIDTHS["tiny" if chosen.tiny else "published"]
    features = {
        kind: torch.from_numpy(rng.normal(size=(len(made), K, width)).astype(np.float16))
        for kind in ("vision", "language")
    }
    names = [str(number) for number in range(len(made))]
    labels = rng.integers(0, CLASSES, len(made))
    clips = Clips(names, labels, RaggedSkeletons.from_clips(made, device))
    prompts = Prompts(features, torch.ones(len(made), K, dtype=torch.bool), device)
    ended: list[float] = []  # times of steps
    after_step = Pretraining.after_step

    def counted(task: Pretraining) -> None:
        after_step(task)
        ended.append(time.perf_counter())
        if len(ended) == chosen.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(ended) == 2 and device.type == "cuda":  # kernels are chosen, memory is taken
            torch.cuda.synchronize(device)
            ended[-1] = time.perf_counter()

    with patch.object(Pretraining, "after_step", counted):
        trained = train(
            "c2vl",
            clips,
            prompts,
            CLASSES,
            "xsub",
            "joint",
            params,
            BaselinesParams(),
            chosen.folder,
        )
    weights = {
        name: value.cpu().contiguous() for name, value in trained.network.state_dict().items()
    }
    seconds = time.perf_counter() - ended[1] if len(ended) > 2 else 0.0
    rate = (len(ended) - 2) * params.batch / seconds if seconds else 0.0
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    save_file(weights, chosen.out, {"rate": str(rate), "memory": str(memory)})


def compare(precision: str, row: Any, folder: Path, tiny: bool) -> None:
    """Fill the row of a training that is killed and resumed.

    Args:
        precision: fp32 or bf16.
        row: a `gpu_parts.Row`.
        folder: for states and results.
        tiny: train a tiny encoder.
    """

    def status(name: str, **more: Any) -> int | None:
        training = Training(precision, folder / name, tiny, **more)
        # This process has not used CUDA, so that a fork can.
        process = multiprocessing.get_context("fork").Process(target=run, args=(training,))
        process.start()
        process.join()
        return process.exitcode

    def result(name: str) -> dict[str, torch.Tensor]:
        return load_file(folder / f"{name}.safetensors")

    if status("whole"):
        row.add(failure="the training fails, see its messages")
        return
    rate, memory = _measured(folder / "whole.safetensors")
    params = params_of(precision, tiny)
    row.add(f"the loop, with {params.batch} clips a step", batch=params.batch, stage=rate)
    row.add(**({"peak": memory} if memory else {}))

    os.environ["C2VL_SAVE_SECONDS"] = "0"
    killed = status("killed", kill_after=KILLED)
    if killed != -signal.SIGKILL or not (folder / "killed" / STATE).exists():
        row.add(failure="the training was not killed while it ran")
        return
    at = read_state(folder / "killed" / STATE)[1]["at"]
    step = at["epoch"] * STEPS + at["step"]
    if status("killed"):
        row.add(failure="the killed training does not resume")
        return
    apart = difference(result("whole"), result("killed"))
    row.add(f"killed by SIGKILL in step {KILLED} of {EPOCHS * STEPS}, resumed after step {step}")
    if apart == 0:
        row.add("all weights equal to the bit")
        return
    # Is it the resuming, or do two trainings differ anyway?
    status("again")
    again = difference(result("whole"), result("again"))
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    exact = [status(name, deterministic=True) for name in ("exact", "exactly")]
    steady = "fail" if any(exact) else f"{difference(result('exact'), result('exactly')):.2g} apart"
    row.add(
        f"two that were not killed are {again:.2g} apart, with deterministic algorithms {steady}",
        failure=f"weights differ by {apart:.2g} after resuming",
    )


def _measured(path: Path) -> tuple[float, float]:
    """Clips a second, and GiB of GPU memory (0: unknown)."""
    with safe_open(path, "pt") as file:
        kept = file.metadata()
    return float(kept["rate"]), float(kept["memory"]) / 2**30


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Largest difference of two networks' tensors; 0.0 only if all are equal to the bit."""
    assert one.keys() == other.keys()
    return max(
        0.0
        if torch.equal(value, other[name])
        else max(1e-45, float((value.double() - other[name].double()).abs().max()))
        for name, value in one.items()
    )
