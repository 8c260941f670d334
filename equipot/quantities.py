"""The labelled quantities: energy, forces and stress, with their units, shapes and names.

Reading, checks, batches, the graph store, the loss, metrics, tables, plots and command-line options all loop over
`LABELS`. Any other quantity that is added to it must be an output of the network with the same name.
"""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Quantity:
    """A labelled quantity of a structure or of each of its atoms.

    Attributes:
        name: name of the label, of the network's output and of the weight in `training.loss`.
        per: "structure" or "atom".
        shape: shape of one value, e.g. (3, 3) for the stress.
        unit: unit of the label.
        title: name in tables and plots.
        error_name: name of its errors in files.
        error_unit: unit of the errors.
        decimals: digits after the point for errors in thousandths of `error_unit`.
        looks_like: pattern of the keys that could hold the label.
        help: help of the command-line option for the label's key.
        extensive: whether errors are divided by the number of atoms.
        needs_volume: whether the quantity is defined only in cells with a volume (`neighbours.cell.volume_of`). The
            loss multiplies its errors by the volume per atom, so they have the unit of an energy.
    """

    name: str
    per: Literal["structure", "atom"]
    shape: tuple[int, ...]
    unit: str
    title: str
    error_name: str
    error_unit: str
    decimals: int
    looks_like: re.Pattern[str]
    help: str
    extensive: bool = False
    needs_volume: bool = False

    @property
    def key(self) -> str:
        """The config key in the section `data` for the label's name. The command-line option has dashes instead."""
        return f"{self.name}_key"

    @property
    def column(self) -> str:
        """The heading of a column of errors."""
        return f"{self.title} (m{self.error_unit})"

    def shape_of(self, n_atoms: int) -> tuple[int, ...]:
        """Return the shape of the label of a structure with `n_atoms` atoms."""
        return (n_atoms, *self.shape) if self.per == "atom" else self.shape


ENERGY = Quantity(
    name="energy",
    per="structure",
    shape=(),
    unit="eV",
    title="energy",
    error_name="energy_per_atom",
    error_unit="eV/atom",
    decimals=2,
    looks_like=re.compile(r"energ|etot|toten|^e$", re.IGNORECASE),
    help="name of the total energy (default: ASE's free_energy or energy)",
    extensive=True,
)
FORCES = Quantity(
    name="forces",
    per="atom",
    shape=(3,),
    unit="eV/Å",
    title="forces",
    error_name="forces",
    error_unit="eV/Å",
    decimals=1,
    looks_like=re.compile(r"forc|frc|grad|^f$", re.IGNORECASE),
    help="name of the forces (default: ASE's forces)",
)
STRESS = Quantity(
    name="stress",
    per="structure",
    shape=(3, 3),
    unit="eV/Å³",
    title="stress",
    error_name="stress",
    error_unit="eV/Å³",
    decimals=3,
    looks_like=re.compile(r"stress", re.IGNORECASE),
    help="name of the stress (default: ASE's stress)",
    needs_volume=True,
)
LABELS = (ENERGY, FORCES, STRESS)

# The output of every network with ASE's name: per-atom energies (n_atoms,) eV float64.
ENERGIES = "energies"
# The output of networks that know their training set: extrapolation grades (n_atoms,), see `network.grade`.
GAMMA = "gamma"


def by_name(name: str) -> Quantity:
    """Return the quantity with this name. Raise KeyError if no label has it."""
    return {q.name: q for q in LABELS}[name]
