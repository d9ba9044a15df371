"""Read a manifest's rows, as text, from CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from c2vl.core.errors import UserError

DELIMITERS = ",;\t"
ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class ManifestRow:
    """One row: its line in the file (or its number), its values, and what is wrong with it."""

    line: int
    values: dict[str, str]
    problem: str = ""


@dataclass(frozen=True)
class ManifestTable:
    """The columns of a manifest, in lower case, and its rows."""

    columns: tuple[str, ...]
    rows: list[ManifestRow]


def read_manifest(path: Path) -> ManifestTable:
    """Read a `.csv`, `.tsv` or `.parquet` file.

    A CSV may be separated by commas, semicolons or tabs, and begin with a byte order mark. Empty
    lines are skipped.

    Raises:
        UserError: the file is missing or no table, or names a column twice.
    """
    try:
        table = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    except FileNotFoundError:
        raise UserError(
            f"{path} (`data.manifest`) is missing; write it, or make one with `c2vl init`."
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.") from None
    except (csv.Error, pa.ArrowException) as error:
        raise UserError(f"{path} is no readable table ({' '.join(str(error).split())}).") from None
    twice = [name for name, count in Counter(table.columns).items() if count > 1]
    if twice:
        raise UserError(f"{path} has two columns called '{twice[0]}'; remove one.")
    if not table.rows:
        raise UserError(f"{path} has no rows; it needs one a sample.")
    return table


def _csv(path: Path) -> ManifestTable:
    data = path.read_bytes()
    text = data.decode(ENCODINGS.get(data[:2], "utf-8-sig"))
    head = text.lstrip("\r\n").split("\n", 1)[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=head.count), strict=True
    )
    columns: tuple[str, ...] | None = None
    rows = []
    for fields in reader:
        if not any(field.strip() for field in fields):
            continue
        if columns is None:
            columns = tuple(field.strip().lower() for field in fields)
            continue
        values = dict(zip(columns, (field.strip() for field in fields), strict=False))
        problem = ""
        if len(fields) != len(columns):
            problem = f"it has {len(fields)} fields, the header has {len(columns)}"
        rows.append(ManifestRow(reader.line_num, values, problem))
    return ManifestTable(columns or (), rows)


def _parquet(path: Path) -> ManifestTable:
    table = pq.read_table(path)
    columns = tuple(name.strip().lower() for name in table.column_names)
    rows = [
        ManifestRow(number, dict(zip(columns, map(_text, values), strict=True)))
        for number, values in enumerate(
            zip(*(column.to_pylist() for column in table.columns), strict=True), start=1
        )
    ]
    return ManifestTable(columns, rows)


def _text(value: object) -> str:
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
