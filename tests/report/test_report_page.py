"""The page's tables: what stands beside what."""

from equipot.report.page import reasons, summary
from equipot.report.section import Figure, Section


def section(*figures: Figure) -> Section:
    return Section("Crystal", figures=list(figures))


def test_the_difference_is_the_models_excess_over_the_labels():
    grid = summary([section(Figure("a", 5.1, "Å", 5.0, ".2f"), Figure("b", 98.0, "GPa", 100.0, ".0f"))])
    assert list(grid.columns) == ["quantity", "model", "DFT labels", "difference", "unit"]
    assert [list(row) for row in grid.rows] == [
        ["a", "5.10", "5.00", "+2.00 %", "Å"],
        ["b", "98", "100", "-2.00 %", "GPa"],
    ]


def test_without_labels_there_is_no_column_for_them_and_zero_has_no_sign():
    grid = summary(
        [section(Figure("lowest", -1e-5, "THz", form=".3f"), Figure("drift", -0.02, "µeV", form="+.2g"))]
    )
    assert list(grid.columns) == ["quantity", "model", "unit"]
    assert [list(row) for row in grid.rows] == [["lowest", "0.000", "THz"], ["drift", "-0.02", "µeV"]]


def test_labels_of_zero_have_no_relative_difference():
    assert summary([section(Figure("p", 0.1, "GPa", 0.0, ".1f"))]).rows[0][3] == ""


def test_a_reason_is_given_once_with_all_that_it_prevents():
    missing = [Section("A", missing="no crystal"), section(), Section("B", missing="no crystal")]
    assert reasons([*missing, Section("C", missing="no data")]) == [("A, B", "no crystal"), ("C", "no data")]
