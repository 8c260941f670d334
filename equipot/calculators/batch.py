"""Several structures as one graph: their check, their neighbours, and the results of a model for each of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from equipot import native
from equipot.calculators.closest import closest_atoms
from equipot.errors import DataError, EquipotError, NumericsError
from equipot.model_file import LoadedModel
from equipot.model_file.structure import Reals
from equipot.neighbours.cell import volumes_of
from equipot.neighbours.many import neighbours_of_many
from equipot.quantities import ENERGIES, GAMMA
from equipot.species import SpeciesMap


class HasAtoms(Protocol):
    """A structure: ASE's Atoms, or a Frame of equipot."""

    @property
    def numbers(self) -> Any: ...  # (n_atoms,)

    @property
    def positions(self) -> Any: ...  # (n_atoms, 3) Å

    @property
    def cell(self) -> Any: ...  # (3, 3) Å, rows are the cell vectors

    @property
    def pbc(self) -> Any: ...  # (3,)


@dataclass(frozen=True, eq=False)
class Predicted:
    """The prediction of a model for one structure.

    Attributes:
        energy: eV; the forces are its derivatives.
        energies: (n_atoms,) eV.
        forces: (n_atoms, 3) eV/Å, also on atoms that are fixed by a constraint.
        stress: (6,) eV/Å³ in ASE's order and sign; None for a cell without a volume, see `neighbours.cell.volume_of`.
        outputs: further outputs of the network by name, e.g. the extrapolation grades "gamma" (n_atoms,).
    """

    energy: float
    energies: Reals
    forces: Reals
    stress: Reals | None = None
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict)

    def results(self) -> dict[str, Any]:
        """Return the results of an ASE calculator, e.g. for `SinglePointCalculator(atoms, **p.results())`."""
        results = {"energy": self.energy, "free_energy": self.energy, "energies": self.energies}
        results["forces"] = self.forces
        return results if self.stress is None else {**results, "stress": self.stress}


class Taken(NamedTuple):
    """The arrays of a structure at the time when it was taken: its owner may change them afterwards."""

    numbers: NDArray[np.int64]
    positions: Reals
    cell: Reals
    pbc: NDArray[np.bool_]
    name: str  # for error messages

    @classmethod
    def of(cls, structure: HasAtoms, name: str) -> "Taken":
        """Copy the arrays of a structure. Raise DataError if it has none or their shapes are wrong."""
        try:
            numbers, positions = np.array(structure.numbers), np.array(structure.positions, dtype=np.float64)
            cell = structure.cell
            # The array of ASE's Cell; its conversion by numpy takes longer.
            cell = np.array(getattr(cell, "array", cell), dtype=np.float64)
            pbc = np.array(structure.pbc, dtype=bool)
        except AttributeError:
            kind = type(structure).__name__
            raise DataError(f"{name} is of the type {kind}; expected ASE's Atoms") from None
        shapes = (positions.shape, cell.shape, pbc.shape)
        if shapes != ((len(numbers), 3), (3, 3), (3,)):
            raise DataError(
                f"{name} has positions, cell and pbc of shapes {shapes}, and {len(numbers)} numbers"
            )
        return cls(numbers, positions, cell, pbc, name)


class Batch(NamedTuple):
    """Structures with their neighbours."""

    structures: Sequence[Taken]
    first_atom: NDArray[np.int64]  # (n_structures + 1,)
    species: NDArray[np.int64]  # (n_atoms,)
    edge_index: NDArray[np.int64]  # (2, n_edges)
    edge_vectors: Reals  # (n_edges, 3) Å
    first_edge: NDArray[np.int64]  # (n_structures + 1,)


def make(structures: Sequence[Taken], species: SpeciesMap, model: LoadedModel) -> Batch:
    """Return the batch of one structure or more.

    Raises:
        UnknownSpeciesError, NumericsError, DataError: as for a single structure; only for a single one, they name it.
    """
    alone = structures[0].name if len(structures) == 1 else "a structure"
    numbers = np.concatenate([s.numbers for s in structures])
    index = species.index(numbers, alone)
    positions = np.concatenate([s.positions for s in structures])
    if not np.isfinite(positions).all():
        bad = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
        raise NumericsError(f"{alone}: the position of atom {bad} is not finite; leave the structure out")
    first_atom = np.cumsum([0, *(len(s.numbers) for s in structures)])
    cells, pbc = np.array([s.cell for s in structures]), np.array([s.pbc for s in structures])
    try:
        edges, vectors, n_edges = neighbours_of_many(
            first_atom, positions, cells, pbc, index, model.metadata.cutoffs
        )
    except DataError as error:
        raise DataError(f"{alone}: {error}") from None
    return Batch(structures, first_atom, index, edges, vectors, np.cumsum([0, *n_edges]))


def predict(model: LoadedModel, batch: Batch, most_edges: int, threads: int = 1) -> Iterator[Predicted]:
    """Yield the prediction of each structure, evaluating at most `most_edges` edges at once, or one structure.

    threads: of the runtime, at most; torch has threads of its own.

    Raises:
        NumericsError: a prediction is not finite.
    """
    start = 0
    for k in range(1, len(batch.structures) + 1):
        last = k == len(batch.structures)
        if last or batch.first_edge[k + 1] - batch.first_edge[start] > most_edges:
            yield from _evaluate(model, batch, start, k, threads)
            start = k


def _evaluate(model: LoadedModel, batch: Batch, start: int, end: int, threads: int) -> Iterator[Predicted]:
    """Yield the predictions of the structures from start to end of a batch, as one graph."""
    structures = batch.structures[start:end]
    first_atom = batch.first_atom[start : end + 1] - batch.first_atom[start]
    atoms = slice(batch.first_atom[start], batch.first_atom[end])
    edges = slice(batch.first_edge[start], batch.first_edge[end])
    index = np.ascontiguousarray(batch.edge_index[:, edges] - batch.first_atom[start])
    graph_of_atom = np.repeat(np.arange(len(structures)), np.diff(first_atom))
    outputs, forces, virials = _compute(
        model, batch.species[atoms], index, batch.edge_vectors[edges], graph_of_atom, structures, threads
    )
    energies, n = outputs.pop(ENERGIES), len(structures)
    totals = np.bincount(graph_of_atom, energies, minlength=n).tolist()
    volumes = volumes_of(np.array([s.cell for s in structures]), np.array([s.pbc for s in structures]))
    with_volume = np.isfinite(volumes)
    stresses = full_3x3_to_voigt_6_stress(-virials / np.where(with_volume, volumes, 1)[:, None, None])
    # The grade of an element without training atoms is infinite.
    values_of_all = (energies, forces, stresses, *(v for name, v in outputs.items() if name != GAMMA))
    finite = all(np.isfinite(values).all() for values in values_of_all)
    for k, own in enumerate(map(slice, first_atom[:-1].tolist(), first_atom[1:].tolist())):
        further = {name: values[own] for name, values in outputs.items()}
        p = Predicted(totals[k], energies[own], forces[own], stresses[k] if with_volume[k] else None, further)
        if not finite:
            edges = slice(batch.first_edge[start + k], batch.first_edge[start + k + 1])
            own_edges = batch.edge_index[:, edges] - batch.first_atom[start + k]
            _expect_finite(p, structures[k].name, closest_atoms(own_edges, batch.edge_vectors[edges]))
        yield p


def _compute(
    model: LoadedModel,
    species: NDArray[np.int64],
    index: NDArray[np.int64],
    vectors: Reals,
    graph_of_atom: NDArray[np.int64],
    structures: Sequence[Taken],
    threads: int,
) -> tuple[dict[str, NDArray[Any]], Reals, Reals]:
    """Return the outputs per atom, the forces (n_atoms, 3) and the virials (n_structures, 3, 3) of a graph."""
    n_atoms, n_graphs = len(species), len(structures)
    if model.runtime is not None:
        e = model.runtime.evaluate(species, index, vectors, threads)
        assert e.edge_gradient is not None
        forces, virials = native.collect(e.edge_gradient, vectors, index, graph_of_atom, n_atoms, n_graphs)
        return {ENERGIES: e.energies, **e.outputs}, forces, virials
    import torch

    from equipot.contract import Inputs, on_device

    arrays = (
        species,
        index,
        vectors,
        np.concatenate([s.positions for s in structures]),
        np.array([s.cell for s in structures]),
        np.array([s.pbc for s in structures]),
        graph_of_atom,
    )
    p = model.predict(on_device(Inputs(*map(torch.from_numpy, arrays)), model.device))
    outputs = {name: v.cpu().numpy() for name, v in p.outputs.items() if len(v) == n_atoms}
    return outputs, p.forces.cpu().numpy(), p.virial.cpu().numpy()


def _expect_finite(p: Predicted, name: str, cause: str) -> None:
    for quantity, value in {**p.results(), **p.outputs}.items():
        if quantity != GAMMA and not np.isfinite(value).all():
            raise NumericsError(f"{name}: the prediction of {quantity} is not finite; {cause}")


def checked(
    structures: Sequence[Taken], species: SpeciesMap, model: LoadedModel
) -> tuple[Batch | None, EquipotError | None]:
    """Return the batch of the structures before the first that cannot be used, and the error of that one."""
    if not structures:
        return None, None
    try:
        return make(structures, species, model), None
    except EquipotError:
        for k, s in enumerate(structures):
            try:
                make([s], species, model)
            except EquipotError as error:
                return (make(structures[:k], species, model) if k else None), error
        raise
