"""Draw what the pipeline knows about a sample.

  c2vl show S001C001P001R001A001                  writes S001C001P001R001A001.png
  c2vl show S001C001P001R001A001 --out wave.gif   the moving skeleton beside its video

The page shows, as far as they exist: the skeleton over time, video frames with joints and boxes,
crops with their answers, and the sample's rows. Prints the path of the file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "draw a sample: skeleton, video, crops, answers (PNG or GIF)"
DATA = Path("data")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("sample", help="the sample's name, such as S001C001P001R001A001")
    parser.add_argument(
        "--out", type=Path, help="a .png or .gif file (default: the sample's name with .png)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the image and print its path.

    Raises:
        UserError: there is no such sample, or it has nothing that can be drawn so.
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
