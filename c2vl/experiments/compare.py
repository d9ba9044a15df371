"""Compares C²VL with InfoNCE, a supervised and a random encoder over several seeds.

Each run (one method, stream and seed) is kept with a key of everything it depends on except the
code. A finished run is not computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2vl.core.files import read_json, write_json
from c2vl.experiments.intervals import interval, interval_of_means
from c2vl.training.metrics import spread

HEADLINES = (("linear", "top1"), ("linear", "top5"), ("knn", "top1"), ("end_to_end", "top1"))


@dataclass(frozen=True)
class Run:
    """What is kept of one training.

    Attributes:
        metrics: protocol → metric → share in 0…1.
        correct: protocol → a character for each test clip: 1 where the answer was right, else 0.
        people: the person of each test clip.
    """

    metrics: dict[str, dict[str, float]]
    correct: dict[str, str] = field(default_factory=dict)
    people: list[int] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        metrics: dict[str, dict[str, float]],
        correct: Mapping[str, NDArray[np.bool_]],
        people: list[int],
    ) -> Run:
        """From which clips (N,) each protocol answers rightly."""
        texts = {name: "".join("01"[int(one)] for one in right) for name, right in correct.items()}
        return cls(metrics, texts, people)


def run_key(*parts: Any) -> str:
    """Key of a run: blake2b-128 (hex) of its description, which JSON can hold."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def finished(path: Path, key: str) -> Run | None:
    """The run kept at `path`, or None if it has another key or lacks the clips' answers."""
    if not path.is_file():
        return None
    kept = read_json(path)
    if kept.get("key") != key or "correct" not in kept:
        return None
    return Run(kept["metrics"], kept["correct"], kept["people"])


def keep(path: Path, key: str, run: Run) -> None:
    """Write a finished run to `path`."""
    write_json(path, {"key": key, **asdict(run)})


def summarise(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Mean and sample standard deviation over the seeds, for each method, protocol and metric.

    Args:
        runs: for each method, the run of each seed, in the same order of seeds.

    Returns:
        `methods[method][protocol][metric] = {mean, std, values}` (std is None for one seed), and
        `gain[protocol][metric]` with the same keys: c2vl - infonce, seed by seed. `top1` also has
        `interval`: the ends of the 95 % interval, or None with one seed.
    """
    methods: dict[str, Any] = {}
    for method, seeds in runs.items():
        methods[method] = {
            protocol: {
                metric: spread([seed.metrics[protocol][metric] for seed in seeds])
                for metric in seeds[0].metrics[protocol]
            }
            for protocol in seeds[0].metrics
        }
        for protocol in seeds[0].correct:
            methods[method][protocol]["top1"]["interval"] = interval_of(seeds, protocol)
    gain: dict[str, Any] = {}
    if {"c2vl", "infonce"} <= methods.keys():
        for protocol, metrics in methods["c2vl"].items():
            pairs = {
                metric: (mine["values"], methods["infonce"][protocol][metric]["values"])
                for metric, mine in metrics.items()
            }
            gain[protocol] = {
                metric: spread(list(np.subtract(mine, hard)))
                for metric, (mine, hard) in pairs.items()
            }
        for protocol in runs["c2vl"][0].correct:
            ends = interval_of(runs["c2vl"], protocol, runs["infonce"])
            gain[protocol]["top1"]["interval"] = ends
    return {"methods": methods, "gain": gain}


def interval_of(
    runs: Sequence[Run], protocol: str, against: Sequence[Run] | None = None
) -> list[float] | None:
    """Ends of the 95 % interval of the accuracy over the seeds, or of its gain over other runs.

    Where each seed holds out people of its own, the seeds alone are drawn: they differ by their
    people too. None with one seed, or with test clips of one person.

    Args:
        runs: of every seed.
        protocol: such as `linear`.
        against: runs of the same seeds on the same clips; None: the accuracy itself.
    """
    others: Sequence[Run | None] = against or [None] * len(runs)
    pairs = list(zip(runs, others, strict=True))
    if not all(run.correct.get(protocol) for run in [*runs, *(against or [])]):
        return None
    values = [_right(run, protocol) - (_right(one, protocol) if one else 0) for run, one in pairs]
    if all(run.people == runs[0].people for run in runs):
        found = interval(np.stack(values), np.array(runs[0].people))
    else:
        found = interval_of_means([float(each.mean()) for each in values])
    if found is None:
        return None
    least, most = (-1.0, 1.0) if against else (0.0, 1.0)
    return [max(least, found.low), min(most, found.high)]


def _right(run: Run, protocol: str) -> NDArray[np.int8]:
    """(clips,) of 0 and 1."""
    return np.frombuffer(run.correct[protocol].encode(), np.uint8).astype(np.int8) - ord("0")


def markdown(summary: Mapping[str, Any], title: str) -> str:
    """The main accuracies of the summary as a Markdown table: percent, with 95 % intervals."""
    head = [f"{protocol.replace('_', ' ')} {metric}" for protocol, metric in HEADLINES]
    lines = [f"### {title}", "", f"| method | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for method, protocols in [*summary["methods"].items(), ("c2vl - infonce", summary["gain"])]:
        cells = [_cell(protocols.get(protocol, {}).get(metric)) for protocol, metric in HEADLINES]
        if any(cells):
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    mean = f"{100 * found['mean']:.1f}"
    ends = found.get("interval")
    if ends:
        return f"{mean} [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"
    return mean if found["std"] is None else f"{mean} ± {100 * found['std']:.1f}"
