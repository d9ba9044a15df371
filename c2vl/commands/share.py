"""Show or set whether `dvc push` uploads pictures of people and their skeletons.

  c2vl share                        print what `dvc push` uploads
  c2vl share skeletons              upload the skeleton tables, but no pictures
  c2vl share skeletons pictures     also upload the crops and the report with its gallery
  c2vl share nothing                upload neither (the default of the profiles for real data)

Upload them only to a remote that is as closed as the data set: you know its terms. Captions,
features and encoders show nobody and are always pushed. Without the rest, others run
`dvc pull --allow-missing` and then `dvc repro --allow-missing`. Whoever has the data set computes
the skeletons again within minutes.
"""

from __future__ import annotations

import argparse

from c2vl.core.sharing import KINDS

HELP = "show or set whether `dvc push` uploads pictures of people"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help=f"all that is to be uploaded: {', '.join(KINDS)}, or nothing",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print or set what is uploaded.

    Raises:
        UserError: a kind is unknown, or `nothing` is given with another kind.
    """
    from c2vl.core.errors import UserError
    from c2vl.core.sharing import protected_outputs, share

    if arguments.what:
        kinds = set(arguments.what) - {"nothing"}
        if unknown := kinds - set(KINDS):
            raise UserError(
                f"'{sorted(unknown)[0]}' cannot be shared; choose from {', '.join(KINDS)}, nothing."
            )
        if kinds and "nothing" in arguments.what:
            raise UserError("`nothing` cannot stand beside other kinds; give one or the other.")
        share(kinds)
    for one in protected_outputs():
        shown = "`dvc push` uploads it" if one.pushed else "`dvc push` leaves it on this machine"
        print(f"{one.path} ({one.kind}): {shown}")
