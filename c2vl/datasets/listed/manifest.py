"""A manifest: one row a sample, with its files, class and splits. docs/datasets.md describes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.core.unicode_text import printable, whole_characters
from c2vl.datasets.classes import CLASSES_FILE, published_class_names
from c2vl.datasets.data_params import DataParams, is_benchmark_name
from c2vl.datasets.listed.listing import ListedSample, Listing
from c2vl.datasets.listed.manifest_classes import MOST_DIGITS, class_column
from c2vl.datasets.listed.manifest_table import ManifestRow, ManifestTable, read_manifest
from c2vl.datasets.raw_files import leads_out
from c2vl.datasets.sample_ids import sample_id

FILES = ("manifest.csv", "manifest.tsv", "manifest.parquet")
SUBJECT = ("subject", "person", "performer", "group")
NUMBERS = ("camera", "setup", "repetition")
SIZE = ("width", "height")  # of the images that 2D joints belong to
KNOWN = {"sample", "skeleton", "video", "label", "class", *SUBJECT, *NUMBERS, *SIZE}
SPLITS = {
    **dict.fromkeys(["train", "training"], "train"),
    **dict.fromkeys(["test", "testing", "eval"], "test"),
    **dict.fromkeys(["val", "valid", "validation", "dev"], "val"),
    **dict.fromkeys(["", "-", "none", "null", "nan"], ""),
}
MOST_NUMBER = 2**15 - 1
LARGEST_SIDE = 1 << 20  # pixels


def manifest_file(params: DataParams) -> Path:
    """The manifest: `data.manifest`, else the one of `FILES` in the raw folder.

    Raises:
        UserError: there is none, or it lies outside the raw folder.
    """
    if not params.raw.is_dir():
        raise UserError(
            f"the folder {params.raw} (`data.raw`) is missing; put your clips there, then run "
            f"`c2vl init {params.raw}`."
        )
    if params.manifest is not None:
        if params.raw.resolve() not in params.manifest.resolve().parents:
            raise UserError(
                f"{params.manifest} (`data.manifest`) does not lie in {params.raw} (`data.raw`); "
                "set `data.raw` to the manifest's folder."
            )
        return params.manifest
    for name in FILES:
        if (params.raw / name).exists():
            return params.raw / name
    raise UserError(
        f"{params.raw} (`data.raw`) holds no {FILES[0]} or {FILES[2]}; make one with "
        f"`c2vl init {params.raw}`, or name yours in `data.manifest`."
    )


def list_manifest(params: DataParams) -> Listing:
    """List the samples of a manifest. A row that cannot be used is a sample with a problem.

    Raises:
        UserError: the file is missing or no table, names no files, or lacks a benchmark of
            `data.benchmarks` or the classes.
    """
    path = manifest_file(params)
    table = read_manifest(path)
    if "skeleton" not in table.columns and "video" not in table.columns:
        raise UserError(f"{path} has no column `skeleton` or `video`; it has {_listed(table)}.")
    splits, ignored = _split_columns(table, params.benchmarks)
    lacking = [name for name in params.benchmarks if name not in splits]
    if lacking:
        raise UserError(
            f"{path} has no column `{lacking[0]}`, which `data.benchmarks` names; its splits are "
            f"{', '.join(splits) or 'none'}: add a column that holds train, test or nothing."
        )
    given = None
    if params.class_names is not None or (params.raw / CLASSES_FILE).is_file():
        given = published_class_names(params.dataset, params.raw, params.class_names)
    classes = class_column(path, table, given)
    reader = _Rows(path.parent.resolve().relative_to(params.raw.resolve()), splits, table)
    samples: dict[str, ListedSample] = {}
    for row, (label, problem) in zip(table.rows, classes.labels, strict=True):
        sample = reader.sample(row, label, problem)
        first = samples.setdefault(sample.sample, sample)
        if first is not sample:
            again = f"{sample.sample}-{row.line}"
            why = f"line {row.line} names {sample.sample} again; remove one of the two"
            samples[again] = replace(
                sample, sample=again, splits={}, kind="twice in the manifest", problem=why
            )
    others = [name for name in FILES if name != path.name and (path.parent / name).exists()]
    notes = [*classes.notes, *splits_notes(splits)]
    if others:
        notes.append(f"{path.name} is read, not {' and '.join(others)} beside it")
    if ignored:
        notes.append(
            f"columns of {path.name} that are not used: {', '.join(map(printable, ignored))}"
        )
    ordered = sorted(samples.values(), key=lambda sample: sample.sample)
    return Listing(ordered, classes.names, tuple(splits), notes=notes)


@dataclass(frozen=True)
class SplitColumn:
    """A split column: its values as train, val, test or empty; None: something else."""

    values: tuple[str | None, ...]

    @property
    def tests_on_val(self) -> bool:
        """Whether `val` is the test split, because there is no other."""
        return "test" not in self.values


def splits_notes(splits: dict[str, SplitColumn]) -> list[str]:
    """What became of validation clips."""
    notes = []
    for name, column in splits.items():
        if count := column.values.count("val"):
            what = "are its test clips" if column.tests_on_val else "are left out of it"
            notes.append(f"{name}: the {count:,} validation clips {what}")
    return notes


def _split_columns(
    table: ManifestTable, wanted: Sequence[str]
) -> tuple[dict[str, SplitColumn], list[str]]:
    """Split columns by name, and the columns that nothing reads."""
    splits, ignored = {}, []
    for name in table.columns:
        if name in KNOWN:
            continue
        values = tuple(SPLITS.get(row.values.get(name, "").lower()) for row in table.rows)
        is_split = None not in values and any(values)
        if is_benchmark_name(name) and (name in wanted or is_split):
            splits[name] = SplitColumn(values)
        else:
            ignored.append(name)
    return splits, ignored


class _Rows:
    """Makes samples of rows."""

    def __init__(self, folder: Path, splits: dict[str, SplitColumn], table: ManifestTable) -> None:
        self._folder, self._splits = folder, splits
        self._place = {id(row): at for at, row in enumerate(table.rows)}
        self._subject = next((name for name in SUBJECT if name in table.columns), None)
        named = {row.values.get(self._subject or "", "") for row in table.rows} - {""}
        numbers = {name: _whole(name) for name in named}
        whole = all(numbers.values())
        self._subjects = {
            name: numbers[name] if whole else number
            for number, name in enumerate(sorted(named), start=1)
        }

    def sample(self, row: ManifestRow, label: int | None, no_class: str) -> ListedSample:
        kind, problem = ("malformed row", row.problem) if row.problem else ("", "")
        places: dict[str, tuple[str, ...]] = {"skeleton": (), "video": ()}
        for what in places:
            if not (value := row.values.get(what, "")):
                continue
            place = (self._folder / value.replace("\\", "/")).as_posix()
            if leads_out(value.replace("\\", "/")) or whole_characters(value) != value:
                kind = kind or "bad path"
                problem = problem or (
                    f"{what} {value[:80]!r} leads out of the manifest's folder; paths are relative "
                    "to it"
                )
            else:
                places[what] = (place,)
        if not kind and no_class:
            kind, problem = "no class", no_class
        splits = {}
        for name, column in self._splits.items():
            side = column.values[self._place[id(row)]]
            if side is None and not kind:
                kind = "bad split"
                problem = f"`{name}` is {row.values[name][:40]!r}, not train, test, val or empty"
            splits[name] = ("test" if column.tests_on_val else "") if side == "val" else side or ""
        width, height = (_whole(row.values.get(side, ""), LARGEST_SIDE) for side in SIZE)
        name = row.values.get("sample", "") or _stem(row)
        where = f" (line {row.line})" if problem else ""
        return ListedSample(
            sample_id(name) if name else f"line-{row.line}",
            label,
            places["skeleton"],
            places["video"],
            splits,
            subject=self._subjects.get(row.values.get(self._subject or "", "")),
            size=(width, height) if width and height else None,
            kind=kind,
            problem=problem + where,
            setup=_whole(row.values.get("setup", "")),
            camera=_whole(row.values.get("camera", "")),
            repetition=_whole(row.values.get("repetition", "")),
        )


def _stem(row: ManifestRow) -> str:
    """The path of the skeleton or video without suffix: the name of a sample that has none."""
    file = (row.values.get("skeleton") or row.values.get("video") or "").replace("\\", "/")
    folder, _, base = file.rstrip("/").rpartition("/")
    stem = base.rpartition(".")[0] or base
    return f"{folder}_{stem}".replace("/", "_").strip("_") if folder else stem


def _whole(text: str, most: int = MOST_NUMBER) -> int | None:
    short = text.isdecimal() and len(text) <= MOST_DIGITS
    return int(text) if short and int(text) <= most else None


def _listed(table: ManifestTable) -> str:
    shown = ", ".join(printable(name[:40]) for name in table.columns[:8])
    return shown or "no columns"
