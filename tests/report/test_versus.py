"""The headline chart: side by side on a wide screen, stacked on a telephone (390 pixels)."""

from __future__ import annotations

import re
from pathlib import Path

from c2vl.report.figures.versus import versus

LINES = {
    name: [
        ("words alone, no skeleton", 0.4, "#b4608f"),
        ("supervised, every label", 1.0, "#00906a"),
    ]
    for name in ("xsub", "xview")
}
TITLES = {"xsub": "xsub: tested on other people", "xview": "xview: tested on another camera"}
COLUMN = 390 - 2 * 16  # pixels of the page's text at a width of 390
STYLE = Path(__file__).resolve().parents[2] / "c2vl/report/data/style.css"


def test_the_stacked_chart_fits_a_telephone_with_all_it_has() -> None:
    wide, stacked = (versus(LINES, {"xsub": 0.05}, TITLES, way) for way in (False, True))
    assert wide is not None and stacked is not None
    natural = [int(re.search(r"--natural:(\d+)px", p.svg).group(1)) for p in (wide, stacked)]  # type: ignore[union-attr]
    assert natural[0] > COLUMN >= natural[1]  # neither scrolled nor shrunk
    for text in ("xsub:", "xview:", "tested on another camera", "100 %", "100.0"):
        assert text in stacked.svg
    assert stacked.svg.count("supervised, every label") == 2  # each panel has its names
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', stacked.svg).group(1))  # type: ignore[union-attr]
    assert width * 4 / 3 <= COLUMN
    assert {wide.name, stacked.name} == {"versus", "versus-stacked"}


def test_the_page_shows_one_of_the_two() -> None:
    style = STYLE.read_text()
    assert ".hero.narrow { display: none; }" in style
    (narrow,) = [
        line for line in style.splitlines() if line.startswith("@media (max-width: 640px)")
    ]
    assert ".hero.wide { display: none; }" in narrow
    assert ".hero.narrow svg.plot { min-width: 0; }" in narrow
    assert style.index(".hero.narrow { display: none; }") < style.index(narrow)
