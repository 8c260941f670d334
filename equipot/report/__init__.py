"""The report: one HTML page with the physics of a model."""

from equipot.report.build import Report, make_report

__all__ = ["Report", "make_report"]
