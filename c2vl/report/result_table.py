"""A table of results, written as CSV (unrounded), Markdown and LaTeX; the page shows it as HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from c2vl.core.files import write_bytes


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        text: what people read.
        value: what programs read (CSV); None means the text.
        mark: `best`, `reached`, `missed` or empty; shown as a sign, never by colour alone.
        left: True for words (flush left), False for numbers.
        spread: standard deviation of the value for the CSV, or None.
    """

    text: str
    value: float | int | str | None = None
    mark: str = ""
    left: bool = False
    spread: float | None = None


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        cells: one cell a column.
        kind: `ours`, `baseline`, `paper` (the paper's numbers, not measured here), `head` (sums
            and differences), or `elsewhere` (numbers of other data or of others' papers).
        rule: draw a line above the row.
    """

    cells: tuple[Cell, ...]
    kind: str = "ours"
    rule: bool = False


@dataclass(frozen=True)
class Table:
    """One table; its first column names the row.

    Args:
        name: file name without suffix.
        title: what the table shows.
        columns: headings.
        rows: rows with one cell for each column.
        note: how to read it.
        number: number of the table in the paper, such as `Table I`.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""
    number: str = ""

    @property
    def heading(self) -> str:
        """The title, with the paper's number in front if there is one."""
        return f"{self.number}: {self.title}" if self.number else self.title

    def markdown(self) -> str:
        """The table in GitHub's Markdown, under its title."""
        lines = ["| " + " | ".join(map(_plain, self.columns)) + " |"]
        lines.append(
            "|" + "|".join(" --- " if left else " ---: " for left in self._of_words()) + "|"
        )
        for row in self.rows:
            texts = [
                f"**{_plain(cell.text)}**" if cell.mark == "best" else _plain(cell.text)
                for cell in _labelled(row)
            ]
            lines.append("| " + " | ".join(texts) + " |")
        note = f"\n{self.note}\n" if self.note else ""
        return f"### {self.heading}\n\n" + "\n".join(lines) + f"\n{note}"

    def csv(self) -> str:
        """The table as CSV with unrounded numbers.

        A column of means is followed by its `… std`; the last column `kind` is the row's kind.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        spread = [
            any(row.cells[place].spread is not None for row in self.rows)
            for place in range(len(self.columns))
        ]
        heads = zip(self.columns, spread, strict=True)
        writer.writerow(
            [name for head, also in heads for name in ([head, f"{head} std"] if also else [head])]
            + ["kind"]
        )
        for row in self.rows:
            values: list[float | int | str] = []
            for cell, also in zip(row.cells, spread, strict=True):
                values.append(cell.text if cell.value is None else cell.value)
                values += ["" if cell.spread is None else cell.spread] if also else []
            writer.writerow([*values, row.kind])
        return text.getvalue()

    def latex(self) -> str:
        """The table in LaTeX, escaped; it needs the packages booktabs and amssymb.

        The best values are bold, rows of the paper are in italics.
        """
        body: list[str] = []
        for row in self.rows:
            body += [r"\midrule"] if row.rule and body else []
            body.append(" & ".join(_styled(cell, row.kind) for cell in _labelled(row)) + r" \\")
        ending = "" if self.title.endswith("?") else "."
        title = self.title[:1].upper() + self.title[1:]  # LaTeX adds the table's number itself
        caption = escaped(f"{title}{ending} {self.note}".strip())
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{self.name}}}",
        ]
        lines += [
            rf"\begin{{tabular}}{{{''.join('l' if left else 'r' for left in self._of_words())}}}",
            r"\toprule",
        ]
        lines += [" & ".join(map(escaped, self.columns)) + r" \\", r"\midrule", *body]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])

    def _of_words(self) -> list[bool]:
        return [
            not self.rows or all(row.cells[place].left for row in self.rows)
            for place in range(len(self.columns))
        ]

    def write(self, folder: Path) -> None:
        """Publish `<name>.csv`, `.md` and `.tex` in `folder`."""
        for suffix, text in (("csv", self.csv()), ("md", self.markdown()), ("tex", self.latex())):
            write_bytes(folder / f"{self.name}.{suffix}", text.encode())


def words(text: str, mark: str = "") -> Cell:
    """A cell of words."""
    return Cell(text, None, mark, left=True)


def signed(cell: Cell) -> Cell:
    """The cell with a plus where its number is positive."""
    positive = isinstance(cell.value, float) and cell.value > 0
    return replace(cell, text=f"+{cell.text}") if positive else cell


def percent(
    share: float | None,
    mark: str = "",
    spread: float | None = None,
    ends: Sequence[float] | None = None,
) -> Cell:
    """A share in 0…1 as a percentage with one decimal; `–` for None.

    Its text has the `ends` of its interval, or else its deviation, `spread`.
    """
    if share is None:
        return Cell("–", "")
    text = f"{share * 100:.1f}"
    if ends is not None:
        text += f" [{ends[0] * 100:.1f}, {ends[1] * 100:.1f}]"
    elif spread is not None:
        text += f" ± {spread * 100:.1f}"
    return Cell(text, share, mark, spread=spread)


def best_of(rows: list[list[float | None]]) -> list[float | None]:
    """The largest value of each column, rounded as it is shown: to 0.1 %."""
    columns = list(zip(*rows, strict=True))
    return [
        max((round(value, 3) for value in column if value is not None), default=None)
        for column in columns
    ]


def escaped(text: str) -> str:
    """`text` for LaTeX: special characters and symbols as commands, line breaks as spaces."""
    return " ".join(text.split()).translate(_LATEX)


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "“": "``",
        "”": "''",
        "–": "--",
        "…": r"\ldots{}",
        "²": r"\textsuperscript{2}",
        "³": r"\textsuperscript{3}",
        "±": r"$\pm$",
        "−": "$-$",
        "×": r"$\times$",
        "→": r"$\to$",
        "≥": r"$\geq$",
        "✓": r"$\checkmark$",  # amssymb
        "α": r"$\alpha$",
        "β": r"$\beta$",
        "τ": r"$\tau$",
    }
)


def _labelled(row: Row) -> tuple[Cell, ...]:
    """The row's cells; Markdown and LaTeX have no tag, so a row of the paper says so in words."""
    if row.kind != "paper":
        return row.cells
    return (replace(row.cells[0], text=f"{row.cells[0].text} (paper)"), *row.cells[1:])


def _styled(cell: Cell, kind: str) -> str:
    text = escaped(cell.text)
    if cell.mark == "best" or kind == "head":
        return rf"\textbf{{{text}}}" if text else ""
    return rf"\textit{{{text}}}" if kind == "paper" and text else text


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
