"""The HTML page of a report. It is self-contained: it includes its pictures, and has no scripts or external files."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

from equipot.report.section import Figure, Grid, Section

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 68em; margin: 2em auto; padding: 0 1em; }
nav { position: sticky; top: 0; background: #fff; border-bottom: 1px solid #ddd; padding: 0.5em 0; margin-top: 1em; }
h2 { scroll-margin-top: 3em; } a { color: #06c; text-decoration: none; }
td { font-variant-numeric: tabular-nums; } tbody tr:hover { background: #f5f8fb; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2.2em; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 0.8em 0; font-size: 0.92em; }
caption { text-align: left; font-weight: 600; padding: 0.3em 0; }
th, td { padding: 0.2em 0.9em 0.2em 0; text-align: right; border-bottom: 1px solid #eee; }
th:first-child, td:first-child { text-align: left; }
.facts td, .summary th:last-child, .summary td:last-child { text-align: left; } .facts thead { display: none; }
img { max-width: 100%; margin: 0.6em 0; } nav a { margin-right: 1em; }
.missing { color: #a40; } .small { color: #777; font-size: 0.85em; }
"""


def page(title: str, facts: Grid, sections: Sequence[Section], footer: str) -> str:
    """Return the HTML of the page."""
    body = [f"<h1>{escape(title)}</h1>", _table(facts, "facts")]
    complete = [section for section in sections if not section.missing]
    links = [f'<a href="#s{k}">{escape(section.title)}</a>' for k, section in enumerate(complete)]
    if len(complete) < len(sections):
        links.append('<a href="#missing">Missing sections</a>')
    body.append(f"<nav>{' '.join(links)}</nav>")
    if any(section.figures for section in complete):
        body += ["<h2>Summary</h2>", _table(summary(complete), "summary")]
    for k, section in enumerate(complete):
        body += _section(k, section)
    if len(complete) < len(sections):
        body.append('<h2 id="missing">Missing sections</h2>')
        body += [
            f'<p class="missing"><b>{escape(titles)}</b>: {escape(reason)}</p>'
            for titles, reason in reasons(sections)
        ]
    body.append(f'<p class="small">{escape(footer)}</p>')
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def summary(sections: Iterable[Section]) -> Grid:
    """Return a table of all figures, with columns for DFT values if there are any."""
    figures = [figure for section in sections for figure in section.figures]
    names, rows = (
        ("quantity", "model", "DFT labels", "difference", "unit"),
        [_row(figure) for figure in figures],
    )
    columns = range(5) if any(figure.dft is not None for figure in figures) else (0, 1, 4)
    return Grid([names[k] for k in columns], [[row[k] for k in columns] for row in rows])


def reasons(sections: Iterable[Section]) -> list[tuple[str, str]]:
    """Return the titles and the reason of missing sections. Sections with one reason are joined."""
    titles_of: dict[str, list[str]] = {}
    for section in sections:
        if section.missing:
            titles_of.setdefault(section.missing, []).append(section.title)
    return [(", ".join(titles), reason) for reason, titles in titles_of.items()]


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    dft, difference = "", ""
    if figure.dft is not None:
        dft = _number(figure.dft, figure.form)
        percent = round(100 * (figure.value / figure.dft - 1), 2) + 0.0 if figure.dft else None  # never -0.00
        difference = "" if percent is None else f"{percent:+.2f} %"
    return figure.name, _number(figure.value, figure.form), dft, difference, figure.unit


def _number(value: float, form: str) -> str:
    """Format a number. A number that is rounded to zero has no sign."""
    text = format(value, form)
    return text if float(text) else text.lstrip("-+")


def _section(k: int, section: Section) -> list[str]:
    parts = [f'<h2 id="s{k}">{escape(section.title)}</h2>']
    if section.about:
        parts.append(f"<p>{escape(section.about)}</p>")
    parts += [_image(title, data) for title, data in section.images]
    parts += [_table(grid) for grid in section.tables]
    parts += [f"<p>{escape(remark)}</p>" for remark in section.remarks]
    parts.append(f'<p class="small">{section.seconds:.1f} s</p>')
    return parts


def _image(title: str, data: bytes) -> str:
    encoded = base64.b64encode(data).decode("ascii")
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{encoded}">'


def _table(grid: Grid, kind: str = "") -> str:
    head = "".join(f"<th>{escape(c)}</th>" for c in grid.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>\n" for row in grid.rows)
    caption = f"<caption>{escape(grid.title)}</caption>" if grid.title else ""
    return f'<table class="{kind}">{caption}<thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>'
