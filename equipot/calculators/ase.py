"""The ASE calculator of a model file."""

import copy
import difflib
import warnings
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from equipot.calculators.closest import closest_atoms
from equipot.errors import ModelFileError, NumericsError
from equipot.model_file import LoadedModel, load_model
from equipot.model_file.loaded import Engine
from equipot.model_file.structure import PredictedErrors, Reals, Structure
from equipot.neighbours.arrays import on_host
from equipot.neighbours.cell import volume_of
from equipot.neighbours.verlet import VerletList
from equipot.quantities import ENERGIES, GAMMA
from equipot.species import SpeciesMap
from equipot.uncertainty.warning import WARN_ABOVE, Extrapolation, ExtrapolationWarning

if TYPE_CHECKING:
    import torch

# Å. Measured in MD of 216 Si atoms with steps of 1 fs and a cutoff of 5 Å: a search every 17 (liquid) to 400 (300 K)
# steps, and 0.4 to 0.7 ms per step instead of 2.5 ms. A skin of 1.5 Å saves no further time because the list is longer.
DEFAULT_SKIN = 1.0


class EquipotCalculator(Calculator):
    """An ASE calculator that computes energies, forces and stresses with a model file.

    Its results are `energy` and `free_energy` (eV, equal, with the forces as their derivatives), `energies` (n_atoms,)
    in eV and `forces` (n_atoms, 3) in eV/Å. For cells with a volume, they are also `stress` (6,) in eV/Å³ in ASE's
    order and sign, and `stresses` (n_atoms, 6) in eV/Å³. A layer has a volume if its cell has three vectors. The stress
    of an atom is half of the terms of all its pairs, divided by the volume of the cell. `stresses` sum to `stress`.

    ASE refuses results that it has no name for. Such outputs of a network are in the attribute `outputs`. A model that
    knows its training set gives `gamma` (n_atoms,), the extrapolation grade of each atom: above 1, an atom is unlike
    the training atoms (docs/uncertainty.md). The attribute `extrapolation` has the highest one of all calculations.
    When it is high, there is one ExtrapolationWarning, unless the attribute `warns` is False. `predicted_errors()`
    gives how wrong energy and forces may be.

    Copies of a calculator share the network. A pickled calculator holds the path of its model file. In a forked
    process, it computes with one thread.

    Args:
        model: path of a model file, or a model from `load_model`.
        device: "cpu", "cuda", "cuda:1", …. A loaded model stays on its device.
        engine: "runtime" computes on CPUs without torch's operators, which is faster for small systems. "torch"
            computes with the file's TorchScript, as on GPUs. A loaded model keeps its own engine.
        skin: Å, added to the cutoff in the neighbour search, so that one search serves several steps. It changes the
            speed, not the result. `set(skin=…)` changes it later.
        atoms, label, directory: arguments of every ASE calculator.

    Raises:
        UnknownSpeciesError: the model does not know an element of the atoms.
        NumericsError: positions or results are not finite.
        DataError: a periodic cell has no volume.
        TypeError: a keyword is unknown.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]  # noqa: RUF012

    def __init__(
        self,
        model: str | Path | LoadedModel,
        device: "str | torch.device" = "cpu",
        skin: float = DEFAULT_SKIN,
        *,
        engine: Engine = "runtime",
        atoms: Atoms | None = None,
        label: str | None = None,
        directory: str | Path = ".",
        **unknown: Any,
    ) -> None:
        _refuse(unknown, ("model", "device", "skin", "engine", "atoms", "label", "directory"))
        if engine not in get_args(Engine):
            raise ValueError(f"engine is {engine!r}; expected one of {', '.join(get_args(Engine))}")
        super().__init__(atoms=atoms, label=label, directory=directory)
        self._outputs: dict[str, np.ndarray] = {}
        self.warns = True
        self.extrapolation: Extrapolation | None = None
        self._use(model if isinstance(model, LoadedModel) else load_model(model, device, engine), skin)

    def _use(self, model: LoadedModel, skin: float) -> None:
        self.model = model
        self.species = SpeciesMap(model.metadata.type_names)
        cutoffs = model.metadata.cutoffs
        self.neighbours = VerletList(cutoffs.cutoff, skin, cutoffs.matrix, model.place)

    def set(self, **changes: Any) -> dict[str, Any]:
        """Change the skin (Å). Raise TypeError for other keywords, which need a new calculator."""
        _refuse(changes, ("skin",))
        if not changes or changes["skin"] == self.neighbours.skin:
            return {}
        self._use(self.model, changes["skin"])
        self.reset()
        return changes

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """Return what has changed since the last calculation. ASE's comparison with a tolerance takes longer."""
        known = self.atoms
        if known is None or len(known) != len(atoms):
            return list(all_changes)
        compared = {
            "positions": (known.positions, atoms.positions),
            "numbers": (known.numbers, atoms.numbers),
            "cell": (known.cell.array, atoms.cell.array),
            "pbc": (known.pbc, atoms.pbc),
        }
        return [name for name, (old, new) in compared.items() if (old != new).any()]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute the properties and store them in `results`. ASE calls this."""
        # ASE's own method would also look for the calculator's folder in each step.
        if atoms is not None:
            self.atoms = atoms.copy()
        atoms = self.atoms
        assert atoms is not None
        # Earlier results stay valid only for an unchanged structure, and none stay if this fails.
        earlier, self.results, self._outputs = {} if system_changes else self.results, {}, {}
        structure = self._structure(atoms)
        results = self._results(structure, set(properties))
        for name, value in results.items():
            # The grade of an element without training atoms is infinite.
            if name != GAMMA and not np.isfinite(value).all():
                edges = on_host(structure.edge_index), on_host(structure.edge_vectors)
                raise NumericsError(f"the prediction of {name} is not finite; {closest_atoms(*edges)}")
        self.results = {**earlier, **{k: v for k, v in results.items() if k in self.implemented_properties}}
        self._outputs = {k: v for k, v in results.items() if k not in self.implemented_properties}
        if GAMMA in self._outputs:
            self._watch(self._outputs[GAMMA], atoms)

    def _structure(self, atoms: Atoms) -> Structure:
        """Return the atoms with their edges."""
        species = self.species.index(atoms.numbers)
        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
            bad = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
            quantity = f"the position of atom {bad[0]}" if len(bad) else "the cell"
            raise NumericsError(
                f"{quantity} is not finite; the last step was too large or its forces were wrong"
            )
        cell, pbc = atoms.cell.array, atoms.pbc
        edges = self.neighbours.update(atoms.positions, cell, pbc, species)
        return Structure(species, *edges, atoms.positions, cell, pbc)

    def predicted_errors(self, atoms: Atoms | None = None) -> PredictedErrors:
        """Return the standard deviations that the model expects of the errors of its energy and forces.

        They are `energy` (eV, of the total energy) and `forces` (n_atoms,) in eV/Å, of the length of the error of
        each force. This takes as long as several calculations of the forces.

        Args:
            atoms: a structure; None: that of the last calculation.

        Raises:
            ModelFileError: the model predicts no errors.
        """
        atoms = atoms if atoms is not None else self.atoms
        if atoms is None:
            raise ValueError("the calculator has no atoms yet; expected predicted_errors(atoms)")
        return self.model.predicted_errors(self._structure(atoms))

    @property
    def outputs(self) -> dict[str, np.ndarray]:
        """The outputs of the network that ASE has no name for, of the last calculation."""
        return self._outputs if self.results else {}

    def _watch(self, grades: np.ndarray, atoms: Atoms) -> None:
        """Remember the highest grade, and warn once when it is high."""
        if len(grades) and (self.extrapolation is None or grades.max() > self.extrapolation.grade):
            self.extrapolation = Extrapolation.of(grades, atoms.get_chemical_symbols())
        highest = self.extrapolation
        if self.warns and highest is not None and highest.grade > WARN_ABOVE:
            self.warns = False
            warnings.warn(highest.sentence(), ExtrapolationWarning, stacklevel=4)

    def _results(self, structure: Structure, properties: Set[str]) -> dict[str, Any]:
        """Return the results: energies, and forces and stress if one of them is in `properties`.

        `stresses` are returned only if they are in `properties`. A cell without a volume has no stress.
        """
        computed = self.model.compute(structure, not properties <= {"energy", "free_energy", "energies"})
        energy = float(computed.outputs[ENERGIES].sum())
        results: dict[str, Any] = {"energy": energy, "free_energy": energy, **computed.outputs}
        derivatives = computed.derivatives
        if derivatives is None:
            return results
        results["forces"] = derivatives.forces
        volume = volume_of(structure.cell, structure.pbc)
        if not np.isnan(volume):
            results["stress"] = full_3x3_to_voigt_6_stress(-derivatives.virial / volume)
            # A term that reads positions has no pairs to share its virial among: ASE then says that there are none.
            if "stresses" in properties and not self.model.reads_positions:
                virials = _atomic_virials(derivatives.edge_gradient, structure)
                results["stresses"] = full_3x3_to_voigt_6_stress(-virials / volume)
        return results

    def __deepcopy__(self, memo: dict[int, Any]) -> "EquipotCalculator":
        new = object.__new__(type(self))
        memo[id(self)] = new
        # The network is shared because it never changes and may be large. All other attributes are copied.
        new.__dict__ = {k: v if k == "model" else copy.deepcopy(v, memo) for k, v in self.__dict__.items()}
        return new

    def __getstate__(self) -> dict[str, Any]:
        state = {k: v for k, v in self.__dict__.items() if k not in ("model", "neighbours", "species")}
        engine = "torch" if self.model.runtime is None else "runtime"
        model = (
            str(self.model.path.resolve()),
            self.model.device,
            engine,
            self.model.metadata.to_json(),
        )
        return {**state, "_kept": model, "_skin": self.neighbours.skin}

    def __setstate__(self, state: dict[str, Any]) -> None:
        path, device, engine, metadata = state.pop("_kept")
        skin = state.pop("_skin")
        self.__dict__.update(state)
        model = load_model(path, device, engine)
        if model.metadata.to_json() != metadata:
            raise ModelFileError(
                f"{path}: is not the model this calculator was pickled with; keep a copy of the pickled model"
            )
        self._use(model, skin)


def _refuse(keywords: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise TypeError for unknown keywords, because ASE's base class silently ignores them."""
    for name in keywords:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise TypeError(
                f"EquipotCalculator has no keyword '{name}'; {hint}expected one of {', '.join(known)}"
            )


def _atomic_virials(edge_gradient: Reals, structure: Structure) -> Reals:
    """Return the virials of the atoms, (n_atoms, 3, 3) in eV: each atom gets half of the virial of its pairs."""
    index, vectors = on_host(structure.edge_index), on_host(structure.edge_vectors)
    outer = -(vectors[:, :, None] * edge_gradient[:, None, :]).reshape(-1, 9)
    n_atoms = len(structure.species)
    sums = [sum(np.bincount(owner, column, minlength=n_atoms) for owner in index) for column in outer.T]
    virials = 0.5 * np.stack(sums, axis=1).reshape(-1, 3, 3)
    return 0.5 * (virials + virials.transpose(0, 2, 1))
