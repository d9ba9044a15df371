"""Draw a sample: its skeleton over time, over the video where it has one, its rows, crops and answers as far as they exist.

c2vl show S001C001P001R001A001                     S001C001P001R001A001.png here
c2vl show S001C001P001R001A001 --out wave.gif      the same as a moving skeleton beside the video
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "draw a sample: skeleton, video, crops, answers, rows (PNG or GIF)"
DATA = Path("data")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("sample", help="its id, such as S001C001P001R001A001")
    parser.add_argument(
        "--out", type=Path, help="a .png or .gif file (default: the sample's name.png)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the picture and say where.

    Raises:
        UserError: there is no such sample, or nothing of what was asked for can be drawn.
    """
    from c2vl.core.errors import UserError, writing

    out = arguments.out
    if out is not None and out.suffix.lower() not in (".png", ".gif"):
        raise UserError(f"--out must end in .png or .gif, not '{out.suffix}'.")

    from c2vl.commands.sample_view.sample import load_sample
    from c2vl.core.params import load_section
    from c2vl.datasets.data_params import DataParams

    sample = load_sample(arguments.sample, DATA, load_section("data", DataParams).raw)
    out = out or Path(f"{sample.row['sample']}.png")
    if out.suffix.lower() == ".gif":
        from c2vl.commands.sample_view.animation import write_animation

        with writing(out):
            write_animation(sample, out)
    else:
        from c2vl.commands.sample_view.sample_page import write_page

        with writing(out):
            write_page(sample, out)
    print(out)
