"""Find the samples whose skeletons match a sentence.

  c2vl search "a person drinks from a cup"
  c2vl search "somebody falls down" --split train --top 20 --json

Prints for each of the nearest samples its score, name, split and action. Only skeletons are
searched, no captions or labels. Their features come from `dvc repro features`; `embed.encoder`
encodes the sentence. The score is the cosine in the space that encoder and CLIP share, or the
weighted mean of the cosines of all streams.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

HELP = "find the samples whose skeletons match a sentence"
DATA, RESULTS = Path("data"), Path("results")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("sentence", help="what the person does, in English")
    parser.add_argument(
        "--benchmark", help="benchmark of the encoders (default: the first of data.benchmarks)"
    )
    parser.add_argument(
        "--stream", choices=("joint", "motion", "bone"), help="use one stream instead of all"
    )
    parser.add_argument(
        "--split",
        choices=("train", "test", "all"),
        default="test",
        help="samples to search (default: test)",
    )
    parser.add_argument(
        "--top", type=int, default=10, metavar="N", help="samples to print (default: 10)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON list with an object for each sample"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the samples.

    Raises:
        UserError: features or the text encoder are missing, or the sentence is empty.
    """
    from c2vl.commands.recognition.nearest_samples import load_streams, nearest
    from c2vl.core import machine
    from c2vl.core.errors import UserError
    from c2vl.core.params import load_section
    from c2vl.core.tables.class_list import read_class_list
    from c2vl.datasets.data_params import DataParams
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.prompts.embed_params import EmbedParams
    from c2vl.prompts.engines.encoder import Encoder

    if not arguments.sentence.strip():
        raise UserError('The sentence is empty; try c2vl search "a person drinks from a cup".')
    benchmark = arguments.benchmark or load_section("data", DataParams).benchmarks[0]
    streams = load_streams(RESULTS, benchmark, arguments.stream)
    names = read_class_list(DATA)
    encoder = Encoder.load(load_section("embed", EmbedParams).encoder, machine.device())
    feature = encoder.texts([arguments.sentence])[0][0].astype("float32")
    weights = load_section("evaluate", EvaluateParams).fusion.weights
    hits = nearest(feature, streams, weights, arguments.split, max(arguments.top, 1))
    if arguments.json:
        print(
            json.dumps(
                [{**asdict(hit), "action": names[hit.label]} for hit in hits],
                indent=2,
                ensure_ascii=False,
            )
        )
        return
    for hit in hits:
        print(f"{hit.score:6.3f}  {hit.sample}  {hit.split:5}  {names[hit.label]}")
