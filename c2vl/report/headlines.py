"""The few numbers that two runs are compared by, for `dvc metrics diff` and `dvc exp show`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c2vl.core.files import read_json

METHOD, DIGITS = "c2vl", 4
Numbers = dict[str, Any]


def headlines(learnt: Mapping[str, Any], protocols: Mapping[str, Any]) -> Numbers:
    """Top 1 of C²VL on the test split by protocol, benchmark and stream, shares in 0…1.

    Args:
        learnt: `results/evaluate/metrics.json`.
        protocols: `results/protocols/metrics.json`.

    Returns:
        `{linear | knn | zero_shot | finetune: {benchmark: {stream: top 1}}}`,
        `semi: {benchmark: {stream: {fraction: mean}}}` and `transfer: {target: {stream: top 1}}`;
        what there is.
    """
    found: Numbers = {}
    for protocol in ("linear", "knn", "zero_shot"):
        found[protocol] = _each(learnt.get(protocol, {}))
    found["finetune"] = _each(protocols.get("finetune", {}))
    found["semi"] = {
        benchmark: {
            stream: {share: _rounded(values["top1"]["mean"]) for share, values in shares.items()}
            for stream, starts in streams.items()
            if (shares := starts.get(METHOD))
        }
        for benchmark, streams in protocols.get("semi", {}).items()
    }
    targets = protocols.get("transfer", {})
    found["transfer"] = _each({name: about["streams"] for name, about in targets.items()})
    return {protocol: values for protocol, values in found.items() if values}


def _each(by_group: Mapping[str, Any]) -> Numbers:
    """Top 1 by group (benchmark or target) and stream; equal fusion is left out."""
    return {
        group: {
            stream: _rounded(methods[METHOD]["top1"])
            for stream, methods in streams.items()
            if METHOD in methods and stream != "fusion_equal"
        }
        for group, streams in by_group.items()
    }


def _rounded(share: float) -> float:
    return round(float(share), DIGITS)


def read_if_there(path: Path) -> dict[str, Any]:
    """A JSON file; empty where it is missing."""
    return dict(read_json(path)) if path.is_file() else {}
