"""Time of each stage on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from c2vl.report.style import C2VL, Plot, drawing, finish


def timings(records: Sequence[Mapping[str, Any]]) -> Plot | None:
    """Plot the seconds of each stage's last run, in the order they ran."""
    if not records:
        return None
    with drawing():
        figure = Figure(figsize=(7.2, 0.6 + 0.27 * len(records)), layout="constrained")
        axis = figure.subplots()
        names = [str(record["stage"]) for record in records]
        seconds = [float(record["seconds"]) for record in records]
        bars = axis.barh(range(len(names)), seconds, color=C2VL, height=0.62)
        axis.bar_label(bars, [clock(value) for value in seconds], padding=4, fontsize=8)
        axis.set_yticks(range(len(names)), names)
        axis.invert_yaxis()
        axis.set_xlabel("seconds")
        axis.grid(False, axis="y")
        axis.margins(x=0.12)
        return finish(
            figure, "timings", "Time of each stage", "The last run of each stage on this machine."
        )


def clock(seconds: float) -> str:
    """A duration for people: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
