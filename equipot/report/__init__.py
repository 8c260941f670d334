"""The physics of a model on one page."""

from equipot.report.build import Report, make_report

__all__ = ["Report", "make_report"]
