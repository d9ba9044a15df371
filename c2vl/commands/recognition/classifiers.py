"""The classifiers that a run has: which there are, which is the best, and how to load them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.commands.recognition.recogniser import Recogniser, Trained, with_head
from c2vl.core.errors import UserError
from c2vl.core.files import read_json
from c2vl.core.tables.class_list import read_class_list
from c2vl.evaluation.evaluate_params import FusionParams
from c2vl.evaluation.linear import LinearHead
from c2vl.models.streams import STREAMS
from c2vl.training.checkpoint import WEIGHTS, load_checkpoint
from c2vl.training.supervised import ClassifyingEncoder

PRETRAINED, FINETUNE, TRANSFER, FUSION = "pretrained", "finetune", "transfer:", "fusion"
SUPERVISED = "supervised"  # the baseline that learns from labels alone
METHODS = ("c2vl", "imported")  # whose results these are


@dataclass(frozen=True)
class Classifier:
    """One encoder with a classifier, or the fusion of several streams.

    Attributes:
        source: `pretrained` (frozen, with a linear head), `finetune`, `supervised` or
            `transfer:NAME`.
        benchmark: the split that it was trained on.
        streams: one, or those that are fused.
        top1: accuracy on the test split, as the last run measured it; None if it did not.
    """

    source: str
    benchmark: str
    streams: tuple[str, ...]
    top1: float | None = None

    @property
    def stream(self) -> str:
        """The stream, or `fusion`."""
        return self.streams[0] if len(self.streams) == 1 else FUSION

    def __str__(self) -> str:
        return f"{self.source}, {self.benchmark}, {self.stream}"


def choose(
    results: Path, data: Path, benchmark: str, source: str | None, stream: str | None
) -> tuple[Classifier, str]:
    """The best classifier that fits what the user asks for, and why it is chosen.

    Best is the highest top 1 on the test split; the fusion wins a tie. Those without a number come
    last, pretrained ones first. A transferred classifier knows the actions of another data set, so
    it is only taken where `source` names it. The supervised one is taken where nothing was
    pretrained.

    Args:
        results: the folder with the outputs of `evaluate`, `finetune`, `transfer`, `protocols`.
        data: the folder with `index` and `targets`.
        benchmark: of the classifier; a transferred one has its target's.
        source: `pretrained`, `finetune`, `supervised` or `transfer:NAME`; None: the best of the
            first two, or else the third.
        stream: joint, motion, bone or fusion; None: the best.

    Raises:
        UserError: there is no such classifier.
    """
    if source is not None and source.startswith(TRANSFER):
        found = list(_transferred(results, source.removeprefix(TRANSFER)))
    else:
        found = [*_pretrained(results, benchmark), *_finetuned(results, benchmark)]
        if source == SUPERVISED or not (found or source):
            found = list(_supervised(results, benchmark))
        found = [each for each in found if source in (None, each.source)]
    if not found:
        raise UserError(_none(results, data, benchmark, source))
    fitting = [each for each in found if stream in (None, each.stream)]
    if not fitting:
        raise UserError(
            f"There is no classifier of the stream '{stream}' ({source or benchmark}); "
            f"there are {', '.join(dict.fromkeys(each.stream for each in found))}."
        )
    best = max(fitting, key=lambda each: (each.top1 or 0.0, len(each.streams)))
    return best, _why(best, fitting)


def load_classifier(
    results: Path, data: Path, chosen: Classifier, fusion: FusionParams
) -> Recogniser:
    """Load a classifier.

    Args:
        results: as of `choose`.
        data: as of `choose`.
        chosen: one that `choose` returned.
        fusion: how streams are fused (`evaluate.fusion`).

    Raises:
        UserError: a file is missing, or encoder and head do not belong together.
    """
    load = _load_pretrained if chosen.source == PRETRAINED else _load_finetuned
    return Recogniser(
        {stream: load(results, data, chosen, stream) for stream in chosen.streams}, fusion
    )


def folder_of(results: Path, chosen: Classifier, stream: str) -> Path:
    """The folder of one stream's encoder."""
    if chosen.source.startswith(TRANSFER):
        return results / "finetune/transfer" / chosen.source.removeprefix(TRANSFER) / stream
    if chosen.source == SUPERVISED:
        return results / "baselines" / chosen.benchmark / SUPERVISED
    place = "pretrain" if chosen.source == PRETRAINED else "finetune/full"
    return results / place / f"{chosen.benchmark}-{stream}"


def _pretrained(results: Path, benchmark: str) -> Iterator[Classifier]:
    heads = {path.name for path in (results / "evaluate/heads").glob("*.safetensors")}
    there = [stream for stream in STREAMS if f"{benchmark}-{stream}.safetensors" in heads]
    top1 = _numbers(results / "evaluate/metrics.json", "linear", benchmark)
    return _with_fusion(PRETRAINED, benchmark, there, top1)


def _finetuned(results: Path, benchmark: str) -> Iterator[Classifier]:
    cells = {path.parent.name for path in (results / "finetune/full").glob(f"*/{WEIGHTS}")}
    there = [stream for stream in STREAMS if f"{benchmark}-{stream}" in cells]
    top1 = _numbers(results / "protocols/metrics.json", "finetune", benchmark)
    return _with_fusion(FINETUNE, benchmark, there, top1)


def _supervised(results: Path, benchmark: str) -> Iterator[Classifier]:
    trained = {path.parents[1].name for path in results.glob(f"baselines/*/{SUPERVISED}/{WEIGHTS}")}
    if benchmark in trained:  # checked, because it becomes a path
        top1 = _numbers(results / "evaluate/metrics.json", "end_to_end", benchmark)
        yield Classifier(SUPERVISED, benchmark, ("joint",), top1.get("joint"))


def _transferred(results: Path, name: str) -> Iterator[Classifier]:
    if name not in _targets(results):  # checked first, because the name becomes a path
        return iter(())
    folder = results / "finetune/transfer" / name
    there = [stream for stream in STREAMS if (folder / stream / WEIGHTS).is_file()]
    benchmark = str(_read(folder / "metrics.json").get("benchmark", ""))
    top1 = _numbers(results / "protocols/metrics.json", "transfer", name, "streams")
    return _with_fusion(f"{TRANSFER}{name}", benchmark, there, top1)


def _with_fusion(
    source: str, benchmark: str, streams: Sequence[str], top1: Mapping[str, float]
) -> Iterator[Classifier]:
    if len(streams) > 1:
        yield Classifier(source, benchmark, tuple(streams), top1.get(FUSION))
    for stream in streams:
        yield Classifier(source, benchmark, (stream,), top1.get(stream))


def _targets(results: Path) -> list[str]:
    """Transfer targets with a saved encoder."""
    return sorted(
        {path.parents[1].name for path in (results / "finetune/transfer").glob(f"*/*/{WEIGHTS}")}
    )


def _numbers(path: Path, *keys: str) -> dict[str, float]:
    """Top 1 by stream, out of a file of metrics; empty where it has none."""
    found: Any = _read(path)
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return {
        stream: float(methods[method]["top1"])
        for stream, methods in (found or {}).items()
        for method in ([SUPERVISED] if keys[0] == "end_to_end" else METHODS)
        if method in methods
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path))
    except (OSError, ValueError, TypeError):
        return {}


def _why(best: Classifier, fitting: list[Classifier]) -> str:
    number = "" if best.top1 is None else f": {100 * best.top1:.1f} % of the test split"
    if len(fitting) == 1:
        return f"{best}{number}"
    why = "nothing is measured yet" if best.top1 is None else f"the highest of {len(fitting)}"
    return f"{best}{number}, {why}" if number else f"{best} ({why})"


def _none(results: Path, data: Path, benchmark: str, source: str | None) -> str:
    if source is not None and source.startswith(TRANSFER):
        known = ", ".join(f"{TRANSFER}{name}" for name in _targets(results))
        hint = f"there is {known}" if known else "run `dvc repro transfer`"
        return f"There is no transferred encoder '{source}'; {hint}."
    if source == FINETUNE:
        return (
            f"There is no finetuned encoder of the benchmark '{benchmark}' in "
            f"{results / 'finetune/full'}; name it in `data.benchmarks` and run "
            "`dvc repro finetune`."
        )
    if source == SUPERVISED:
        return (
            f"There is no supervised encoder of the benchmark '{benchmark}' in "
            f"{results / 'baselines'}; run `dvc repro baselines`."
        )
    heads = (results / "evaluate/heads").glob("*.safetensors")
    names = sorted({path.stem.rpartition("-")[0] for path in heads})
    hint = f"there are heads for {', '.join(names)}" if names else "run `dvc repro evaluate`"
    return (
        f"There is no linear head for the benchmark '{benchmark}' in "
        f"{results / 'evaluate/heads'}; {hint}."
    )


def _load_pretrained(results: Path, data: Path, chosen: Classifier, stream: str) -> Trained:
    return with_head(results, chosen.benchmark, stream)


def _load_finetuned(results: Path, data: Path, chosen: Classifier, stream: str) -> Trained:
    """An encoder that was trained together with its classifier."""
    folder = folder_of(results, chosen, stream)
    checkpoint = load_checkpoint(folder)
    network = checkpoint.network
    if not isinstance(network, ClassifyingEncoder):
        raise UserError(f"{folder} has no classifier; run `dvc repro -f` for its stage.")
    weight, bias = (
        value.detach().float().numpy().copy()
        for value in (network.classifier.weight, network.classifier.bias)
    )
    width = weight.shape[1]
    head = LinearHead(weight, bias, np.zeros(width, np.float32), np.ones(width, np.float32))
    target = chosen.source.removeprefix(TRANSFER)
    transferred = chosen.source.startswith(TRANSFER)
    names = read_class_list(data / "targets" / target if transferred else data)
    if len(names) != len(weight):
        raise UserError(
            f"{folder} knows {len(weight)} actions, but the index names {len(names)}; "
            f"run `dvc repro {'transfer' if transferred else 'finetune baselines'}`."
        )
    return Trained(checkpoint, head, {"classes": names})
