"""The report: figures, tables and one self-contained HTML page that opens offline."""

from c2vl.report.params import ReportParams

__all__ = ["ReportParams"]
