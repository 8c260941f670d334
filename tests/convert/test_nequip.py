"""NequIP's own models against what equipot reads from their files.

Models are built, trained for three steps and evaluated by nequip, in a process of the Python that the
environment variable EQUIPOT_NEQUIP_PYTHON names; nequip's results are the oracle.
"""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms

from equipot.calculators import EquipotCalculator
from equipot.convert.nequip import is_nequip, read_nequip
from equipot.convert.pickles import read_checkpoint
from equipot.errors import ModelFileError
from equipot.model_file import write_model
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from tests.models import model_input

from .nequip_jobs import FILES, ZBL, structures


def _results(potential: Potential, atoms: Atoms) -> dict[str, np.ndarray]:
    p = predict(potential, model_input(potential, atoms))
    found = {"energy": p.energy[0].numpy(), "forces": p.forces.numpy()}
    if atoms.pbc.all():
        found["stress"] = -p.virial[0].numpy()[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / atoms.get_volume()
    return found


def _largest_difference(found: Callable[[Atoms], dict[str, np.ndarray]], file: Path) -> float:
    """To nequip's results, eV, eV/Å and eV/Å³, in units of the largest number of that kind or 1."""
    expected = np.load(file.parent / (file.name.split(".")[0] + ".npz"))
    worst = 0.0
    for i, atoms in enumerate(structures()):
        for name, value in found(atoms).items():
            theirs = expected[f"{name}_{i}"]
            worst = max(worst, float(np.abs(value - theirs).max() / max(1.0, np.abs(theirs).max())))
    return worst


def _with_knots(potential: Potential, n_knots: int) -> Potential:
    changed = Potential(dataclasses.replace(potential.spec, n_knots=n_knots))
    changed.load_state_dict(potential.state_dict())
    return changed


@pytest.mark.parametrize("name", FILES)
def test_energies_forces_and_stresses_are_those_of_nequip(nequip_folder: Path, name: str) -> None:
    file = nequip_folder / name
    assert is_nequip(file)
    potential = read_nequip(file)
    # Rounding of single precision, then of the provisional splines, then of double precision.
    single = name.startswith("single")
    assert _largest_difference(lambda atoms: _results(potential, atoms), file) < (2e-6 if single else 1e-8)
    fine = _with_knots(potential, 2049)
    assert _largest_difference(lambda atoms: _results(fine, atoms), file) < (2e-6 if single else 1e-12)


def test_a_model_file_made_of_it_gives_the_same_in_ase(nequip_folder: Path, tmp_path: Path) -> None:
    file = nequip_folder / "everything.ckpt"
    write_model(tmp_path / "model.pt", _with_knots(read_nequip(file), 2049), training={})
    calculator = EquipotCalculator(tmp_path / "model.pt")

    def results(atoms: Atoms) -> dict[str, np.ndarray]:
        atoms.calc = calculator
        found = {"energy": np.array(atoms.get_potential_energy()), "forces": atoms.get_forces()}
        return {**found, "stress": atoms.get_stress()} if atoms.pbc.all() else found

    assert _largest_difference(results, file) < 1e-11


def test_the_weights_without_averaging_are_others(nequip_folder: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(nequip_folder / "everything.ckpt")
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = {k: v for k, v in state.items() if not k.startswith("ema.")}
    raw = tmp_path / "raw.ckpt"
    torch.save(checkpoint, raw)
    potential = read_nequip(raw)
    assert (
        _largest_difference(lambda atoms: _results(potential, atoms), nequip_folder / "everything.ckpt")
        > 1e-4
    )


def test_a_fine_tuned_checkpoint_says_which_package_it_misses(nequip_folder: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(nequip_folder / "fine-tuned.ckpt")
    checkpoint["hyper_parameters"]["model"]["model"]["package_path"] = str(tmp_path / "gone.nequip.zip")
    torch.save(checkpoint, tmp_path / "tuned.ckpt")
    with pytest.raises(ModelFileError, match=r"started from .*gone\.nequip\.zip"):
        read_nequip(tmp_path / "tuned.ckpt")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"convnet_nonlinearity_type": "norm"}, "norm"),
        ({"convnet_nonlinearity_gates": {"e": "silu", "o": "abs"}}, "abs"),
        ({"categorical_graph_field_embed": [{"field": "charge"}]}, "categorical_graph_field_embed"),
        ({"pair_potential": {"_target_": "nequip.nn.pair_potential.LennardJones"}}, "LennardJones"),
        ({"pair_potential": {**ZBL, "polynomial_cutoff_p": 4.0}}, "exponent 4"),
        ({"avg_num_neighbors": {"Si": 20.0, "C": 30.0}}, "avg_num_neighbors"),
        ({"type_names": ["Si", "carbon"]}, "carbon"),
        ({"use_les": True}, "use_les"),
        ({"polynomial_cutoff_p": 4.5}, "4.5"),
        ({"l_max": 2, "num_features": [6, 4, 2]}, "weights"),
        ({"_target_": "allegro.model.AllegroModel"}, "allegro.model.AllegroModel"),
        ({"_target_": "nequip.model.ZBLPairPotential"}, "ZBLPairPotential"),
    ],
)
def test_what_equipot_does_not_have_is_named(
    nequip_folder: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    checkpoint = read_checkpoint(nequip_folder / "everything.ckpt")
    checkpoint["hyper_parameters"]["model"].update(copy.deepcopy(changes))
    torch.save(checkpoint, tmp_path / "changed.ckpt")
    with pytest.raises(ModelFileError, match=sentence):
        read_nequip(tmp_path / "changed.ckpt")


def test_checkpoints_of_nequip_before_0_7_are_refused(nequip_folder: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(nequip_folder / "hidden readout.ckpt")
    checkpoint["hyper_parameters"]["info_dict"]["versions"]["nequip"] = "0.6.2"
    torch.save(checkpoint, tmp_path / "changed.ckpt")
    with pytest.raises(ModelFileError, match=r"nequip 0\.6\.2; expected 0\.7 or newer"):
        read_nequip(tmp_path / "changed.ckpt")


def test_a_checkpoint_without_some_weights_names_them(nequip_folder: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(nequip_folder / "hidden readout.ckpt")
    name = next(k for k in checkpoint["state_dict"] if k.endswith("layer1_convnet.conv.linear_2.weight"))
    del checkpoint["state_dict"][name]
    torch.save(checkpoint, tmp_path / "changed.ckpt")
    with pytest.raises(ModelFileError, match=r"layer1_convnet\.conv\.linear_2\.weight"):
        read_nequip(tmp_path / "changed.ckpt")
