"""Whether `dvc push` uploads the outs that are the data set's own: its people's pictures and their skeletons.

NTU RGB+D and PKU-MMD forbid their users to pass data on. Crops and the report with its gallery are pictures, the skeleton
tables are the data set's recordings in another format. The profiles for real data therefore keep both here, and only
`c2vl share` (lines in dvc.yaml, seen in `git diff`) lets them go to a remote, which then has to be as closed as the data set.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.core.files import write_bytes

PIPELINE = Path("dvc.yaml")
KINDS = ("pictures", "skeletons")
LINE = re.compile(
    r"(?m)^(?P<head> *- (?P<out>\S+):\n *push: )(?P<push>true|false)(?=  # (?P<kind>"
    + "|".join(KINDS)
    + r")\b)"
)


@dataclass(frozen=True)
class Kept:
    """An out that is the data set's own: of which kind, and whether `dvc push` uploads it."""

    out: str
    kind: str
    pushed: bool


def kept(pipeline: Path = PIPELINE) -> list[Kept]:
    """The outs that are the data set's own.

    Raises:
        UserError: there is no dvc.yaml, or its lines were taken out.
    """
    found = [
        Kept(match["out"], match["kind"], match["push"] == "true")
        for match in LINE.finditer(_text(pipeline))
    ]
    for kind in KINDS:
        if kind not in {one.kind for one in found}:
            raise UserError(
                f"{pipeline} has no line `push: …  # {kind}` any more; `git checkout {pipeline}` brings it back."
            )
    return found


def share(kinds: Collection[str], pipeline: Path = PIPELINE) -> bool:
    """Let `dvc push` upload the outs of `kinds` and no others; return whether anything changed.

    Raises:
        UserError: as `kept`.
    """
    if all(one.pushed == (one.kind in kinds) for one in kept(pipeline)):
        return False
    text = LINE.sub(
        lambda match: match["head"] + ("true" if match["kind"] in kinds else "false"),
        _text(pipeline),
    )
    write_bytes(pipeline, text.encode())
    return True


def said_of_sharing(dataset: str, pipeline: Path = PIPELINE) -> str:
    """What to say where `dvc push` would upload what is a real data set's own, chosen or not; empty where it would not.

    `c2vl profile` switches the lines with the profile, an editor that changes `data.dataset` does not.

    Raises:
        UserError: as `kept`.
    """
    pushed = [] if dataset == "studio" else [one for one in kept(pipeline) if one.pushed]
    if not pushed:
        return ""
    what = " and ".join(kind for kind in KINDS if kind in {one.kind for one in pushed})
    return (
        f"`dvc push` would upload {what} of {dataset}'s people ({', '.join(one.out for one in pushed)}), which its terms "
        "allow to a remote as closed as the data set only; `c2vl share nothing` keeps them here"
    )


def _text(pipeline: Path) -> str:
    try:
        return pipeline.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{pipeline} cannot be read ({error.strerror}); run from the project's root."
        ) from None
