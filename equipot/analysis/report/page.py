"""One self-contained HTML page: pictures inside, no scripts, nothing from elsewhere."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

from equipot.analysis.report.section import Figure, Grid, Section

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2.2em; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 0.8em 0; font-size: 0.92em; }
caption { text-align: left; font-weight: 600; padding: 0.3em 0; }
th, td { padding: 0.2em 0.9em 0.2em 0; text-align: right; border-bottom: 1px solid #eee; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; margin: 0.6em 0; } nav a { margin-right: 1em; }
.missing { color: #a40; } .small { color: #777; font-size: 0.85em; }
"""


def page(title: str, facts: Grid, sections: Sequence[Section], footer: str) -> str:
    """The whole page."""
    body = [f"<h1>{escape(title)}</h1>", _table(facts)]
    links = (f'<a href="#s{k}">{escape(section.title)}</a>' for k, section in enumerate(sections))
    body += [f"<nav>{' '.join(links)}</nav>", "<h2>Summary</h2>", _table(summary(sections))]
    for k, section in enumerate(sections):
        body += _section(k, section)
    body.append(f'<p class="small">{escape(footer)}</p>')
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def summary(sections: Iterable[Section]) -> Grid:
    """All figures, beside DFT where there are any."""
    found = [figure for section in sections for figure in section.figures]
    return Grid(("quantity", "model", "DFT labels", "difference", "unit"), [_row(figure) for figure in found])


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    dft, difference = "", ""
    if figure.dft is not None:
        dft = format(figure.dft, figure.form)
        percent = round(100 * (figure.value / figure.dft - 1), 2) + 0.0 if figure.dft else None  # never -0.00
        difference = "" if percent is None else f"{percent:+.2f} %"
    return figure.name, format(figure.value, figure.form), dft, difference, figure.unit


def _section(k: int, section: Section) -> list[str]:
    parts = [f'<h2 id="s{k}">{escape(section.title)}</h2>']
    if section.about:
        parts.append(f"<p>{escape(section.about)}</p>")
    if section.missing:
        parts.append(f'<p class="missing">Not made: {escape(section.missing)}</p>')
    parts += [_image(what, data) for what, data in section.images]
    parts += [_table(grid) for grid in section.tables]
    parts += [f"<p>{escape(remark)}</p>" for remark in section.remarks]
    parts.append(f'<p class="small">{section.seconds:.1f} s</p>')
    return parts


def _image(what: str, data: bytes) -> str:
    encoded = base64.b64encode(data).decode("ascii")
    return f'<img alt="{escape(what)}" src="data:image/png;base64,{encoded}">'


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{escape(c)}</th>" for c in grid.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>\n" for row in grid.rows)
    caption = f"<caption>{escape(grid.title)}</caption>" if grid.title else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>"
