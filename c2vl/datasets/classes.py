"""Class names, position = label."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.datasets import pku
from c2vl.datasets.benchmarks import NTU60_ACTIONS
from c2vl.datasets.preprocessed import is_preprocessed

PUBLISHED = {
    "nwucla": "nw_ucla_classes.txt",
    "utdmhad": "utd_mhad_classes.txt",
    **dict.fromkeys(pku.DATASETS, "pku_classes.txt"),
}
CLASSES_FILE = (
    "classes.txt"  # a data set may bring its own names: one a line, in the order of its actions
)


def published_class_names(dataset: str, raw: Path, given: Sequence[str] | None = None) -> list[str]:
    """Return the `given` names, else those of `raw/classes.txt`, else the published ones.

    Where `raw` is one preprocessed file, no `classes.txt` is read: DVC knows of that file alone.
    Stages after `index` read the list that it wrote, see `c2vl.core.tables.class_list`.

    Raises:
        UserError: the file is not text, has an empty or repeated name, or is missing where
            `dataset` has no published names.
    """
    if given is not None:
        return list(given)
    own = raw / CLASSES_FILE
    if own.is_file():
        return _read(own)
    if dataset == "studio" and is_preprocessed(raw):
        raise UserError(f"{raw} does not name its classes; list them in `data.class_names`.")
    if dataset == "studio":
        raise UserError(
            f"{own} is missing; it names the actions, one a line. "
            "Remake the world with `dvc repro -f simulate`."
        )
    if dataset in PUBLISHED:
        file = resources.files(__package__).joinpath(PUBLISHED[dataset])
        return file.read_text(encoding="utf-8").splitlines()
    table = resources.files(__package__).joinpath("ntu120_classes.tsv").read_text(encoding="utf-8")
    names = [line.split("\t", 1)[1].strip() for line in table.splitlines()]
    return names[:NTU60_ACTIONS] if dataset == "ntu60" else names


def _read(path: Path) -> list[str]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").strip().splitlines()]
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; write one class name a line.") from None
    if not names or "" in names or len(set(names)) < len(names):
        raise UserError(f"{path} must hold one class name a line, none empty and none twice.")
    return names
