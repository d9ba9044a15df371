"""The table that puts skeletons from videos beside the sensor's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from c2vl.core.layout_file import shipped_layout
from c2vl.report.method_tables import methods_table, video_table


def outputs(*methods: str) -> Any:
    """Metrics of one benchmark, in which each method is worse than the one before."""
    scores = {name: {"top1": 0.6 - at / 10} for at, name in enumerate(methods)}
    of = {"xsub": {"joint": scores}}
    metrics = {"linear": of, "knn": of, "samples": {"xsub": {"chance": 0.05}}}
    return SimpleNamespace(metrics=metrics, layout=shipped_layout("ntu25"), nearest="k = 1")


def test_a_row_a_protocol_and_a_column_a_source() -> None:
    table = video_table(outputs("c2vl", "video"), ["xsub"])
    assert table is not None and "25 joints, 3D" in table.note
    assert table.columns[1:] == ("from the sensor", "from the video")
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows == [["xsub linear", "60.0", "50.0"], ["xsub KNN", "60.0", "50.0"]]


def test_without_a_comparison_there_is_no_table_and_other_tables_do_not_show_it() -> None:
    assert video_table(outputs("c2vl", "infonce"), ["xsub"]) is None
    shown = methods_table(outputs("c2vl", "video"), ["xsub"])
    assert not any("video" in cell.text for row in shown.rows for cell in row.cells)
