"""Speed of pretraining for each encoder, in clips a second, compared with a usual training script.

    python bench/train.py                                        # CPU: two-core settings
    C2VL_DEVICE=cuda python bench/train.py --settings published  # GPU: batch 400, fp32 and bf16

Columns are medians over the repetitions:

- `batch`: the measured batch. It is halved until it fits into GPU memory.
- `forward`, `forward + backward`: the encoder alone on a batch that is ready.
- `step`: a whole training step by the trainer's own code: draw, crop, resize, rotate, prompts,
  encoder, heads, targets, loss, backward, SGD.
- `outside`: share of a step outside the encoder's forward and backward.
- `DataLoader`: the same encoder, heads, loss and optimiser, fed as in CTR-GCN's code: clips padded
  to 300 frames; crop, resize and rotation sample by sample; a DataLoader with `C2VL_WORKERS`
  workers (in the process itself for 1). The next column says how much faster `step` is.
- `at most`: the largest possible gain over `DataLoader`, if only forward and backward took time.
- `usual script`: fed like `DataLoader`, with the encoder as scripts have it: both person slots of a
  clip are encoded, empty or not (`persons: padded`), by torch's own layers. The two-core settings
  encode only people who are present, which is another average over persons. ST-GCN and MS-G3D
  compute in our order in all columns.
- `floor`: clips a second at the hardware's limit, whichever is slower: all matrix products and
  convolutions (`c2vl.models.encoders.cost`) at the speed of a large matrix product, or all kept
  activations written and read once at the speed of a large copy. Both speeds are measured in the
  same run.
- `of it`: forward + backward as a share of the floor.
- `GiB`: peak GPU memory.

The variants take turns in a changing order within one run. With one thread and no workers on a CPU
the clock is this process's processor time, so other programs hardly matter. The clips are
synthetic, 5/8 to 5/2 times `--frames` long, a quarter of them with two persons.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset

from c2vl.core import machine
from c2vl.core.errors import one_sentence
from c2vl.core.heap import keep_freed_memory
from c2vl.models.encoders.cost import cost
from c2vl.models.encoders.registry import STGCNParams
from c2vl.models.encoders.settings import PUBLISHED, TWO_CORES
from c2vl.models.encoders.transformer import EncoderLayer
from c2vl.models.prompt_features import Prompts
from c2vl.models.ragged import RaggedSkeletons
from c2vl.training.devices import Devices
from c2vl.training.environment import threads
from c2vl.training.pretrain import Pretraining
from c2vl.training.schedule import sgd, shuffled
from c2vl.training.step import backward
from c2vl.training.training_params import PretrainParams

PADDED, K = 300, 4
# By settings: the encoders, and the width of prompts (of CLIP ViT-L/14, of the shipped encoder).
TINY = {"stgcn": STGCNParams(width=4, blocks=3)}
ENCODERS = {"published": PUBLISHED, "two-cores": TWO_CORES, "tiny": TINY}
WIDTHS = {"published": 768, "two-cores": 64, "tiny": 8}


def made_up(clips: int, longest: int) -> list[np.ndarray]:
    """Random clips (T, 2, 25, 3) float32; those with one person have an empty second slot."""
    rng = np.random.default_rng(0)
    made = [
        rng.normal(size=(int(rng.integers(longest // 4, longest)), 2, 25, 3)).astype(np.float32)
        for _ in range(clips)
    ]
    for number, clip in enumerate(made):
        if number % 4:
            clip[:, 1] = 0
    return made


class PaddedClips(Dataset):
    """Transforms each sample as arrays (C, 300, V, M), like CTR-GCN's feeder; our own code."""

    def __init__(
        self, clips: list[np.ndarray], prompts: dict[str, np.ndarray], frames: int
    ) -> None:
        self.clips = np.zeros((len(clips), 3, PADDED, 25, 2), np.float32)
        for row, clip in enumerate(clips):
            self.clips[row, :, : len(clip)] = clip[:PADDED].transpose(3, 0, 2, 1)
        self.prompts, self.frames = prompts, frames

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, row: int) -> tuple[Tensor, dict[str, Tensor]]:
        clip = np.array(self.clips[row])
        valid = int(np.sum(clip.sum(0).sum(-1).sum(-1) != 0))
        share = np.random.rand() * 0.5 + 0.5
        length = min(max(int(np.floor(valid * share)), self.frames), valid)
        start = np.random.randint(0, valid - length + 1)
        cropped = torch.from_numpy(clip[:, start : start + length])
        image = cropped.permute(0, 2, 3, 1).reshape(1, 1, 150, length)
        image = interpolate(image, size=(150, self.frames), mode="bilinear", align_corners=False)
        view = image.view(3, 25, 2, self.frames).permute(0, 3, 1, 2)
        rotation = _rotation(torch.empty(3).uniform_(-0.3, 0.3))
        view = torch.einsum(
            "tij,tjp->tip",
            rotation.expand(self.frames, 3, 3),
            view.permute(1, 0, 2, 3).reshape(-1, 3, 50),
        )
        k = np.random.randint(K)
        prompts = {
            kind: torch.from_numpy(x[row, k].astype(np.float32)) for kind, x in self.prompts.items()
        }
        return view.view(self.frames, 3, 25, 2).permute(1, 0, 2, 3).contiguous(), prompts


def _rotation(angles: Tensor) -> Tensor:
    (sx, sy, sz), (cx, cy, cz) = angles.sin().tolist(), angles.cos().tolist()
    x = torch.tensor([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    y = torch.tensor([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    z = torch.tensor([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return z @ y @ x


def forever(loader: DataLoader) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Yield batches, epoch after epoch."""
    while True:
        yield from loader


def with_torch_s_layers(encoder: nn.Module) -> nn.Module:
    """Replace every `EncoderLayer` by torch's own layer with the same weights."""
    for name, child in encoder.named_children():
        if isinstance(child, EncoderLayer):
            width, heads = child.norm1.normalized_shape[0], child.self_attn.num_heads
            plain = nn.TransformerEncoderLayer(width, heads, width, dropout=0.0, batch_first=True)
            plain.load_state_dict(child.state_dict())
            setattr(encoder, name, plain)
        else:
            with_torch_s_layers(child)
    return encoder


def seconds(work: Callable[[], None], device: torch.device) -> float:
    """Seconds of `work`, including the GPU work that it queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    alone = device.type == "cpu" and torch.get_num_threads() == 1 and machine.workers() == 1
    clock = time.process_time if alone else time.perf_counter
    began = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began


def speeds(device: torch.device, precision: str) -> tuple[float, float]:
    """FLOP a second of a large matrix product, and bytes a second of a large copy (read, write)."""
    size = 8192 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    x = torch.empty(2**28 if device.type == "cuda" else 2**24, device=device)
    y = torch.empty_like(x)
    product = min(seconds(lambda: torch.mm(a, b), device) for _ in range(5))
    copy = min(seconds(lambda: y.copy_(x), device) for _ in range(5))
    return 2 * size**3 / product, 2 * x.numel() * x.element_size() / copy


def measure(
    name: str,
    settings: str,
    batch: int,
    arguments: argparse.Namespace,
    precision: str,
    device: torch.device,
) -> dict[str, float]:
    """One row of the table: seconds a batch by column, peak GiB of the device, and the floor."""
    frames = arguments.frames
    encoder = ENCODERS[settings][name]
    if hasattr(encoder, "frames"):
        encoder = encoder.model_copy(update={"frames": frames})
    others = {
        "view": {"frames": frames, "shortest": frames},
        "batch": batch,
        "precision": precision,
    }
    params = PretrainParams.model_validate({"encoder": encoder.model_dump(), **others})
    clips = made_up(2 * batch, min(PADDED, round(2.5 * frames)))
    rng = np.random.default_rng(1)
    features = {
        kind: rng.normal(size=(len(clips), K, WIDTHS[settings])).astype(np.float16)
        for kind in ("vision", "language")
    }
    tensors = {kind: torch.from_numpy(x) for kind, x in features.items()}
    prompts = Prompts(tensors, torch.ones(len(clips), K, dtype=torch.bool), device)
    task = Pretraining(RaggedSkeletons.from_clips(clips, device), prompts, "joint", params)
    task.network.to(device).train()
    if arguments.compile:
        task.network.encoder.compile()
    task.ready()
    task.begin_epoch(0)
    devices, optimiser = Devices(device), sgd(task.network, params)
    generator = torch.Generator().manual_seed(0)
    order = shuffled(task.rows, generator)[:batch]
    x = task.inputs(order, slice(0, batch), generator)[0]

    def encode(grad: bool) -> None:
        with torch.set_grad_enabled(grad), devices.autocast(params.precision):
            features = task.network.encoder(x)
        if grad:
            features.float().sum().backward()

    def step() -> None:
        optimiser.zero_grad()
        backward(task, task.network, devices, order, generator, 0, params.precision)
        optimiser.step()
        task.after_step()

    workers = machine.workers() if machine.workers() > 1 else 0
    loader = DataLoader(
        PaddedClips(clips, features, frames),
        batch,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        persistent_workers=workers > 0,
    )
    batches = forever(loader)

    def fed(task: Pretraining, optimiser: torch.optim.Optimizer) -> None:
        view, given = next(batches)
        optimiser.zero_grad()
        inputs = (view.to(device), *(given[kind].to(device) for kind in task.kinds))
        with devices.autocast(params.precision):
            outputs = task.outputs(task.network, inputs)
        loss, _ = task.loss(outputs.float(), outputs.detach().float(), order, generator)
        loss.backward()
        optimiser.step()

    padded = encoder.model_copy(update={"persons": "padded"} if hasattr(encoder, "persons") else {})
    usual = Pretraining(
        task.skeletons, prompts, "joint", params.model_copy(update={"encoder": padded})
    )
    with_torch_s_layers(usual.network).to(device).train()
    usual.ready()
    usual_optimiser = sgd(usual.network, params)

    def script() -> None:
        with (
            patch("c2vl.models.encoders.pointwise.as_product", return_value=False),
            patch("c2vl.models.encoders.gru.on_cpu", return_value=False),
        ):
            fed(usual, usual_optimiser)

    variants: dict[str, Callable[[], None]] = {
        "forward": lambda: encode(False),
        "forward + backward": lambda: encode(True),
        "step": step,
        "DataLoader": lambda: fed(task, optimiser),
        "usual script": script,
    }
    times: dict[str, list[float]] = {variant: [] for variant in variants}
    order_of_turns = list(variants)
    for turn in range(arguments.repetitions + arguments.warmup):
        # Change the order: a variant gains from memory that the one before it has just used.
        order_of_turns.append(order_of_turns.pop(0))
        for variant in order_of_turns:
            task.network.zero_grad()  # so that no variant adds to gradients of another
            usual.network.zero_grad()
            spent = seconds(variants[variant], device)
            if turn >= arguments.warmup:
                times[variant].append(spent)
    row = {variant: median(spent) for variant, spent in times.items()}
    outside = [
        (whole - own) / whole
        for whole, own in zip(times["step"], times["forward + backward"], strict=True)
    ]
    row["outside"] = max(0.0, median(outside))
    for title, slow, fast in (
        ("against DataLoader", "DataLoader", "step"),
        ("at most", "DataLoader", "forward + backward"),
        ("against usual script", "usual script", "step"),
    ):
        row[title] = median(
            [one / other for one, other in zip(times[slow], times[fast], strict=True)]
        )
    row["memory"] = (
        torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else float("nan")
    )
    costs = cost(task.network.encoder, frames)
    flops, traffic = speeds(device, precision)
    kept = costs.saved_bytes * (0.5 if precision == "bf16" else 1)
    row["floor"] = max(costs.training_flops / flops, 2 * kept / traffic)
    return row


def where_memory_allows(
    measured: Callable[[int], dict[str, float]], batch: int
) -> tuple[int, dict[str, float]]:
    """Halve `batch` until `measured` fits into memory; return that batch and the result."""
    while True:
        try:
            return batch, measured(batch)
        except torch.OutOfMemoryError:
            if batch < 4:
                raise
        batch //= 2  # outside `except`, where the error still holds the memory
        gc.collect()
        torch.cuda.empty_cache()


def _three_digits(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


@one_sentence
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Clips a second of pretraining, by encoder.")
    parser.add_argument(
        "--settings", choices=["two-cores", "published"], help="default: published on a GPU"
    )
    parser.add_argument("--encoders", nargs="+", choices=list(PUBLISHED), default=list(PUBLISHED))
    parser.add_argument("--batch", type=int, help="default: 400 on a GPU, 32 on a CPU")
    parser.add_argument("--frames", type=int, help="default: 64 on a GPU, 16 on a CPU")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=["fp32", "bf16"],
        help="default: both on a GPU, fp32 on a CPU",
    )
    parser.add_argument("--compile", action="store_true", help="compile encoders by torch.compile")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(threads())
    device = machine.device()
    cuda = device.type == "cuda"
    if not cuda:
        keep_freed_memory()  # as in training
    arguments.batch = arguments.batch or (400 if cuda else 32)
    arguments.frames = arguments.frames or (64 if cuda else 16)
    settings = arguments.settings or ("published" if cuda else "two-cores")
    kinds = arguments.precision or (["fp32", "bf16"] if cuda else ["fp32"])
    where = (
        torch.cuda.get_device_name(device) if cuda else f"CPU, {torch.get_num_threads()} thread(s)"
    )
    print(
        f"{where}, torch {torch.__version__}; settings {settings}, "
        f"batch {arguments.batch} x {arguments.frames} frames\n"
    )
    heads = [
        "encoder",
        "precision",
        "batch",
        "forward",
        "forward + backward",
        "step",
        "outside",
        "DataLoader",
        "step is faster",
        "at most",
        "usual script",
        "step is faster",
        "floor",
        "of it",
        "GiB",
    ]
    print("| " + " | ".join(heads) + " |")
    print("|---|---" + "|---:" * (len(heads) - 2) + "|", flush=True)

    def measured(batch: int) -> dict[str, float]:
        if cuda:
            torch.cuda.reset_peak_memory_stats(device)
        return measure(name, settings, batch, arguments, precision, device)

    for name in arguments.encoders:
        for precision in kinds:
            batch, row = where_memory_allows(measured, arguments.batch)
            rate = {
                column: _three_digits(batch / row[column])
                for column in (
                    "forward",
                    "forward + backward",
                    "step",
                    "DataLoader",
                    "usual script",
                )
            }
            cells = [
                str(batch),
                rate["forward"],
                rate["forward + backward"],
                rate["step"],
                f"{100 * row['outside']:.1f} %",
                rate["DataLoader"],
                f"{row['against DataLoader']:.2f} x",
                f"{row['at most']:.2f} x",
                rate["usual script"],
                f"{row['against usual script']:.2f} x",
                _three_digits(1 / row["floor"]),
                f"{100 * batch * row['floor'] / row['forward + backward']:.0f} %",
                f"{row['memory']:.1f}" if cuda else "",
            ]
            print(f"| {name} | {precision} | " + " | ".join(cells) + " |", flush=True)
    if not cuda:
        print("\nThere is no GPU here, so its columns are not measured.", file=sys.stderr)


if __name__ == "__main__":
    main()
