"""Read a public ST-GCN checkpoint as an encoder of this project.

  c2vl import-checkpoint epoch300_model.pt --out results/imported/xsub-joint
  c2vl import-checkpoint crossclr.pt --stream bone --out results/imported/xview-bone

Reads `.pt` and `.pth` files of AimCLR, CrosSCLR, ActCLR (the names of st-gcn) and pyskl. Only plain
tensors are loaded; a file with anything else is refused. Width, depth and partition are found in
the file. Encoders with st-gcn's names see each body relative to joint 21, as their data.

Writes `encoder.safetensors`, `config.json` and `curves.csv`. Written to
`results/pretrain/xsub-joint`, the encoder takes the place of a trained one:
`python stages/features.py xsub joint` and `dvc repro --single-item evaluate` then use it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "read a public ST-GCN checkpoint: AimCLR, CrosSCLR, ActCLR, pyskl"
FRAMES = {"st-gcn": 50, "pyskl": 100}  # of a clip in their configs


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a .pt or .pth file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to create")
    parser.add_argument(
        "--stream",
        choices=("joint", "motion", "bone"),
        default="joint",
        help="stream that it was trained on (default: joint)",
    )
    parser.add_argument("--benchmark", default="xsub", help="split of its training (default: xsub)")
    parser.add_argument(
        "--frames", type=int, help="frames of a clip (default: 50, as AimCLR; 100 for pyskl)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the folder.

    Raises:
        UserError: the folder exists, or the file is no ST-GCN checkpoint.
    """
    from c2vl.commands.importing.stgcn_weights import import_stgcn, read_weights
    from c2vl.core.errors import UserError
    from c2vl.training.checkpoint import BareEncoder, EncoderConfig, save_checkpoint

    if arguments.out.exists() and any(arguments.out.iterdir()):
        raise UserError(f"{arguments.out} exists already; remove it or name another folder.")
    if arguments.frames is not None and arguments.frames < 1:
        raise UserError("--frames must be positive.")
    found = import_stgcn(read_weights(arguments.file), arguments.stream)
    config = EncoderConfig(
        method="imported",
        benchmark=arguments.benchmark,
        stream=arguments.stream,
        seed=0,
        encoder=found.params,
        frames=arguments.frames or FRAMES[found.naming],
        training={"imported": arguments.file.name, "prefix": found.prefix},
    )
    save_checkpoint(arguments.out, BareEncoder(found.encoder), config, [])
    size = sum(parameter.numel() for parameter in found.encoder.parameters())
    print(
        f"{arguments.out}: ST-GCN with {size:,} weights and {found.encoder.features} features "
        f"(names of {found.naming}, partition {found.params.partition}, {config.frames} frames)."
    )
