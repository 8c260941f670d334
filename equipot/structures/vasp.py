"""The ionic steps of a VASP run whose electrons did not converge. ASE's readers do not report them."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ase.io.formats import open_with_compression


def unconverged_steps(path: Path, form: str) -> set[int]:
    """Return the numbers of the ionic steps, counted from 0, whose electrons did not converge.

    Args:
        path: output file of VASP.
        form: ASE's name of the file format. The result is empty for formats other than `vasp-xml` and `vasp-out`.
    """
    if form == "vasp-out":
        return _of_outcar(path)
    return _of_vasprun(path) if form == "vasp-xml" else set()


def _of_outcar(path: Path) -> set[int]:
    with open_with_compression(str(path), "rt") as file:
        ends = [line for line in file if "aborting loop" in line]
    return {k for k, line in enumerate(ends) if "EDIFF was not reached" in line}


def _of_vasprun(path: Path) -> set[int]:
    """Return the ionic steps with NELM electronic steps: VASP then stops the loop, converged or not."""
    n_electronic: list[int] = []
    n_max = None
    try:
        with open_with_compression(str(path), "rb") as file:
            for _, element in ElementTree.iterparse(file):
                if element.tag == "i" and element.get("name") == "NELM":
                    n_max = int(element.text or 0)
                elif element.tag == "calculation":
                    n_electronic.append(len(element.findall("scstep")))
                    element.clear()
    except ElementTree.ParseError:
        pass  # a truncated file: ASE's reader raises the error
    return {k for k, count in enumerate(n_electronic) if n_max and count >= n_max}
