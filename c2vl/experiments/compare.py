"""Compares C²VL with InfoNCE, a supervised and a random encoder over several seeds.

Each run (one method, stream and seed) is kept with a key of everything it depends on except the
code. A finished run is not computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.core.files import read_json, write_json
from c2vl.training.metrics import spread

HEADLINES = (("linear", "top1"), ("linear", "top5"), ("knn", "top1"), ("end_to_end", "top1"))


def run_key(*parts: Any) -> str:
    """Key of a run: blake2b-128 (hex) of its description, which JSON can hold."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def finished(path: Path, key: str) -> dict[str, dict[str, float]] | None:
    """Metrics by protocol of the run kept at `path`, or None if it has another key."""
    if not path.is_file():
        return None
    kept = read_json(path)
    return kept["metrics"] if kept.get("key") == key else None


def keep(path: Path, key: str, metrics: dict[str, dict[str, float]]) -> None:
    """Write the metrics of a finished run to `path`."""
    write_json(path, {"key": key, "metrics": metrics})


def summarise(runs: Mapping[str, Sequence[dict[str, dict[str, float]]]]) -> dict[str, Any]:
    """Mean and sample standard deviation over the seeds, for each method, protocol and metric.

    Args:
        runs: for each method, the metrics of each seed, in the same order of seeds.

    Returns:
        `methods[method][protocol][metric] = {mean, std, values}` (std is None for one seed), and
        `gain[protocol][metric]` with the same keys: c2vl - infonce, seed by seed.
    """
    methods: dict[str, Any] = {}
    for method, seeds in runs.items():
        methods[method] = {
            protocol: {
                metric: spread([seed[protocol][metric] for seed in seeds])
                for metric in seeds[0][protocol]
            }
            for protocol in seeds[0]
        }
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
    return {"methods": methods, "gain": gain}


def markdown(summary: Mapping[str, Any], title: str) -> str:
    """The main accuracies of the summary as a Markdown table, in percent."""
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
    return mean if found["std"] is None else f"{mean} ± {100 * found['std']:.1f}"
