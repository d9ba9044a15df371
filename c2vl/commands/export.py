"""A trained encoder as a folder of its own: ONNX with its pre-processing, safetensors, config, model card.

  c2vl export encoders/joint                       the joint stream of the first benchmark
  c2vl export encoders/bone --stream bone --benchmark xview

The ONNX file takes joints in metres, any batch and any number of frames, and gives features, the embedding in the space shared
with CLIP, and scores of the actions; it is compared with torch before the folder appears. It needs nothing of this repository.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "a trained encoder as ONNX, safetensors and model card"
RESULTS = Path("results")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument("--benchmark", help="which encoder (default: the first of data.benchmarks)")
    parser.add_argument(
        "--stream",
        choices=("joint", "motion", "bone"),
        default="joint",
        help="which stream (joint)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the folder.

    Raises:
        UserError: there is no such encoder, the folder is there, or the export fails its check.
    """
    from c2vl.commands.exporting.folder import export
    from c2vl.commands.recognition.recogniser import trained_streams
    from c2vl.core.errors import UserError
    from c2vl.core.params import load_section
    from c2vl.datasets.data_params import DataParams
    from c2vl.evaluation.heads import load_head
    from c2vl.prompts.embed_params import EmbedParams
    from c2vl.training.checkpoint import load_checkpoint

    data = load_section("data", DataParams)
    benchmark = arguments.benchmark or data.benchmarks[0]
    name = f"{benchmark}-{arguments.stream}"
    known = sorted(path.name for path in (RESULTS / "pretrain").glob("*") if path.is_dir())
    if name not in known:  # so that no name becomes a path unchecked
        hint = f"there are {', '.join(known)}" if known else "`dvc repro pretrain` trains them"
        raise UserError(f"There is no encoder '{name}' in {RESULTS / 'pretrain'}; {hint}.")
    has_head = arguments.stream in trained_streams(RESULTS, benchmark)
    head, about = load_head(RESULTS / "evaluate/heads", name) if has_head else (None, {})
    prompts = load_section("embed", EmbedParams).encoder
    config = export(
        arguments.out,
        load_checkpoint(RESULTS / "pretrain" / name),
        data.dataset,
        head,
        about,
        prompts,
    )
    print(
        f"{arguments.out}: {name}, outputs {', '.join(output['name'] for output in config['outputs'])}; ",
        end="",
    )
    print(f"ONNX and torch differ by {config['onnx']['largest_difference']:.1g} at most.")
    if head is None:
        print("There is no linear head yet, so no scores: `dvc repro evaluate` trains one.")
