"""Which ionic steps of a VASP run ended before the electrons were converged: ASE's readers do not say."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ase.io.formats import open_with_compression


def unconverged_steps(path: Path, form: str) -> set[int]:
    """Numbers of the ionic steps, counted from 0, whose electronic steps ran out.

    form : ASE's name of the file's format; only `vasp-xml` and `vasp-out` say anything
    """
    if form == "vasp-out":
        return _of_outcar(path)
    return _of_vasprun(path) if form == "vasp-xml" else set()


def _of_outcar(path: Path) -> set[int]:
    with open_with_compression(str(path), "rt") as file:
        ends = [line for line in file if "aborting loop" in line]
    return {k for k, line in enumerate(ends) if "EDIFF was not reached" in line}


def _of_vasprun(path: Path) -> set[int]:
    """VASP stops an electronic loop after NELM steps, converged or not."""
    steps: list[int] = []
    most = None
    try:
        with open_with_compression(str(path), "rb") as file:
            for _, element in ElementTree.iterparse(file):
                if element.tag == "i" and element.get("name") == "NELM":
                    most = int(element.text or 0)
                elif element.tag == "calculation":
                    steps.append(len(element.findall("scstep")))
                    element.clear()
    except ElementTree.ParseError:
        pass  # a file that was cut short: ASE's reader names the fault
    return {k for k, count in enumerate(steps) if most and count >= most}
