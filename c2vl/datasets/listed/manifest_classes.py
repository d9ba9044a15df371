"""The classes of a manifest: from its column `class` or `label`, or both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.datasets.listed.manifest_table import ManifestTable

MOST_CLASSES = 10_000
MOST_DIGITS = 9  # Python refuses to read numbers of thousands of digits


@dataclass(frozen=True)
class Classes:
    """Class names by label; for each row its label, or None and why; sentences for the user."""

    names: list[str]
    labels: list[tuple[int | None, str]]
    notes: list[str]


def class_column(path: Path, table: ManifestTable, given: Sequence[str] | None) -> Classes:
    """Return the classes of a manifest.

    `class` holds names; labels follow the order of `given`, else of the alphabet. `label` holds
    numbers from 0, or names in place of `class`. With both, a label's name is the first that comes
    with it.

    Args:
        path: of the manifest, for messages.
        table: its rows.
        given: class names by label, from `data.class_names` or `classes.txt`.

    Raises:
        UserError: there is neither column, or no row has a class.
    """
    names = [" ".join(row.values.get("class", "").split()) for row in table.rows]
    numbers = [row.values.get("label", "") for row in table.rows]
    if any(numbers) and not all(number.isdecimal() for number in numbers if number):
        if any(names):
            raise UserError(
                f"{path}: `label` must hold numbers from 0 beside a column `class`; it has "
                f"{next(number for number in numbers if number and not number.isdecimal())[:40]!r}."
            )
        names, numbers = [" ".join(number.split()) for number in numbers], [""] * len(numbers)
    if not any(names) and not any(numbers):
        raise UserError(f"{path} has no class in any row; add a column `class` with their names.")
    return _by_number(names, numbers, given) if any(numbers) else _by_name(names, given)


def _by_name(names: list[str], given: Sequence[str] | None) -> Classes:
    known = list(given) if given is not None else sorted(set(names) - {""})
    label_of = {name: label for label, name in enumerate(known)}
    labels: list[tuple[int | None, str]] = []
    for name in names:
        if not name:
            labels.append((None, "it has no class"))
        elif name not in label_of:
            labels.append((None, f"class {name[:60]!r} is not among the given class names"))
        else:
            labels.append((label_of[name], ""))
    return Classes(known, labels, [])


def _by_number(names: list[str], numbers: list[str], given: Sequence[str] | None) -> Classes:
    named: dict[int, str] = dict(enumerate(given)) if given is not None else {}
    labels: list[tuple[int | None, str]] = []
    limit = len(given) if given is not None else MOST_CLASSES
    for name, number in zip(names, numbers, strict=True):
        label = int(number) if number and len(number) <= MOST_DIGITS else limit
        if not number:
            labels.append((None, "it has no label"))
        elif label >= limit:
            labels.append((None, f"label {number[:20]} is not from 0 to {limit - 1}"))
        elif name and named.setdefault(label, name) != name:
            labels.append((None, f"label {label} is {named[label]!r}, but its class is {name!r}"))
        else:
            labels.append((label, ""))
    count = max((label for label, _ in labels if label is not None), default=-1) + 1
    known = [named.get(label, f"class {label}") for label in range(max(count, len(given or ())))]
    notes = []
    if not named:
        notes.append("its classes have no names: list them in `data.class_names`")
    twice = [name for name, times in Counter(known).items() if times > 1]
    if twice:
        raise UserError(f"two labels have the class name {twice[0]!r}; give each its own.")
    return Classes(known, labels, notes)
