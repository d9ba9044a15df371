"""C²VL, InfoNCE, supervised and random encoders over several seeds (`make compare`; not a stage of `dvc.yaml`).

Writes `results/compare/compare.json` (`benchmark`, `seeds`, `streams[stream] = {methods, gain}` as of
`c2vl.evaluation.compare.summarise`), `results/compare/compare.md`, and one file a finished run in `results/compare/runs`:
stopped and started again, it goes on with the next run. `--again` forgets finished runs, for instance after a change of code.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.errors import one_sentence
from c2vl.params import load_section
from c2vl.runlog import logged
from c2vl.skeletons.streams import STREAMS

if TYPE_CHECKING:
    from c2vl.training.checkpoint import Method

DATA, OUT = Path("data"), Path("results/compare")
METHODS: tuple[Method, ...] = ("c2vl", "infonce", "supervised", "random")


def compare(benchmark: str, streams: list[str], seeds: int, again: bool) -> dict[str, Any]:
    """Run what is not finished yet and return the summary."""
    from c2vl.evaluation.compare import data_fingerprint, finished, keep, run_key, summarise
    from c2vl.evaluation.frozen import frozen_features, own_logits
    from c2vl.evaluation.params import EvaluateParams
    from c2vl.evaluation.protocol import evaluate
    from c2vl.training.clips import load_clips
    from c2vl.training.methods import train
    from c2vl.training.params import BaselinesParams, PretrainParams
    from c2vl.training.stage import load_training, prepare

    params, baselines = load_section("pretrain", PretrainParams), load_section("baselines", BaselinesParams)
    protocols = load_section("evaluate", EvaluateParams)
    device = prepare()
    data = load_training(DATA, benchmark, params.objective.kinds, device)
    test = load_clips(DATA, benchmark, "test", device)
    settings = [section.model_dump(mode="json", exclude={"seed"}) for section in (params, baselines, protocols)]
    content = data_fingerprint([DATA / "index", DATA / "skeleton", DATA / "embed"])
    summaries: dict[str, Any] = {}
    for stream in (known for known in STREAMS if known in streams):
        runs: dict[str, list[dict[str, dict[str, float]]]] = {method: [] for method in METHODS}
        for seed in range(params.seed, params.seed + seeds):
            seeded = params.model_copy(update={"seed": seed})
            for method in METHODS:
                path = OUT / "runs" / f"{benchmark}-{stream}-{method}-{seed}.json"
                key = run_key(settings, content, benchmark, stream, method, seed)
                metrics = None if again else finished(path, key)
                if metrics is None:
                    trained = train(method, *data, benchmark, stream, seeded, baselines)
                    frames = params.view.frames
                    features = frozen_features(trained.network.encoder, data.clips, test, stream, frames)
                    logits = own_logits(trained.network, features)
                    metrics = evaluate(features, data.classes, protocols, logits).metrics()
                    keep(path, key, metrics)
                accuracies = ", ".join(f"{name} {100 * values['top1']:.1f} %" for name, values in sorted(metrics.items()))
                print(f"{benchmark}-{stream} seed {seed} {method}: {accuracies}", flush=True)
                runs[method].append(metrics)
        summaries[stream] = summarise(runs)
    return {"benchmark": benchmark, "seeds": list(range(params.seed, params.seed + seeds)), "streams": summaries}


@one_sentence
def main() -> None:
    """Compare the methods and write the summary."""
    parser = argparse.ArgumentParser(description="Compare C²VL with its baselines over several seeds.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--benchmark", default="xsub")
    parser.add_argument("--streams", nargs="+", choices=STREAMS, default=["joint"])
    parser.add_argument("--again", action="store_true", help="compute finished runs again")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error("--seeds must be at least 1")

    from c2vl.evaluation.compare import markdown
    from c2vl.files import write_bytes, write_json

    with logged(f"compare-{arguments.benchmark}"):
        summary = compare(arguments.benchmark, arguments.streams, arguments.seeds, arguments.again)
        write_json(OUT / "compare.json", summary)
        titles = {stream: f"{arguments.benchmark}, {stream} stream, {arguments.seeds} seeds" for stream in summary["streams"]}
        text = "\n".join(markdown(part, titles[stream]) for stream, part in summary["streams"].items())
        write_bytes(OUT / "compare.md", text.encode())
        print(text)


if __name__ == "__main__":
    main()
