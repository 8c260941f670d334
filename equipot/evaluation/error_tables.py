"""Tables of errors for the terminal, in meV."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from equipot.evaluation.errors import ErrorReport, Errors
from equipot.quantities import ENERGY, FORCES, LABELS, Quantity
from equipot.structures.frame import Frame


def error_tables(report: ErrorReport, frames: Sequence[Frame]) -> list[Table]:
    """Return a table of the errors by group, and a second one of force errors by element if there are several."""
    table = Table(
        title="Errors: MAE / RMSE, and the mean of the energy errors with its sign", title_justify="left"
    )
    table.pad_edge = False  # with three labels, the table then fits into 80 columns
    table.add_column("config_type")
    table.add_column("frames", justify="right")
    for heading in headings():
        table.add_column(heading.replace(" (", "\n("), justify="right")
    sizes = Counter(frame.config_type for frame in frames)
    if len(report.groups) > 1:
        for group, errors in report.groups.items():
            table.add_row(escape(group), str(sizes[group]), *cells(errors))
        table.add_section()
    table.add_row("all", str(len(frames)), *cells(report.errors), style="bold")
    tables = [table]
    if len(report.forces_by_species) > 1:
        by_element = Table(title="Errors of the forces by element: MAE / RMSE", title_justify="left")
        by_element.add_column("element")
        by_element.add_column("atoms", justify="right")
        by_element.add_column(FORCES.column, justify="right")
        for name, species_errors in report.forces_by_species.items():
            by_element.add_row(name, str(species_errors.count // 3), in_meV(species_errors))
        tables.append(by_element)
    return tables


def headings() -> list[str]:
    """Return the headings of the columns of `cells`."""
    return [heading for q in LABELS for heading in ([q.column, "mean"] if q is ENERGY else [q.column])]


def cells(errors: Mapping[str, Errors | None]) -> list[str]:
    """Return the errors of all labels for a row of a table. That of the energy is followed by its mean."""

    def of(quantity: Quantity) -> list[str]:
        value = errors[quantity.name]
        mean = "–" if value is None else _signed(1000 * value.mean)
        return [in_meV(value), mean] if quantity is ENERGY else [in_meV(value)]

    return [cell for q in LABELS for cell in of(q)]


def in_meV(errors: Errors | None) -> str:
    """Return "MAE / RMSE" in thousandths of the unit, or a dash without labels."""
    if errors is None:
        return "–"
    return f"{_short(1000 * errors.mae)} / {_short(1000 * errors.rmse)}"


def _signed(value: float) -> str:
    return f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.2g}"


def _short(value: float) -> str:
    """Return a value with three digits, without an exponent unless it is very small."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 1e-3 or value == 0 else f"{value:.1e}"
