"""The look of the figures: colour-blind safe colours, and one drawing for page and PNG."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from c2vl.core.files import published

# Okabe & Ito's palette (https://jfly.uni-koeln.de/color/), ordered so that neighbours differ most.
OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7a7a7a", "#b8a900")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")

# Colour on white → name of its CSS variable. Figures are drawn in exactly these colours. In the
# page each colour becomes its variable, so that figures follow the light or dark scheme.
INK, MUTED, RULE, PAPER = "#1c1c1a", "#6a6963", "#d9d7d0", "#fefefe"
C2VL, INFONCE, RANDOM, SUPERVISED, WORDS = "#0072b3", "#d98200", "#8a8983", "#00906a", "#b4608f"
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    C2VL: "c2vl",
    INFONCE: "infonce",
    RANDOM: "random",
    SUPERVISED: "supervised",
    WORDS: "words",
    **{colour: f"class-{number}" for number, colour in enumerate(OKABE_ITO)},
}
METHOD_COLOURS = {"c2vl": C2VL, "infonce": INFONCE, "random": RANDOM, "supervised": SUPERVISED}
METHOD_MARKERS = {"c2vl": "o", "infonce": "D", "random": "s", "supervised": "^"}
METHOD_NAMES = {
    "c2vl": "C²VL",
    "infonce": "InfoNCE",
    "random": "untrained",
    "supervised": "supervised",
    "video": "C²VL, skeletons from videos",
}
STREAM_STYLES = {"joint": "-", "bone": "--", "motion": ":"}

_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it takes the page's font, and can be searched
    "svg.hashsalt": "c2vl",
    "text.parse_math": False,  # a class name may hold a $
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 8.5,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "figure.dpi": 100,
}


@dataclass(frozen=True)
class Plot:
    """One figure.

    Args:
        name: file name without suffix, `plots/<name>.png`.
        title: what it shows.
        caption: how to read it, one or two sentences.
        svg: the drawing for the page, without the XML prologue.
        png: the drawing on white.
    """

    name: str
    title: str
    caption: str
    svg: str
    png: bytes

    def write(self, folder: Path) -> None:
        """Publish the PNG in `folder`."""
        with published(folder / f"{self.name}.png") as path:
            path.write_bytes(self.png)


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with the report's settings, whatever the user's matplotlibrc says."""
    settings: Any = dict(matplotlib.rcParamsDefault) | _SETTINGS | {"backend": "agg"}
    with matplotlib.rc_context(settings):
        yield


def finish(figure: Figure, name: str, title: str, caption: str) -> Plot:
    """Render `figure` as SVG and PNG; call it inside `drawing()`."""
    vector, raster = io.StringIO(), io.BytesIO()
    figure.draw_without_rendering()  # compute the layout once, for both formats
    figure.set_layout_engine("none")
    # No date: equal figures give equal bytes.
    figure.savefig(vector, format="svg", transparent=True, metadata={"Date": None})
    figure.savefig(raster, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    return Plot(name, title, caption, _for_page(vector.getvalue(), name, title), raster.getvalue())


def _for_page(svg: str, name: str, title: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'(?<=<g) id="[^"]*"', "", svg)
    # Definitions (clip paths, markers) keep their ids; the plot's name makes them unique.
    svg = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    for colour, variable in VARIABLES.items():
        svg = re.sub(re.escape(colour), f"var(--{variable})", svg, flags=re.IGNORECASE)
    svg = re.sub(r"font: ((?:\w+ )*)([\d.]+)px [^;\"]*", r"font: \1\2px var(--sans)", svg)
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()  # type: ignore[union-attr]
    natural = f"{float(width) * 4 / 3:.0f}"  # points to pixels
    shape = f'viewBox="0 0 {width} {height}" style="--natural:{natural}px"'
    opening = f'<svg class="plot" role="img" aria-label="{html.escape(title)}" {shape}>'
    return re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1)
