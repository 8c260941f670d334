"""`equipot report`: write the physics of a model to one HTML page."""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from rich.console import Console
from rich.table import Table

from equipot.cli.labels import add_label_options
from equipot.cli.simulation import bar, begin, load_calculator
from equipot.errors import ConfigError, EquipotError
from equipot.structures.labels import LabelKeys
from equipot.structures.reading import read_frames

if TYPE_CHECKING:
    from equipot.report import Report
    from equipot.report.section import Subject
    from equipot.structures.frame import Frame

MOST_ELEMENTS = 10
SKIPPABLE = ("errors", "training", "pairs", "crystal", "eos", "elastic", "phonons", "md")

DESCRIPTION = """Write the physics of a model to one self-contained HTML page:

  errors on DATA with parity plots, and the learning curves of the training
  energy curves of pairs of elements and their smoothness at the cutoff
  equation of state, elastic constants and phonons of a crystal
  a short molecular dynamics run: radial distribution, energy drift and speed

If DATA has labels of the same structures (volumes of the crystal, dimers), the page shows them beside the model. The
crystal is --structure, or a periodic frame of DATA with forces below 0.05 eV/Å. It is relaxed first. If a section
cannot be made, the page gives the reason.
"""

EXAMPLES = """examples:
  equipot report runs/silicon/model.pt test.extxyz
  equipot report model.pt test.extxyz --structure quartz.cif -o quartz.html
  equipot report model.pt --structure POSCAR --temperature 1000 --md-time 10
  equipot report sevenn:7net-0 --structure mgo.cif --elements Mg,O --skip phonons
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        help="model file, or a published model as in `equipot convert` (sevenn:7net-0)",
    )
    add("data", nargs="*", metavar="DATA", help="labelled structures: files or globs, in any format of ASE")
    add("-o", "--output", default="report.html", metavar="FILE", help="default: %(default)s")
    add(
        "--structure",
        metavar="FILE",
        help="a crystal, or a molecule for the dynamics; the last frame of the file is used, name@0 is the first",
    )
    add(
        "--elements",
        metavar="Si,O",
        help="elements of the pair curves (default: those of DATA and the crystal, or those of the model)",
    )
    add(
        "--temperature",
        type=float,
        default=300.0,
        metavar="K",
        help="initial temperature of the dynamics (default: %(default)g)",
    )
    add(
        "--md-time",
        type=float,
        default=2.0,
        metavar="PS",
        help="length of the dynamics, which has constant energy (default: %(default)g)",
    )
    add(
        "--timestep",
        type=float,
        default=1.0,
        metavar="FS",
        help="default: %(default)g; use 0.5 with hydrogen",
    )
    add(
        "--md-atoms",
        type=int,
        default=200,
        metavar="N",
        help="smallest number of atoms in the dynamics (default: %(default)s)",
    )
    add("--skip", action="append", default=[], choices=SKIPPABLE, help="leave out a section; can be repeated")
    add("--json", metavar="FILE", help="also write the figures to this file")
    add_label_options(parser)
    add("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")


def run(args: argparse.Namespace) -> int:
    """Collect the inputs, make the sections, write the page and print a summary."""
    output = _file(args.output, "--output")
    if output.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--output: {args.output} must end in .html; the report is one HTML page")
    json_file = _file(args.json, "--json") if args.json else None
    for name, unit in (("temperature", "K"), ("md_time", "ps"), ("timestep", "fs")):
        if not 0 < getattr(args, name) < np.inf:
            raise ConfigError(
                f"--{name.replace('_', '-')} is {getattr(args, name):g} {unit}; expected a positive number"
            )
    if args.md_atoms < 1:
        raise ConfigError(f"--md-atoms is {args.md_atoms}; expected 1 or more")
    from equipot.report import make_report

    subject = _subject(args)
    console = Console(highlight=False)
    with bar(console) as progress:
        task = begin(progress, "reporting", len(SKIPPABLE))
        report = make_report(
            subject,
            args.skip,
            lambda title, k, of: progress.update(task, completed=k, total=of, message=title.lower()),
        )
    _write(output, report.html)
    if json_file is not None:
        _write(json_file, json.dumps(report.to_dict(), indent=1) + "\n")
    _print(console, report)
    console.print(
        f"written to {output}" + (f" and {json_file}" if json_file else ""), markup=False, soft_wrap=True
    )
    failed = [section.title for section in report.sections if section.failed]
    if failed:
        raise EquipotError(
            f"{', '.join(failed)} failed due to an error in equipot itself; {output} has the message"
        )
    return 0


def _file(name: str, option: str) -> Path:
    path = Path(name)
    if path.is_dir():
        raise ConfigError(f"{option}: {name} is a folder; expected the name of a file")
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    return path


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _subject(args: argparse.Namespace) -> "Subject":
    from equipot.report.labelled_volumes import find_crystal
    from equipot.report.section import Subject
    from equipot.simulation.structures import read_structure

    keys = LabelKeys.from_values(vars(args))
    frames = read_frames(args.data, keys) if args.data else []
    crystal = read_structure(args.structure) if args.structure else None
    calculator = load_calculator(args.model, args.device, [crystal] if crystal else [])
    for frame in frames:
        calculator.species.index(frame.numbers, frame.source)
    known = list(calculator.model.metadata.type_names)
    source, why_none = args.structure or "", ""
    if crystal is None:
        crystal_frame, why_none = find_crystal(frames, [atomic_numbers[name] for name in known])
        if crystal_frame is not None:
            crystal, source = crystal_frame.to_atoms(), crystal_frame.source
            crystal.calc = None
    symbols = [] if crystal is None else list(crystal.symbols)
    return Subject(
        calculator,
        _elements(args.elements, frames, symbols, known),
        crystal,
        why_none,
        source,
        frames,
        list(args.data),
        args.temperature,
        args.md_time,
        args.timestep,
        args.md_atoms,
    )


def _elements(
    option: str | None, frames: "Sequence[Frame]", crystal: Sequence[str], known: Sequence[str]
) -> list[str]:
    """Return the elements of the pair curves, ten at most.

    They come from --elements, else from the data and the crystal, the most frequent ones first. Without these, they are
    all elements of the model, or none if there are more than ten.
    """
    if option:
        names = [name.strip() for name in option.split(",")]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(
                f"--elements: the model does not know {', '.join(unknown)}; it knows {', '.join(known)}"
            )
        if len(names) > MOST_ELEMENTS:
            raise ConfigError(f"--elements names {len(names)} elements; expected at most {MOST_ELEMENTS}")
        return list(dict.fromkeys(names))
    counts = Counter(chemical_symbols[z] for frame in frames for z in frame.numbers) + Counter(crystal)
    if counts:
        return [name for name, _ in counts.most_common(MOST_ELEMENTS)]
    return list(known) if len(known) <= MOST_ELEMENTS else []


def _print(console: Console, report: "Report") -> None:
    from equipot.report.page import reasons, summary

    grid = summary(report.sections)
    if grid.rows:
        table = Table(title="Physics of the model", title_justify="left")
        for name in grid.columns:
            table.add_column(name, justify="left" if name in ("quantity", "unit") else "right")
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)
    for titles, reason in reasons(report.sections):
        console.print(f"{titles}: {reason}", markup=False, style="yellow", soft_wrap=True)
    for section in report.sections:
        for remark in section.remarks:
            if "imaginary" in remark or "not stable" in remark or "No repulsion" in remark:
                console.print(f"{section.title}: {remark}", markup=False, style="yellow", soft_wrap=True)
