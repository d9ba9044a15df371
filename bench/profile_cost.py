"""What profiles `small` and `paper` cost on NTU RGB+D 60, by GPU: estimated, not measured.

    python bench/profile_cost.py            # hours by stage and GPU, with all assumptions
    python bench/profile_cost.py --short    # the tables that README and docs quote

A stage takes (FLOPs / peak + bytes / bandwidth) seconds, with an assumed share of each that a
program reaches. FLOPs of matrix products and convolutions count; a multiplication and an addition
are two. The trainings are counted by `c2vl plan`'s code, the ST-GCN's FLOPs by
`c2vl.models.encoders.cost`. Not counted: decoding videos and parsing skeletons on the CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from c2vl.commands.costs.splits import Split
from c2vl.commands.costs.trainings import BASELINES, trainings_of
from c2vl.commands.pipeline.training_cells import cells
from c2vl.core.params import load_section, read_params
from c2vl.models.encoders.cost import cost
from c2vl.models.encoders.registry import build_encoder
from c2vl.models.streams import STREAMS
from c2vl.training.training_params import PretrainParams

ROOT = Path(__file__).resolve().parents[1]
NTU60 = {"xsub": Split(40_091, 16_487, 60), "xview": Split(37_646, 18_932, 60)}
CLIPS = 56_578  # with a skeleton
BATCH = 16  # crops that a captioner answers at once
ENCODED = 256  # clips that are encoded at once
ANSWER = 40  # tokens of an answer, assumed; the authors' longest has 81 words
TRAFFIC = 6  # times that a training moves each activation: written and read, with their gradients


@dataclass(frozen=True)
class Gpu:
    """Peaks of a GPU by its data sheet, without sparsity.

    Attributes:
        half: FLOP/s in float16 or bfloat16, sums in float32.
        single: FLOP/s in float32, without TF32.
        bandwidth: bytes a second.
        memory: bytes.
    """

    name: str
    half: float
    single: float
    bandwidth: float
    memory: float


GPUS = (
    Gpu("RTX 4060, 8 GB", 30.2e12, 15.1e12, 0.272e12, 8e9),
    Gpu("RTX 4090, 24 GB", 165.2e12, 82.6e12, 1.008e12, 24e9),
    Gpu("A100, 80 GB", 312e12, 19.5e12, 2.039e12, 80e9),
    Gpu("H100, 80 GB", 989e12, 67e12, 3.35e12, 80e9),
)
QUOTED = (("small", GPUS[0]), ("paper", GPUS[1]), ("paper", GPUS[2]), ("paper", GPUS[3]))
# Share of the peak that is assumed.
ENGINES, TRAINING, BANDWIDTH = 0.40, 0.30, 0.60


@dataclass(frozen=True)
class Engine:
    """What an engine costs for one frame, crop or answer.

    Attributes:
        name: of the checkpoint.
        flops: of one item; of a captioner, until its first token.
        weights: how many.
        token_flops: of one more token of an answer.
        token_bytes: of the keys and values that each more token reads.
        item_bytes: of GPU memory for one item in a batch, about.
    """

    name: str
    flops: float
    weights: float
    token_flops: float = 0.0
    token_bytes: float = 0.0
    item_bytes: float = 0.0


# Frames of 1920x1080 are scaled to 1333x750. Counted by torch's FlopCounterMode on the models of
# `full_size.py` and their small sisters, except where a formula stands.
DETECTORS = {
    "IDEA-Research/grounding-dino-tiny": Engine(
        "Grounding DINO tiny", 756e9, 172e6, item_bytes=1e9
    ),
    "IDEA-Research/grounding-dino-base": Engine(
        "Grounding DINO base", 1195e9, 232e6, item_bytes=1.5e9
    ),
}
# Two FLOPs for each weight and token: 729 or 576 tokens of the picture and some 60 of the question.
CAPTIONERS = {
    "llava-hf/llava-interleave-qwen-0.5b-hf": Engine(
        "LLaVA-interleave-Qwen-0.5B",
        flops=0.67e12 + 2 * 308e6 * 790,  # SigLIP at 384 pixels, then Qwen
        weights=894e6,
        token_flops=2 * 464e6,
        token_bytes=2 * 24 * 1024 * 2 * 790,
        item_bytes=0.2e9,
    ),
    "llava-hf/llava-1.5-7b-hf": Engine(
        "LLaVA-1.5-7B",
        flops=0.382e12 + 2 * 6.6e9 * 640,  # CLIP ViT-L/14 at 336 pixels, then Vicuna
        weights=7063e6,
        token_flops=2 * 6.6e9,
        token_bytes=2 * 32 * 4096 * 2 * 640,
        item_bytes=0.6e9,
    ),
}
ENCODERS = {  # a picture and a sentence of 77 tokens
    "openai/clip-vit-base-patch32": Engine("CLIP ViT-B/32", 8.7e9 + 6.0e9, 151e6, item_bytes=1e7),
    "openai/clip-vit-large-patch14-336": Engine(
        "CLIP ViT-L/14@336", 382e9 + 13.3e9, 428e6, item_bytes=1e8
    ),
}


@dataclass(frozen=True)
class Row:
    """A stage of the estimate.

    Attributes:
        items: how many frames, crops or clips.
        flops: of one item.
        moved: bytes of GPU memory that one item moves, where that takes longer than its FLOPs.
        half: whether it computes in float16 or bfloat16.
        share: of the peak.
        memory: bytes of GPU memory, about.
    """

    stage: str
    what: str
    items: int
    flops: float
    moved: float
    half: bool
    share: float
    memory: float

    def hours(self, gpu: Gpu) -> float | None:
        """Hours on a GPU; None if it does not fit into its memory."""
        if self.memory > gpu.memory:
            return None
        peak = gpu.half if self.half else gpu.single
        each = self.flops / (peak * self.share) + self.moved / (gpu.bandwidth * BANDWIDTH)
        return self.items * each / 3600


@contextlib.contextmanager
def in_profile(name: str) -> Iterator[None]:
    """A temporary folder whose params.yaml is that of a profile."""
    with TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copy(ROOT / f"profiles/{name}.yaml", "params.yaml")
        yield


def rows_of(profile: str) -> list[Row]:
    """The stages of a profile that need a GPU."""
    with in_profile(profile):
        return [*_engines(), *_trainings()]


def _engines() -> Iterator[Row]:
    params = read_params()
    crops = CLIPS * params["crop"]["frames_per_clip"]
    for stage, key, known in (
        ("crop", "detector", DETECTORS),
        ("caption", "captioner", CAPTIONERS),
        ("embed", "encoder", ENCODERS),
    ):
        own = params[stage][key]
        engine, half = known[own["model"]], own["dtype"] != "float32"
        size = 2 if half else 4
        tokens = ANSWER if engine.token_flops else 0
        flops = engine.flops + tokens * engine.token_flops
        # Every token reads all weights once for the whole batch, and each crop's keys and values.
        moved = tokens * (engine.weights * size / BATCH + engine.token_bytes)
        together = 1 if stage == "crop" else BATCH
        memory = engine.weights * size + together * engine.item_bytes
        yield Row(stage, engine.name, crops, flops, moved, half, ENGINES, memory)


def _trainings() -> Iterator[Row]:
    params = load_section("pretrain", PretrainParams)
    clip = cost(build_encoder(params.encoder), params.view.frames)
    half = params.precision == "bf16"
    saved = clip.saved_bytes / (2 if half else 1)
    trained: Counter[str] = Counter()
    looked: Counter[str] = Counter()
    benchmarks: set[str] = set()
    for cell in cells():
        found = trainings_of(cell, NTU60)
        trained[cell.stage] += sum(one.trained for one in found)
        looked[cell.stage] += sum(one.looked for one in found)
        if cell.stage == "baselines":
            benchmarks.add(cell.out.name)
    looked["features"] = (len(STREAMS) + len(BASELINES)) * CLIPS * len(benchmarks)
    memory = (params.micro_batch or params.batch) * saved + 4 * 4 * clip.parameters
    for stage in ("pretrain", "baselines", "zero_shot_pretrain", "finetune", "semi"):
        yield Row(
            stage,
            "ST-GCN, forward and backward",
            trained[stage],
            clip.training_flops,
            TRAFFIC * saved,
            half,
            TRAINING,
            memory,
        )
    # Forward alone is in float32 (c2vl/models/encode.py): an activation is written and read, and
    # of ten blocks one has its activations at a time.
    moved, every = 2.0 * clip.saved_bytes, looked.total()
    memory = ENCODED * clip.saved_bytes / 10
    what = "ST-GCN, forward: features, probes, tests"
    yield Row("features, …", what, every, clip.forward_flops, moved, False, TRAINING, memory)


def total(rows: list[Row], gpu: Gpu) -> float | None:
    """Hours of all stages; None if one does not fit."""
    hours = [row.hours(gpu) for row in rows]
    return None if None in hours else sum(hour for hour in hours if hour is not None)


def shown(hours: float | None) -> str:
    """Hours or minutes, such as `20 min`, `5.7 h` or `120 h`."""
    if hours is None:
        return "does not fit"
    if hours < 1:
        return f"{max(1, round(60 * hours))} min"
    return f"{hours:.0f} h" if hours >= 10 else f"{hours:.1f} h"


def in_words(count: float) -> str:
    """FLOPs with a unit."""
    return f"{count / 1e12:.2g} TFLOP" if count >= 1e12 else f"{count / 1e9:.3g} GFLOP"


def long_table(profile: str) -> list[str]:
    """A row for each stage, a column for each GPU."""
    rows = rows_of(profile)
    lines = [
        f"Profile `{profile}`, NTU RGB+D 60, estimated, not measured:",
        "",
        "| stage | model | items | one item | precision | share of peak | GPU memory | "
        + " | ".join(gpu.name for gpu in GPUS)
        + " |",
        "|---|---|---:|---:|---|---:|---:|" + "---:|" * len(GPUS),
    ]
    for row in rows:
        precision = "16 bits" if row.half else "float32"
        cells_ = [row.stage, row.what, f"{row.items:,}", in_words(row.flops), precision]
        cells_ += [f"{row.share:.0%}", f"{row.memory / 1e9:.1f} GB"]
        lines.append("| " + " | ".join([*cells_, *(shown(row.hours(gpu)) for gpu in GPUS)]) + " |")
    sums = " | ".join(shown(total(rows, gpu)) for gpu in GPUS)
    return [*lines, f"| total | | | | | | | {sums} |"]


def short_table() -> list[str]:
    """A row for each profile, a column for each GPU."""
    lines = ["| estimated, not measured | " + " | ".join(gpu.name for gpu in GPUS) + " |"]
    lines.append("|---|" + "---:|" * len(GPUS))
    for profile in ("small", "paper"):
        rows = rows_of(profile)
        sums = " | ".join(shown(total(rows, gpu)) for gpu in GPUS)
        lines.append(f"| `{profile}` | {sums} |")
    return lines


def quoted_table() -> list[str]:
    """The table of docs/running-on-real-data.md: hours of a stage by profile and GPU."""
    head = [f"{profile}, {gpu.name.split(',')[0]}" for profile, gpu in QUOTED]
    lines = ["| estimated, not measured | " + " | ".join(head) + " |"]
    lines.append("|---|" + "---:|" * len(QUOTED))
    tables = {profile: rows_of(profile) for profile in dict(QUOTED)}
    for place, row in enumerate(tables["paper"]):
        hours = [shown(tables[profile][place].hours(gpu)) for profile, gpu in QUOTED]
        lines.append(f"| {row.stage} | " + " | ".join(hours) + " |")
    return lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="the tables that the docs quote")
    if parser.parse_args().short:
        print("\n".join([*short_table(), "", *quoted_table()]))
        return
    for profile in ("small", "paper"):
        print("\n".join(long_table(profile)) + "\n")
    print(
        f"Assumed: engines reach {ENGINES:.0%} of the peak FLOP/s, training {TRAINING:.0%}, and "
        f"{BANDWIDTH:.0%} of the\nbandwidth; {BATCH} crops at once; answers of {ANSWER} tokens; a "
        f"training moves each activation {TRAFFIC} times."
    )


if __name__ == "__main__":
    main()
