"""A table as the report means it: written as CSV (raw values), Markdown and HTML (as people read them)."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from c2vl.files import write_bytes


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        text: as people read it.
        value: as programs read it; None: as the text.
        mark: `best`, `reached`, `missed`, or nothing: shown as a sign, never by colour alone.
        left: whether it is words (flush left) and not a number.
    """

    text: str
    value: float | int | str | None = None
    mark: str = ""
    left: bool = False


@dataclass(frozen=True)
class Row:
    """One row; `kind` is `ours`, `baseline`, `paper` (numbers of the paper, not of this run) or `head` (a line of its own)."""

    cells: tuple[Cell, ...]
    kind: str = "ours"


@dataclass(frozen=True)
class Table:
    """One table; the first column names the row.

    Args:
        name: file name without suffix.
        title: what it shows.
        columns: headings.
        rows: rows of as many cells.
        note: how to read it.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""

    def markdown(self) -> str:
        """The table in GitHub's Markdown, under its title."""
        lines = ["| " + " | ".join(map(_plain, self.columns)) + " |"]
        lines.append("|" + "|".join(" --- " if place == 0 else " ---: " for place in range(len(self.columns))) + "|")
        for row in self.rows:
            texts = [f"**{_plain(cell.text)}**" if cell.mark == "best" else _plain(cell.text) for cell in row.cells]
            lines.append("| " + " | ".join(texts) + " |")
        note = f"\n{self.note}\n" if self.note else ""
        return f"### {self.title}\n\n" + "\n".join(lines) + f"\n{note}"

    def csv(self) -> str:
        """The table as CSV, numbers unrounded; `kind` says whose a row is."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*self.columns, "kind"])
        for row in self.rows:
            writer.writerow([*(cell.text if cell.value is None else cell.value for cell in row.cells), row.kind])
        return text.getvalue()

    def write(self, folder: Path) -> None:
        """Publish `<name>.csv` and `<name>.md` in `folder`."""
        write_bytes(folder / f"{self.name}.csv", self.csv().encode())
        write_bytes(folder / f"{self.name}.md", self.markdown().encode())


def words(text: str, mark: str = "") -> Cell:
    """A cell of words."""
    return Cell(text, None, mark, left=True)


def percent(share: float | None, mark: str = "", spread: float | None = None) -> Cell:
    """A share in 0…1 as a percentage with one decimal, `–` for None; with its standard deviation if there is one."""
    if share is None:
        return Cell("–", "")
    text = f"{share * 100:.1f}" + (f" ± {spread * 100:.1f}" if spread is not None else "")
    return Cell(text, share, mark)


def best_of(rows: list[list[float | None]]) -> list[float | None]:
    """The largest value of each column, as shown: to one decimal of a percent."""
    columns = list(zip(*rows, strict=True))
    return [max((round(value, 3) for value in column if value is not None), default=None) for column in columns]


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
