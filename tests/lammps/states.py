"""What a run ended with: energy, pressure and forces, also of a new start from the structure it ended with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.lammps.conftest import SPECIES
from tests.lammps.running import setup, write_data
from tests.lammps.structures import cases

TILTED = cases()["tilted"].atoms
THERMO = "thermo_style custom step pe etotal press vol fmax\nthermo_modify norm no format float %.15g\n"


def begin(folder: Path, model: Path, **options: str) -> str:
    """Input up to the first run, 64 atoms in a tilted cell."""
    write_data(folder / "tilted.data", TILTED, list(SPECIES))
    return setup("tilted", model, **options) + THERMO


def tables(output: str) -> list[NDArray]:
    """The thermo tables of all runs: step, pe, etotal, press, vol, fmax."""
    found = []
    for block in output.split("   Step ")[1:]:
        lines = block.split("Loop")[0].splitlines()[1:]
        found.append(np.array([line.split() for line in lines if "WARNING" not in line], dtype=float))
    return found


@dataclass
class State:
    energy: float
    pressure: float
    ids: NDArray  # (n,) ascending
    types: NDArray  # (n,)
    forces: NDArray  # (n, 3)


def keep(name: str) -> str:
    """Commands after a run: its state is to be kept under this name."""
    return (
        f'print "STATE {name} $(pe:%.17g) $(press:%.17g)"\n'
        f"write_dump all custom {name}.state id type fx fy fz modify sort id format float %.17g\n"
    )


def kept(output: str, folder: Path) -> dict[str, State]:
    found = {}
    for line in output.splitlines():
        if line.startswith("STATE "):
            _, name, energy, pressure = line.split()
            rows = np.loadtxt(folder / f"{name}.state", skiprows=9, ndmin=2).reshape(-1, 5)
            found[name] = State(float(energy), float(pressure), rows[:, 0], rows[:, 1], rows[:, 2:])
    return found


def keep_and_start_anew(name: str, model: Path, before: str = "", boundary: str = "p p p") -> str:
    """Commands after a run: its state is kept, and that of a new start from its structure as `{name}_anew`.

    The new start cuts the box in x only: on other ranks, ghosts and messages are others.
    """
    options = {"before": f"{before}\nprocessors * 1 1", "boundary": boundary}
    return (
        keep(name)
        + f"write_data {name}.data nocoeff\n"
        + setup(name, model, **options)
        + THERMO
        + "run 0\n"
        + keep(f"{name}_anew")
    )


def assert_same(found: State, expected: State, rtol: float = 1e-10) -> None:
    """Forces to rtol of the largest."""
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.types, expected.types)
    np.testing.assert_allclose(found.energy, expected.energy, rtol=rtol)
    np.testing.assert_allclose(
        found.forces, expected.forces, rtol=0, atol=rtol * np.abs(expected.forces).max()
    )
    np.testing.assert_allclose(found.pressure, expected.pressure, rtol=rtol, atol=1e-6)  # bar
