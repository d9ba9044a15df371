"""Export our denoised skeletons in the formats of other repositories.

  c2vl skeletons ctrgcn export/    NTU60_CS.npz, NTU60_CV.npz for CTR-GCN: a file for each
                                   benchmark, padded to 300 frames
  c2vl skeletons pyskl export/     ntu60_3danno.pkl for pyskl: all benchmarks in one file

Reads data/index and data/skeleton; prints the path, number of clips and size of each file. Such a
file, ours or theirs, can also be the `data.raw` of a project (docs/datasets.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "export denoised skeletons for CTR-GCN or pyskl"
DATA = Path("data")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "format", choices=["ctrgcn", "pyskl"], help="repository that reads the files"
    )
    parser.add_argument("folder", type=Path, help="where to write; replaces files of the same name")
    parser.add_argument(
        "--benchmark",
        action="append",
        help="ctrgcn only: this benchmark (may be repeated; default: all)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the files and print them.

    Raises:
        UserError: the tables are missing, hold nothing to write, or are of another skeleton.
    """
    from c2vl.core.errors import UserError, writing
    from c2vl.core.layout_file import NTU, shipped_layout
    from c2vl.datasets.skeletons.skeleton_table import open_skeleton_table
    from c2vl.datasets.skeletons.to_ctrgcn import write_ctrgcn
    from c2vl.datasets.skeletons.to_pyskl import write_pyskl

    denoised = open_skeleton_table(DATA)
    if not denoised.layout.fits(shipped_layout(NTU)):
        raise UserError(
            f"The skeleton of this data is {denoised.layout.name}; {arguments.format} files are "
            f"only written of {NTU} (NTU RGB+D, PKU-MMD)."
        )
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
