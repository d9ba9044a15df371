"""Export a trained encoder to a folder that works without this repository.

  c2vl export encoders/joint                       joint stream of the first benchmark
  c2vl export encoders/bone --stream bone --benchmark xview

The folder holds the ONNX file, the weights as safetensors, a config and a model card. The ONNX file
takes joints in metres, with any batch size and any number of frames. It returns features, the
embedding in the space shared with CLIP, and scores of the actions. It is compared with torch before
the folder appears. Prints the folder, its outputs and the largest difference from torch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "export a trained encoder: ONNX, safetensors, model card"
RESULTS = Path("results")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to create")
    parser.add_argument(
        "--benchmark", help="benchmark of the encoder (default: the first of data.benchmarks)"
    )
    parser.add_argument(
        "--stream",
        choices=("joint", "motion", "bone"),
        default="joint",
        help="stream of the encoder (default: joint)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the folder.

    Raises:
        UserError: there is no such encoder, the folder exists, or ONNX and torch differ.
    """
    from c2vl.commands.exporting.folder import export
    from c2vl.commands.recognition.recogniser import trained_streams
    from c2vl.core.errors import UserError
    from c2vl.core.params import load_section
    from c2vl.datasets.data_params import DataParams
    from c2vl.evaluation.head_files import load_head
    from c2vl.prompts.embed_params import EmbedParams
    from c2vl.training.checkpoint import load_checkpoint

    data = load_section("data", DataParams)
    benchmark = arguments.benchmark or data.benchmarks[0]
    name = f"{benchmark}-{arguments.stream}"
    known = sorted(path.name for path in (RESULTS / "pretrain").glob("*") if path.is_dir())
    if name not in known:  # checked first, because the name becomes a path
        hint = f"there are {', '.join(known)}" if known else "run `dvc repro pretrain`"
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
    outputs = ", ".join(output["name"] for output in config["outputs"])
    difference = config["onnx"]["largest_difference"]
    print(f"{arguments.out}: {name} with outputs {outputs}.")
    print(f"ONNX and torch differ by {difference:.1g} at most.")
    if head is None:
        print("It has no scores, because there is no linear head; `dvc repro evaluate` trains one.")
