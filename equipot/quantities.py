"""The labelled quantities: what a structure can be labelled with, a network can be fitted to, and errors are given of.

Reading, checks, batches, the graph store, the loss, metrics, tables, plots and command-line options all go through
`LABELS`. A quantity that is neither energy, forces nor stress is an output of the network under the same name.
"""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Quantity:
    """A quantity of a structure or of each of its atoms.

    Attributes:
        name: of the label, of the network's output, and of its weight in `training.loss`.
        per: "structure" or "atom".
        shape: of one value, e.g. (3, 3) for the stress.
        unit: of the label.
        title: what a table or plot calls it.
        error_name: what its errors are called in files.
        error_unit: of the errors.
        decimals: digits after the point for errors in thousandths of `error_unit`.
        looks_like: matches keys that could hold it.
        help: of the command-line option that names its key.
        extensive: errors are divided by the number of atoms.
        needs_volume: has a meaning only in cells that are periodic in all three directions; its loss counts value times
            volume per atom, which has the size of an energy.
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
        """The key of the data section, and with dashes the option, that names the label."""
        return f"{self.name}_key"

    @property
    def column(self) -> str:
        """Heading of a column of errors."""
        return f"{self.title} (m{self.error_unit})"

    def shape_of(self, n_atoms: int) -> tuple[int, ...]:
        """Shape of the label of a structure."""
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
    help="name of the total energy; default: ASE's free_energy or energy",
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
    help="name of the forces; default: ASE's forces",
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
    help="name of the stress; default: ASE's stress",
    needs_volume=True,
)
LABELS = (ENERGY, FORCES, STRESS)


def by_name(name: str) -> Quantity:
    """Return a label by its name; raises KeyError for a name that is none."""
    return {q.name: q for q in LABELS}[name]
