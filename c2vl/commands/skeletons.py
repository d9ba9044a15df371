"""Write our denoised skeletons (data/index, data/skeleton) as files that other repositories read.

  c2vl skeletons ctrgcn export/           NTU60_CS.npz, NTU60_CV.npz: CTR-GCN's, one file a benchmark, padded to 300 frames
  c2vl skeletons pyskl export/            ntu60_3danno.pkl: pyskl's, all benchmarks in one file

Such a file, ours or theirs, can also stand in `data.raw` (docs/datasets.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write denoised skeletons as CTR-GCN's .npz or pyskl's .pkl"
DATA = Path("data")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("format", choices=["ctrgcn", "pyskl"])
    parser.add_argument(
        "folder", type=Path, help="where to write; files there of the same name are replaced"
    )
    parser.add_argument(
        "--benchmark", action="append", help="ctrgcn: only this one (may be repeated; default: all)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the files and say which.

    Raises:
        UserError: the outs are missing, or hold nothing to write.
    """
    from c2vl.core.errors import writing
    from c2vl.datasets.skeletons.denoised import open_denoised
    from c2vl.datasets.skeletons.to_ctrgcn import write_ctrgcn
    from c2vl.datasets.skeletons.to_pyskl import write_pyskl

    denoised = open_denoised(DATA)
    with writing(arguments.folder):
        if arguments.format == "pyskl":
            written = [write_pyskl(denoised, arguments.folder)]
        else:
            benchmarks = arguments.benchmark or denoised.benchmarks
            written = [
                write_ctrgcn(denoised, benchmark, arguments.folder) for benchmark in benchmarks
            ]
    for path in written:
        print(f"{path}: {len(denoised.rows):,} clips, {path.stat().st_size / 1e6:,.1f} MB")
