"""The ASE calculator of a model file."""

import copy
import difflib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor

from equipot.contract import ENERGIES, Inputs
from equipot.errors import ModelFileError, NumericsError
from equipot.model_file import LoadedModel, load_model
from equipot.neighbours.verlet import VerletList
from equipot.network.derivatives import Prediction, energies_of, predict, virials_from
from equipot.structures.species import SpeciesMap

# Å. In MD of 216 Si atoms with steps of 1 fs (cutoff 5 Å) this searches once in 17 (liquid) to 400 steps
# (300 K) and takes 0.4 to 0.7 ms a step instead of 2.5 ms; at 1.5 Å the longer list costs what it saves.
DEFAULT_SKIN = 1.0


class EquipotCalculator(Calculator):
    """Energies, forces and stresses of a model file, for everything in ASE.

    `energy` and `free_energy` (eV, the same: forces are its derivatives), `energies` (n_atoms,), `forces`
    (n_atoms, 3) eV/Å; for cells periodic in all three directions also `stress` (6,) eV/Å³ in ASE's order and
    sign, and `stresses` (n_atoms, 6) eV/Å³, each atom's share of it: half of the term of every pair it is in,
    over the volume of the cell, so that they sum to `stress`.

    Args:
        model: path of a model file, or one that `load_model` has read
        device: "cpu", "cuda", "cuda:1", …; of a loaded model, the device it was loaded to
        skin: Å, how much further than the cutoff neighbours are searched, so that a search serves several steps;
            changes the speed, not the result; `set(skin=…)` changes it later
        atoms, label, directory: as of every ASE calculator

    Raises UnknownSpeciesError for elements that the model does not know, NumericsError for positions or
    results that are not finite, DataError for a periodic cell without volume, TypeError for keywords that are not
    listed here. Copies share the network; a pickled calculator holds the path of its model file. A forked process
    computes with one thread.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]  # noqa: RUF012

    def __init__(
        self,
        model: str | Path | LoadedModel,
        device: str | torch.device = "cpu",
        skin: float = DEFAULT_SKIN,
        *,
        atoms: Atoms | None = None,
        label: str | None = None,
        directory: str | Path = ".",
        **unknown: Any,
    ) -> None:
        _refuse(unknown, ("model", "device", "skin", "atoms", "label", "directory"))
        super().__init__(atoms=atoms, label=label, directory=directory)
        self._use(model if isinstance(model, LoadedModel) else load_model(model, device), skin)

    def _use(self, model: LoadedModel, skin: float) -> None:
        self.model = model
        self.species = SpeciesMap(model.metadata.type_names)
        cutoffs = model.metadata.cutoffs
        self.neighbours = VerletList(cutoffs.cutoff, skin, cutoffs.matrix, model.device)

    def set(self, **changes: Any) -> dict[str, Any]:
        """Change the skin (Å). Raises TypeError for anything else, which only a new calculator can have."""
        _refuse(changes, ("skin",))
        if not changes or changes["skin"] == self.neighbours.skin:
            return {}
        self._use(self.model, changes["skin"])
        self.reset()
        return changes

    @torch.inference_mode(False)  # forces are gradients, also where the caller's code needs none
    @torch.enable_grad()
    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Fill `results`; called by ASE."""
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms
        assert atoms is not None
        species = self.species.index(atoms.numbers)
        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
            bad = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
            what = f"the position of atom {bad[0]}" if len(bad) else "the cell"
            raise NumericsError(
                f"{what} is not finite; the step that led there was too large or its forces wrong"
            )
        edge_index, vectors = self.neighbours.update(atoms.positions, atoms.cell.array, atoms.pbc, species)
        inputs = self._inputs(atoms, species, edge_index, vectors)
        results = self._results(inputs, set(properties), atoms.get_volume() if atoms.pbc.all() else None)
        for name, value in results.items():
            if not np.isfinite(value).all():
                raise NumericsError(f"the predicted {name} is not finite; {_closest(edge_index, vectors)}")
        # Without changes the earlier results of this structure stay.
        self.results = results if system_changes else {**self.results, **results}

    def _inputs(self, atoms: Atoms, species: np.ndarray, edge_index: Tensor, vectors: Tensor) -> Inputs:
        def on_device(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.array(array)).to(self.model.device)

        return Inputs(
            on_device(species),
            edge_index,
            vectors,
            on_device(atoms.positions),
            on_device(atoms.cell.array)[None],
            on_device(atoms.pbc)[None],
            on_device(np.zeros(len(atoms), dtype=np.int64)),
        )

    def _results(self, inputs: Inputs, asked: Set[str], volume: float | None) -> dict[str, Any]:
        """Energies alone where nothing else is asked for; otherwise everything, but `stresses` only if asked for."""
        p = None
        if asked <= {"energy", "free_energy", "energies"}:
            outputs = energies_of(self.model.module, inputs)
        else:
            p = predict(self.model.module, inputs)
            outputs = p.outputs
        energy = float(outputs[ENERGIES].sum())
        results: dict[str, Any] = {"energy": energy, "free_energy": energy}
        results.update({name: value.cpu().numpy() for name, value in outputs.items()})
        if p is None:
            return results
        results["forces"] = p.forces.cpu().numpy()
        if volume is not None:
            results["stress"] = full_3x3_to_voigt_6_stress(-p.virial[0].cpu().numpy() / volume)
            if "stresses" in asked:
                shares = self._shares(p, inputs).cpu().numpy()
                results["stresses"] = full_3x3_to_voigt_6_stress(-shares / volume)
        return results

    def _shares(self, p: Prediction, inputs: Inputs) -> Tensor:
        """(n_atoms, 3, 3) eV: half of the virial of every pair belongs to either atom."""
        n_atoms = len(inputs.species)
        gradient, vectors = p.edge_gradient, inputs.edge_vectors
        centre, neighbour = (virials_from(gradient, vectors, owner, n_atoms) for owner in inputs.edge_index)
        return 0.5 * (centre + neighbour)

    def __deepcopy__(self, memo: dict[int, Any]) -> "EquipotCalculator":
        new = object.__new__(type(self))
        memo[id(self)] = new
        # The network never changes and may be large; everything else is one structure's history.
        new.__dict__ = {k: v if k == "model" else copy.deepcopy(v, memo) for k, v in self.__dict__.items()}
        return new

    def __getstate__(self) -> dict[str, Any]:
        state = {k: v for k, v in self.__dict__.items() if k not in ("model", "neighbours", "species")}
        kept = (str(self.model.path.resolve()), str(self.model.device), self.model.metadata.to_json())
        return {**state, "_kept": kept, "_skin": self.neighbours.skin}

    def __setstate__(self, state: dict[str, Any]) -> None:
        path, device, metadata = state.pop("_kept")
        skin = state.pop("_skin")
        self.__dict__.update(state)
        model = load_model(path, device)
        if model.metadata.to_json() != metadata:
            raise ModelFileError(
                f"{path}: is not the model this calculator was pickled with; keep a copy of that one"
            )
        self._use(model, skin)


def _refuse(keywords: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise TypeError for keywords that are not known; ASE's base class would take them and do nothing."""
    for name in keywords:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise TypeError(
                f"EquipotCalculator has no keyword '{name}'; {hint}expected some of {', '.join(known)}"
            )


def _closest(edge_index: Tensor, vectors: Tensor) -> str:
    """The shortest distance, which is what breaks a prediction most often."""
    if vectors.shape[0] == 0:
        return "no atom has a neighbour, so the model itself is at fault"
    lengths = vectors.norm(dim=1)
    k = int(lengths.argmin())
    i, j = edge_index[:, k].tolist()
    return f"the closest atoms, {i} and {j}, are {float(lengths[k]):.3g} Å apart"
