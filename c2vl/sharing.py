"""Whether `dvc push` uploads the outs that show people: crops, and the report with its gallery.

NTU RGB+D and PKU-MMD forbid their users to pass pictures on. The profiles for real data therefore keep them here, and only
`c2vl share pictures` (a line in dvc.yaml, seen in `git diff`) lets them go to a remote, which then has to be as closed as the
data set.
"""

from __future__ import annotations

import re
from pathlib import Path

from c2vl.errors import UserError
from c2vl.files import write_bytes

PIPELINE = Path("dvc.yaml")
LINE = re.compile(r"(?m)^(?P<head> *- (?P<out>\S+):\n *push: )(?P<push>true|false)(?=  # pictures)")


def pictures(pipeline: Path = PIPELINE) -> dict[str, bool]:
    """By out that shows people, whether `dvc push` uploads it.

    Raises:
        UserError: there is no dvc.yaml, or its lines were taken out.
    """
    found = {match["out"]: match["push"] == "true" for match in LINE.finditer(_text(pipeline))}
    if not found:
        raise UserError(f"{pipeline} has no line `push: …  # pictures` any more; `git checkout {pipeline}` brings it back.")
    return found


def share_pictures(allow: bool, pipeline: Path = PIPELINE) -> bool:
    """Let `dvc push` upload them or not; return whether anything changed.

    Raises:
        UserError: as `pictures`.
    """
    if set(pictures(pipeline).values()) == {allow}:
        return False
    word = "true" if allow else "false"
    write_bytes(pipeline, LINE.sub(lambda match: match["head"] + word, _text(pipeline)).encode())
    return True


def said_of_pictures(dataset: str, pipeline: Path = PIPELINE) -> str:
    """What to say where `dvc push` would upload pictures of real people, chosen or not; empty where it would not.

    `c2vl profile` switches the lines with the profile, an editor that changes `data.dataset` does not.

    Raises:
        UserError: as `pictures`.
    """
    pushed = [] if dataset == "studio" else [out for out, push in pictures(pipeline).items() if push]
    if not pushed:
        return ""
    return (
        f"`dvc push` would upload pictures of {dataset}'s people ({', '.join(pushed)}), which its terms allow to a remote as "
        "closed as the data set only; `c2vl share nothing` keeps them here"
    )


def _text(pipeline: Path) -> str:
    try:
        return pipeline.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{pipeline} cannot be read ({error.strerror}); run from the project's root.") from None
