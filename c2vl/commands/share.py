"""Say or set whether `dvc push` uploads what is the data set's own: pictures of its people, and their skeletons.

c2vl share                        say
c2vl share skeletons              let `dvc push` upload the skeleton tables, and no pictures
c2vl share skeletons pictures     and the crops and the report with its gallery
c2vl share nothing                keep all of it here (the default of the profiles for real data)

What is let go may only go to a remote as closed as the data set, whose terms you know. Captions, features and encoders show
nobody and are pushed always. Where something stays behind, others fetch the rest with `dvc pull --allow-missing` and go on with
`dvc repro --allow-missing`; who has the data set makes the skeletons anew in minutes.
"""

from __future__ import annotations

import argparse

from c2vl.core.sharing import KINDS

HELP = "whether `dvc push` uploads pictures and skeletons of people"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help=f"exactly what is to be uploaded: {', '.join(KINDS)}, nothing",
    )


def run(arguments: argparse.Namespace) -> None:
    """Say or set.

    Raises:
        UserError: what is asked for is not known, or something and nothing at once.
    """
    from c2vl.core.errors import UserError
    from c2vl.core.sharing import protected_outputs, share

    if arguments.what:
        kinds = set(arguments.what) - {"nothing"}
        if unknown := kinds - set(KINDS):
            raise UserError(
                f"What can be shared is {', '.join(KINDS)}, or nothing; not '{sorted(unknown)[0]}'."
            )
        if kinds and "nothing" in arguments.what:
            raise UserError("Either `nothing` or what is to be uploaded, not both.")
        share(kinds)
    for one in protected_outputs():
        print(
            f"{one.path} ({one.kind}): {'`dvc push` uploads it' if one.pushed else 'stays here, `dvc push` leaves it out'}"
        )
