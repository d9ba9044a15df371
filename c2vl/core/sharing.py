"""Controls whether `dvc push` uploads pictures and skeletons of a data set's people.

NTU RGB+D and PKU-MMD forbid passing their data on. Crops and the report are pictures; the skeleton
tables are the data set's recordings in another format. The profiles for real data therefore keep
both on this machine. `c2vl share` allows the upload by changing lines of dvc.yaml, which
`git diff` shows. The remote must then be as closed as the data set.
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
class ProtectedOutput:
    """An output with the data set's own recordings.

    Args:
        path: path of the output.
        kind: `pictures` or `skeletons`.
        pushed: whether `dvc push` uploads it.
    """

    path: str
    kind: str
    pushed: bool


def protected_outputs(pipeline: Path = PIPELINE) -> list[ProtectedOutput]:
    """The outputs in dvc.yaml that hold the data set's own recordings.

    Raises:
        UserError: dvc.yaml is missing, or has no line `push: …  # <kind>` for one of the kinds.
    """
    found = [
        ProtectedOutput(match["out"], match["kind"], match["push"] == "true")
        for match in LINE.finditer(_text(pipeline))
    ]
    for kind in KINDS:
        if kind not in {one.kind for one in found}:
            raise UserError(
                f"{pipeline} has no line `push: …  # {kind}`; restore it with "
                f"`git checkout {pipeline}`."
            )
    return found


def share(kinds: Collection[str], pipeline: Path = PIPELINE) -> bool:
    """Let `dvc push` upload the outputs of `kinds` and no others; return True if dvc.yaml changed.

    Raises:
        UserError: as `protected_outputs`.
    """
    if all(one.pushed == (one.kind in kinds) for one in protected_outputs(pipeline)):
        return False
    text = LINE.sub(
        lambda match: match["head"] + ("true" if match["kind"] in kinds else "false"),
        _text(pipeline),
    )
    write_bytes(pipeline, text.encode())
    return True


def push_warning(dataset: str, pipeline: Path = PIPELINE) -> str:
    """A warning if `dvc push` would upload recordings of a real data set; otherwise empty.

    `c2vl profile` switches the lines of dvc.yaml. Editing `data.dataset` by hand does not, so
    `c2vl doctor` and the crop stage show this warning.

    Raises:
        UserError: as `protected_outputs`.
    """
    if dataset == "studio":
        return ""
    pushed = [one for one in protected_outputs(pipeline) if one.pushed]
    if not pushed:
        return ""
    what = " and ".join(kind for kind in KINDS if kind in {one.kind for one in pushed})
    return (
        f"`dvc push` would upload {what} of {dataset}'s people "
        f"({', '.join(one.path for one in pushed)}), which its terms "
        "allow only to a remote as closed as the data set; `c2vl share nothing` keeps them here"
    )


def _text(pipeline: Path) -> str:
    try:
        return pipeline.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{pipeline} cannot be read ({error.strerror}); run from the project's root."
        ) from None
