"""Tables for the terminal and as Markdown, from rows that map headings to cells."""

from collections.abc import Collection, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

Cells = Mapping[str, str]


def rich_table(
    title: str,
    rows: Sequence[Cells],
    left: Collection[str] = (),
    bold: Collection[int] = (),
    caption: str = "",
) -> Table:
    """Return a table with the headings of its first row; left: columns of words; bold: indices of rows."""
    table = Table(title=title, title_justify="left", caption=caption or None, caption_justify="left")
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading in left else "right")
    for k, row in enumerate(rows):
        table.add_row(*map(escape, row.values()), style="bold" if k in bold else "")
    return table


def markdown_table(rows: Sequence[Cells]) -> str:
    """Return the same in Markdown."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join([*lines, *("| " + " | ".join(row.values()) + " |" for row in rows)])


def significant(value: float | None) -> str:
    """Format with three digits, or as a whole number from 100 on; a dash stands for None."""
    return "–" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
