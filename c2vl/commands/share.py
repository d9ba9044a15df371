"""Say or set whether `dvc push` uploads pictures of the data set's people (crops, and the report with its gallery).

c2vl share                say
c2vl share pictures       let `dvc push` upload them: only to a remote as closed as the data set, whose terms you know
c2vl share nothing        keep them here (the default of the profiles for real data)

Captions, features, skeletons and encoders show nobody and are pushed always. Where pictures stay behind, others
fetch the rest with `dvc pull --allow-missing` and go on with `dvc repro --allow-missing`.
"""

from __future__ import annotations

import argparse

HELP = "whether `dvc push` uploads pictures of people"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("what", nargs="?", choices=("pictures", "nothing"))


def run(arguments: argparse.Namespace) -> None:
    """Say or set."""
    from c2vl.sharing import pictures, share_pictures

    if arguments.what:
        share_pictures(arguments.what == "pictures")
    for out, pushed in pictures().items():
        print(f"{out}: {'`dvc push` uploads it' if pushed else 'stays here, `dvc push` leaves it out'}")
