"""Everything that only a GPU can show, in at most 8 minutes: one table.

    bench/gpu.sh [--out FILE] [--minutes N] [--parts NAME …] [--tiny]

It needs neither network nor data nor weights: models have random weights at full size (Grounding
DINO base, LLaVA-1.5-7B, Qwen3-VL-8B, CLIP L/14@336, ST-GCN of the published width). It needs this
repository, a C compiler for the compiled parts, and a Python with torch, transformers, accelerate,
safetensors, numpy, scipy, opencv-python-headless, pillow, pyarrow, pydantic, PyYAML, Jinja2, tqdm
and urllib3. `pip install -e .` brings them; CONTRIBUTING.md says what to do without an index.
`PYTHON` names the interpreter; the default is `.venv/bin/python`, else `python3`.

Without a GPU, or with `--tiny`, all parts run with tiny shapes on the CPU, which shows that they
work and says nothing of speed. `--minutes` limits the whole run; it is longer on a CPU. If a part
begins too late, takes too long or fails, its row has the reason, and the exit status is 1. `--out`
is rewritten after every part, so that what was measured is kept if the script is stopped.

Columns:

- `batch`: of an engine, the automatic batch size; of training, 400 or as much as memory allows.
- `stage`: items a second of the whole stage with an empty store; of training, clips a second of
  whole steps. `model alone`: of the model on prepared batches; of training, the encoder's forward
  and backward.
- `one by one`: the script that takes one item after the other; of training, the usual script of
  `bench/train.py`.
- `peak GiB`: of GPU memory that was allocated; on a CPU, of the process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent
COLUMNS = ("batch", "stage", "model", "of model", "script", "of script", "peak")
HEADS = ("batch", "stage, /s", "model alone, /s", "stage / model", "one by one, /s")
HEADS += ("stage / one by one", "peak GiB")


@dataclass(frozen=True)
class Part:
    """A row of the table, made by a process of its own.

    Attributes:
        name: for `gpu_parts.py`.
        title: in the table.
        seconds: after which it is stopped.
    """

    name: str
    title: str
    seconds: int


PARTS = (  # what says most comes first, in case time runs out
    Part("detector", "detector, Grounding DINO base", 90),
    Part("llava", "captioner, LLaVA-1.5-7B", 100),
    Part("qwen3-vl", "captioner, Qwen3-VL-8B", 100),
    Part("encoder", "encoder, CLIP L/14@336", 60),
    Part("resume-fp32", "killed and resumed, fp32", 60),
    Part("resume-bf16", "killed and resumed, bf16", 60),
    Part("agreement", "shipped engines, beside the CPU", 45),
    Part("memory", "batch that does not fit", 30),
    Part("train-bf16", "training, bf16", 50),
    Part("train-fp32", "training, fp32", 50),
    Part("train-bf16-compiled", "training, bf16, compiled", 110),
    Part("train-fp32-compiled", "training, fp32, compiled", 110),
)
MACHINE = "machine"  # a part without a row
Row = tuple[Part, dict[str, Any], str, float]
"""A part, its cells, why it failed, and its seconds."""


def run_part(
    name: str, folder: Path, tiny: bool, seconds: float
) -> tuple[dict[str, Any], str, float]:
    """Run a part in a process of its own.

    Returns:
        What it reported, why it failed ("": it did not), and the seconds that it took.
    """
    from gpu_parts import isolated

    folder.mkdir()
    began, log = time.monotonic(), folder / "log"
    # A fork need not import torch again. This process never uses CUDA, so its children can.
    process = multiprocessing.get_context("fork").Process(
        target=isolated, args=(name, folder, tiny)
    )
    process.start()
    try:
        process.join(seconds)
        reason = f"stopped after {seconds:.0f} s"
        if process.exitcode is not None:
            reason = _reason(process.exitcode, log) if process.exitcode else ""
    finally:
        with contextlib.suppress(ProcessLookupError):  # and the processes that it started
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.kill()
        process.join()
    try:
        reported = json.loads((folder / "row.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        reported = {}
    return reported, reason or reported.pop("failure", ""), time.monotonic() - began


def _reason(status: int, log: Path) -> str:
    """The last line that a failed part wrote."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
    return f"killed by signal {-status}: {last}" if status < 0 else last


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [f"| part | {' | '.join(HEADS)} | seconds | remarks |"]
    lines.append(f"|---|{'---:|' * (len(HEADS) + 1)}---|")
    for part, row, reason, seconds in rows:
        cells = dict(row)
        for share, other in (("of model", "model"), ("of script", "script")):
            if cells.get("stage") and cells.get(other):
                cells[share] = cells["stage"] / cells[other]
        remarks = [f"**failed**: {reason[:300]}"] if reason else []
        remarks += [f"**skipped**: {row['skipped']}"] if "skipped" in row else []
        remarks += row.get("remarks", [])
        written = [_cell(cells.get(name)) for name in COLUMNS]
        remark = "; ".join(remarks).replace("|", "/").replace("\n", " ")
        lines.append(f"| {part.title} | {' | '.join(written)} | {seconds:.0f} | {remark} |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:,.{0 if value >= 100 else 2}f}"


def measure(parts: Sequence[Part], tiny: bool, minutes: float, out: Path | None) -> int:
    """Run the parts, print the table; return the exit status."""
    began = time.monotonic()
    # Nothing asks the hub, and asking for a GPU here uses no CUDA, which a fork would not survive.
    os.environ |= {"HF_HUB_OFFLINE": "1", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    sys.path.insert(0, str(BENCH.parent))
    try:
        import gpu_parts  # noqa: F401 - the children need it
    except ImportError as error:
        print(f"{sys.executable} cannot import what this needs ({error}).", file=sys.stderr)
        print("`bench/gpu.sh --help` says what to install.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="c2vl-gpu-") as name:
        about, reason, _ = run_part(MACHINE, Path(name) / MACHINE, tiny, 120)
        if reason:
            print(f"The device cannot be used ({reason}).", file=sys.stderr)
            return 2
        tiny = tiny or not about["gpu"]
        head = f"{about['about']}\n\n"
        if tiny:
            head += "Tiny shapes: this shows that all parts work; its speeds mean nothing.\n\n"
        print(head, end="", file=sys.stderr)
        patience = 20 if tiny else 1  # a CPU may be busy
        ends = began + 60 * minutes * patience
        rows: list[Row] = []
        for part in parts:
            left = ends - time.monotonic()
            row: dict[str, Any] = {}
            seconds, reason = 0.0, f"not begun: the {minutes:g} minutes are over"
            if left > 5:
                row, reason, seconds = run_part(
                    part.name, Path(name) / part.name, tiny, min(part.seconds * patience, left)
                )
            rows.append((part, row, reason, seconds))
            print(f"{part.title}: {reason or f'{seconds:.0f} s'}", file=sys.stderr, flush=True)
            if reason:  # all that it wrote, for whoever repairs it
                print(_log(Path(name) / part.name / "log"), file=sys.stderr)
            if out:
                out.write_text(head + table(rows), encoding="utf-8")
    print(head + table(rows), end="")
    return int(any(reason for *_, reason, _ in rows))


def _log(path: Path) -> str:
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
    return "\n".join(f"    {line}" for line in lines)


def main() -> None:
    """Run all parts, or those named."""
    parser = argparse.ArgumentParser(
        prog="bench/gpu.sh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, help="also write the table into this file")
    parser.add_argument("--minutes", type=float, default=8, help="of the whole run (default: 8)")
    names = [part.name for part in PARTS]
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes on the CPU")
    chosen = parser.parse_args()
    parts = [part for part in PARTS if part.name in chosen.parts]
    sys.exit(measure(parts, chosen.tiny, chosen.minutes, chosen.out))


if __name__ == "__main__":
    main()
