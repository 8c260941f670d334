"""Statistics of the training set that a network needs: reference energies, scale, numbers of neighbours."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from rich.table import Table

from equipot.data.graph import Graph
from equipot.data.reference_energies import reference_energies
from equipot.species import SpeciesMap


@dataclass(frozen=True)
class Statistics:
    """Statistics of a set of graphs. A value is None if the set lacks the labels for it."""

    species: list[str]
    e0: dict[str, float]  # eV, reference energy by element
    e0_source: dict[str, str]  # source of each reference energy
    rms_force: float | None  # eV/Å, root mean square of the force components
    rms_stress: float | None  # eV/Å³, root mean square of the stress components
    energy_std: float | None  # eV/atom, standard deviation of (E - ΣE0)/n_atoms over frames
    average_neighbours: float  # over all atoms
    average_neighbours_of: dict[str, float]  # by element of the centre
    minimum_distance: float | None  # Å
    n_frames: int = 0
    n_atoms: int = 0
    n_energies: int = 0  # frames with an energy
    n_forces: int = 0  # frames with forces
    n_stresses: int = 0  # frames with a stress and a volume
    atoms_of: dict[str, int] = field(default_factory=dict)  # atoms by element
    # Å, (n_species, n_species), symmetric; None for a pair that no frame has within the cutoff
    minimum_distances: list[list[float | None]] = field(default_factory=list)
    # Å³ per atom, the smallest and the largest of frames that are periodic in all directions; None without such frames.
    # The volume of a layer depends on its vacuum, so it says nothing about the density.
    volumes: list[float] | None = None

    @property
    def scale(self) -> float:
        """Factor in eV between readout and energy: the rms force, else the spread of the energies, else 1."""
        return self._scale()[0]

    @property
    def scale_source(self) -> str:
        """The source of `scale`."""
        return self._scale()[1]

    def _scale(self) -> tuple[float, str]:
        if self.rms_force:
            return self.rms_force, "rms force"
        if self.energy_std:
            return self.energy_std, "spread of the energies per atom, because the set has no forces"
        return 1.0, "1, because the set has neither forces nor a spread of energies"

    def e0_array(self) -> np.ndarray:
        """Return the reference energies, (n_types,) float64 in eV, in the order of `species`."""
        return np.array([self.e0[name] for name in self.species], dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Statistics":
        """Return the statistics from the result of `to_dict`."""
        return cls(**values)

    def table(self) -> Table:
        """Return a rich table of all values."""
        table = Table(title="Training set", show_header=False)
        table.add_column(style="bold")
        table.add_column()

        def row(name: str, value: float | None, unit: str) -> None:
            table.add_row(name, "none in the set" if value is None else f"{value:.4g} {unit}".strip())

        table.add_row("frames, atoms", f"{self.n_frames}, {self.n_atoms}")
        table.add_row("with energy, forces, stress", f"{self.n_energies}, {self.n_forces}, {self.n_stresses}")
        for name in self.species:
            table.add_row(f"E0 of {name}", f"{self.e0[name]:.4f} eV ({self.e0_source[name]})")
        row("spread of energies", self.energy_std, "eV/atom")
        row("rms force", self.rms_force, "eV/Å")
        row("rms stress", self.rms_stress, "eV/Å³")
        table.add_row("scale", f"{self.scale:.4g} ({self.scale_source})")
        by_element = ", ".join(f"{n} {self.average_neighbours_of[n]:.1f}" for n in self.species)
        table.add_row("neighbours per atom", f"{self.average_neighbours:.1f} ({by_element})")
        row("shortest distance", self.minimum_distance, "Å")
        if self.volumes is not None:
            table.add_row("volume per atom", f"{self.volumes[0]:.4g} to {self.volumes[1]:.4g} Å³")
        return table


def compute_statistics(
    graphs: Iterable[Graph], species: SpeciesMap, e0: str | Mapping[str, float] = "auto"
) -> Statistics:
    """Compute the statistics of graphs in one pass.

    Args:
        graphs: a list, or a store on disk.
        species: elements of the model.
        e0: "auto", "fit", "isolated", or eV by element; see `reference_energies`.

    Raises:
        DataError: `e0` is "isolated", and an element has no isolated-atom frame.
        ConfigError: a mapping `e0` lacks an element.
    """
    n_types = len(species)
    n_frames = n_forces = n_stresses = n_components = 0
    atoms_of, edges_of = np.zeros(n_types, dtype=np.int64), np.zeros(n_types, dtype=np.int64)
    force_square = stress_square = 0.0
    shortest = np.full((n_types, n_types), np.inf)  # Å², by pair of species
    counts: list[np.ndarray] = []
    energies: list[float] = []
    isolated: list[bool] = []
    volumes: list[float] = []
    for graph in graphs:
        n_frames += 1
        index = graph.species.numpy()
        count = np.bincount(index, minlength=n_types)
        if graph.n_edges and graph.pbc.all() and np.isfinite(graph.volume):
            volumes.append(graph.volume / graph.n_atoms)
        atoms_of += count
        if graph.n_edges:
            centre, neighbour = index[graph.edge_index.numpy()]
            edges_of += np.bincount(centre, minlength=n_types)
            squares = graph.edge_vectors.square().sum(1).numpy()
            np.minimum.at(shortest, (centre, neighbour), squares)
        if "energy" in graph.labels:
            counts.append(count)
            energies.append(float(graph.labels["energy"]))
            isolated.append(graph.n_atoms == 1 and graph.n_edges == 0)
        if "forces" in graph.labels:
            n_forces += 1
            n_components += 3 * graph.n_atoms
            force_square += float(graph.labels["forces"].square().sum())
        if "stress" in graph.labels:
            n_stresses += 1
            stress_square += float(graph.labels["stress"].square().sum())

    composition = np.array(counts, dtype=np.float64).reshape(-1, n_types)
    energy = np.array(energies, dtype=np.float64)
    e0_values, e0_source = reference_energies(
        composition, energy, np.array(isolated, dtype=bool), species, e0
    )
    sizes = composition.sum(axis=1)
    per_atom = ((energy - composition @ e0_values) / np.maximum(sizes, 1))[sizes > 0]
    return Statistics(
        species=list(species.names),
        e0=dict(zip(species.names, e0_values.tolist())),
        e0_source=dict(zip(species.names, e0_source)),
        rms_force=(force_square / n_components) ** 0.5 if n_components else None,
        rms_stress=(stress_square / (9 * n_stresses)) ** 0.5 if n_stresses else None,
        energy_std=float(per_atom.std()) if len(per_atom) else None,
        average_neighbours=float(edges_of.sum() / max(atoms_of.sum(), 1)),
        average_neighbours_of=dict(zip(species.names, (edges_of / np.maximum(atoms_of, 1)).tolist())),
        minimum_distance=float(shortest.min() ** 0.5) if np.isfinite(shortest).any() else None,
        n_frames=n_frames,
        n_atoms=int(atoms_of.sum()),
        n_energies=len(energies),
        n_forces=n_forces,
        n_stresses=n_stresses,
        atoms_of=dict(zip(species.names, atoms_of.tolist())),
        minimum_distances=[[float(x**0.5) if np.isfinite(x) else None for x in row] for row in shortest],
        volumes=[min(volumes), max(volumes)] if volumes else None,
    )
