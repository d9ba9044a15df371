"""Export a trained encoder to a folder that works without this repository.

  c2vl export encoders/best                        the most accurate classifier of the run
  c2vl export encoders/fusion --stream fusion      three streams and their weights in one file
  c2vl export encoders/bone --stream bone --benchmark xview
  c2vl export encoders/mine --from finetune        finetuned on labels; or transfer:NAME

The folder holds the ONNX file, the weights as safetensors, a config and a model card. The ONNX file
takes joints in metres, with any batch size and any number of frames. It returns features, the
embedding in the space shared with CLIP, and scores of the actions. It is compared with torch before
the folder appears. Prints the folder, its outputs and the largest difference from torch.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from c2vl.commands.recognition.arguments import add_choice

HELP = "export a trained encoder: ONNX, safetensors, model card"
DATA, RESULTS = Path("data"), Path("results")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to create")
    add_choice(parser)


def run(arguments: argparse.Namespace) -> None:
    """Write the folder.

    Raises:
        UserError: there is no such encoder, the folder exists, or ONNX and torch differ.
    """
    from c2vl.commands.exporting.folder import Part, export_streams
    from c2vl.commands.recognition.classifiers import TRANSFER, choose, load_classifier
    from c2vl.core.files import read_json
    from c2vl.core.params import load_section
    from c2vl.datasets.data_params import DataParams
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.prompts.embed_params import EmbedParams
    from c2vl.training.checkpoint import load_checkpoint

    data = load_section("data", DataParams)
    benchmark, stream = arguments.benchmark or data.benchmarks[0], arguments.stream
    prompts = load_section("embed", EmbedParams).encoder
    dataset = data.dataset
    fusion = load_section("evaluate", EvaluateParams).fusion
    if _alone(arguments.source, benchmark, stream):
        checkpoint = load_checkpoint(RESULTS / "pretrain" / _known(benchmark, stream or "joint"))
        parts: dict[str, Part] = {checkpoint.config.stream: Part(checkpoint)}
        about: dict[str, Any] = {}
        what = f"pretrained, {benchmark}, {checkpoint.config.stream}"
    else:
        chosen, what = choose(RESULTS, DATA, benchmark, arguments.source, stream)
        loaded = load_classifier(RESULTS, DATA, chosen, fusion)
        parts = {name: Part(each.checkpoint, each.head) for name, each in loaded.streams.items()}
        about = {"classes": loaded.classes, "top1": chosen.top1, "source": chosen.source}
        if chosen.source.startswith(TRANSFER):
            name = chosen.source.removeprefix(TRANSFER)
            dataset = read_json(RESULTS / "finetune/transfer" / name / "metrics.json")["dataset"]
    config = export_streams(arguments.out, parts, fusion, dataset, about, prompts)
    outputs = ", ".join(output["name"] for output in config["outputs"])
    print(f"{what}.")
    print(f"{arguments.out}: outputs {outputs}.")
    print(f"ONNX and torch differ by {config['onnx']['largest_difference']:.1g} at most.")
    if "scores" not in outputs:
        print("It has no scores, because there is no linear head; `dvc repro evaluate` trains one.")


def _alone(source: str | None, benchmark: str, stream: str | None) -> bool:
    """Whether the pretrained encoder is exported without a classifier, because it has none.

    Raises:
        UserError: as `_known`.
    """
    from c2vl.training.checkpoint import WEIGHTS

    if source not in (None, "pretrained") or _has_head(benchmark, stream):
        return False
    encoder = RESULTS / "pretrain" / _known(benchmark, stream or "joint") / WEIGHTS
    return source is not None or encoder.is_file()


def _has_head(benchmark: str, stream: str | None) -> bool:
    """Whether there is a linear head."""
    heads = {path.stem for path in (RESULTS / "evaluate/heads").glob("*.safetensors")}
    if stream in (None, "fusion"):
        return any(name.rpartition("-")[0] == benchmark for name in heads)
    return f"{benchmark}-{stream}" in heads


def _known(benchmark: str, stream: str) -> str:
    """The name of a pretrained encoder, checked, because it becomes a path.

    Raises:
        UserError: there is none.
    """
    from c2vl.core.errors import UserError

    name = f"{benchmark}-{stream}"
    known = sorted(path.name for path in (RESULTS / "pretrain").glob("*") if path.is_dir())
    if name not in known:
        hint = f"there are {', '.join(known)}" if known else "run `dvc repro pretrain`"
        raise UserError(f"There is no encoder '{name}' in {RESULTS / 'pretrain'}; {hint}.")
    return name
