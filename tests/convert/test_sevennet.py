"""SevenNet's own models against what equipot reads from their checkpoints.

Models are built, saved and evaluated by SevenNet, in a process of the Python that the environment variable
EQUIPOT_SEVENN_PYTHON names; its results in float64 are the oracle.
"""

import copy
import dataclasses
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from equipot.calculators import EquipotCalculator
from equipot.convert import convert
from equipot.convert.pickles import read_checkpoint
from equipot.convert.sevennet import is_sevennet, read_sevennet
from equipot.errors import ModelFileError
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from tests.models import model_input

SEVENN = os.environ.get("EQUIPOT_SEVENN_PYTHON")
pytestmark = [
    pytest.mark.skipif(not SEVENN, reason="EQUIPOT_SEVENN_PYTHON does not name a Python that has sevenn"),
]

TYPES = ["Si", "C", "H"]  # SevenNet sorts them
BASE = {
    "cutoff": 4.0,
    "channel": 6,
    "lmax": 1,
    "num_convolution_layer": 2,
    "weight_nn_hidden_neurons": [8, 8],
    "shift": -1.25,
    "scale": 1.75,
}
XPLOR = {"cutoff_function_name": "XPLOR", "cutoff_on": 3.6}
EVERY_USE = {
    "use_modal_node_embedding": True,
    "use_modal_self_inter_intro": True,
    "use_modal_self_inter_outro": True,
    "use_modal_output_block": True,
}


def _options(**changes: Any) -> dict[str, Any]:
    return {**BASE, **changes}


def _modal(**changes: Any) -> dict[str, Any]:
    return _options(modalities=["PBE", "R2SCAN"], is_parity=False, **changes)


# The published networks of full parity, narrower: other irreps in every layer, and odd scalars in one of them.
FULL_PARITY = {
    "is_parity": True,
    "lmax": 3,
    "num_convolution_layer": 5,
    "irreps_manual": [
        "8x0e",
        "8x0e+4x1o+2x2e+2x3o",
        "8x0e+4x1o+4x1e+2x2o+2x2e+2x3o+2x3e",
        "8x0o+8x0e+4x1o+4x1e+2x2o+2x2e+2x3o+2x3e",
        "8x0e+4x1o+2x2e+2x3o",
        "8x0e",
    ],
    "cutoff_function": XPLOR,
    "self_connection_type": "nequip",
}
MF_OMPA = {
    **FULL_PARITY,
    "use_modal_self_inter_intro": True,
    "use_modal_self_inter_outro": True,
    "use_modal_output_block": True,
    "use_modal_wise_shift": True,
}
MANY = ["mpa", "omat24", "matpes_pbe", "matpes_r2scan", "mp_r2scan", "omol25_low", "omol25_high", "oc20", "oc22",
        "odac23", "omc", "spice", "qcml"]  # fmt: skip


def _shifts(modalities: list[str]) -> list[list[float]]:
    """By modality and species."""
    return [[-1.5 - 0.25 * k, 2.5 - 0.125 * k, -3.25] for k in range(len(modalities))]


MODELS: dict[str, dict[str, Any]] = {
    "as MF ompa": _options(**MF_OMPA, modalities=["mpa", "omat24"], shift=_shifts(["mpa", "omat24"])),
    "as Omni": _options(
        **MF_OMPA,
        modalities=MANY,
        evaluated=["mpa", "oc20", "qcml"],
        shift=_shifts(MANY),
        use_modal_node_embedding=True,
    ),
    "as OMat": _options(**FULL_PARITY, shift=[-1.5, 2.5, -3.25]),
    "parity, l up to 1": _options(is_parity=True),
    "parity, l up to 2, three layers": _options(is_parity=True, lmax=2, channel=4, num_convolution_layer=3),
    "parity, l up to 3": _options(is_parity=True, lmax=3, channel=3),
    "even, l up to 2": _options(is_parity=False, lmax=2),
    "even, l up to 3": _options(is_parity=False, lmax=3, channel=4),
    "one layer": _options(is_parity=False, num_convolution_layer=1),
    "edges of higher l than nodes": _options(is_parity=False, lmax=1, lmax_edge=3, lmax_node=2),
    "irreps by hand": _options(
        is_parity=False,
        lmax=2,
        irreps_manual=["7x0e", "8x0e+4x1e+2x2e", "5x0e"],
    ),
    "irreps by hand, with parity": _options(
        is_parity=True,
        lmax=2,
        num_convolution_layer=3,
        irreps_manual=["6x0e", "8x0e+4x1o+2x2e", "5x0e+3x1o+2x1e+3x2o", "5x0e"],
    ),
    "odd scalars first": _options(
        is_parity=True,
        num_convolution_layer=4,
        irreps_manual=["6x0e", "4x0e+4x1o", "4x0e+3x1o+2x1e", "3x0o+5x0e+2x1e+3x1o", "5x0e"],
    ),
    "linear self-connections": _options(is_parity=False, lmax=2, self_connection_type="linear"),
    "linear self-connections, parity": _options(is_parity=True, lmax=2, self_connection_type="linear"),
    "self-connections by layer": _options(
        is_parity=False, num_convolution_layer=3, self_connection_type=["linear", "nequip", "linear"]
    ),
    "biases": _options(is_parity=False, use_bias_in_linear=True),
    "biases, parity, linear self-connections": _options(
        is_parity=True, lmax=2, use_bias_in_linear=True, self_connection_type="linear"
    ),
    "readout by relu": _options(
        is_parity=False,
        readout_as_fcn=True,
        readout_fcn_hidden_neurons=[9, 5],
        readout_fcn_activation="relu",
    ),
    "readout by silu": _options(
        is_parity=True,
        readout_as_fcn=True,
        readout_fcn_hidden_neurons=[7],
        readout_fcn_activation="silu",
    ),
    "readout by tanh, no hidden layer of it": _options(
        is_parity=False, readout_as_fcn=True, readout_fcn_hidden_neurons=[], readout_fcn_activation="tanh"
    ),
    "xplor": _options(is_parity=False, cutoff_function=XPLOR),
    "another power of the polynomial": _options(
        is_parity=False, cutoff_function={"cutoff_function_name": "poly_cut", "poly_cut_p_value": 5}
    ),
    "denominators by layer": _options(
        is_parity=False,
        num_convolution_layer=3,
        train_denominator=True,
        denominators=[5.5, 0.6, 2.25],
    ),
    "unequal widths": _options(is_parity=False, weight_nn_hidden_neurons=[5, 12, 7]),
    "no hidden radial layer": _options(is_parity=False, weight_nn_hidden_neurons=[]),
    "radial ssp": _options(is_parity=False, act_radial="ssp"),
    "radial tanh": _options(is_parity=False, act_radial="tanh"),
    "solid harmonics": _options(is_parity=False, lmax=3, channel=4, _normalize_sph=False),
    "solid harmonics, parity": _options(is_parity=True, lmax=2, _normalize_sph=False),
    "few frequencies, not trained": _options(
        is_parity=False,
        radial_basis={"radial_basis_name": "bessel", "bessel_basis_num": 5, "trainable_coeff": False},
    ),
    "shifts and scales by species": _options(
        is_parity=False, shift=[-1.5, 2.5, -3.25], scale=[0.75, 1.5, 2.0]
    ),
    "shifts by species, one scale": _options(
        is_parity=False, shift=[-1.5, 2.5, -3.25], train_shift_scale=True
    ),
    "modalities, nowhere": _modal(),
    **{f"modalities, {key[10:]}": _modal(**{key: True}) for key in EVERY_USE},
    "modalities, shifts": _modal(
        use_modal_wise_shift=True, shift={"PBE": -1.5, "R2SCAN": 2.5}, use_modal_node_embedding=True
    ),
    "modalities, scales": _modal(
        use_modal_wise_scale=True, scale={"PBE": 0.75, "R2SCAN": 2.0}, shift=[-1.5, 2.5, -3.25]
    ),
    "modalities, everywhere, with biases": _modal(
        **EVERY_USE,
        use_bias_in_linear=True,
        use_modal_wise_shift=True,
        use_modal_wise_scale=True,
        self_connection_type="linear",
        cutoff_function=XPLOR,
    ),
    "as SevenNet-0": _options(
        is_parity=False,
        lmax=2,
        num_convolution_layer=3,
        irreps_manual=["8x0e", "8x0e+4x1e+2x2e", "8x0e+4x1e+2x2e", "8x0e"],
        cutoff_function=XPLOR,
        self_connection_type="linear",
        train_denominator=True,
        denominators=[5.5, 4.5, 6.25],
        shift=[-1.5, 2.5, -3.25],
    ),
}
SHIPPED = {"7net-0": None, "7net-0_22May2024": None, "7net-l3i5": None, "7net-mf-0": "PBE"}
NAMES = [
    (name, modality)
    for name, options in MODELS.items()
    for modality in options.get("evaluated", options.get("modalities", [None]))
]


def _structures() -> list[Atoms]:
    crystal = bulk("SiC", "zincblende", 4.4, cubic=True)
    crystal.rattle(0.2, seed=7)
    slab = bulk("SiC", "zincblende", 4.4, cubic=True)
    slab.symbols[3] = "H"
    slab.rattle(0.1, seed=9)
    slab.pbc = [True, True, False]
    cluster = Atoms("SiC2HSi", [[0, 0, 0], [1.7, 0.1, 0], [0.2, 1.9, 0.3], [2.6, 0.8, 0.1], [1.1, 0.8, 2.1]])
    tiny = Atoms("C", cell=[[2.2, 0.1, 0], [0, 2.3, 0.3], [0, 0, 2.4]], pbc=True)
    far = Atoms("SiH", [[0, 0, 0], [0, 0, 3.97]])
    return [crystal, slab, cluster, tiny, far, Atoms("Si"), Atoms("H", cell=[9, 9, 9], pbc=True)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the models' files and results."""
    assert SEVENN is not None
    path = tmp_path_factory.mktemp("sevennet")
    ase.io.write(path / "structures.traj", _structures())
    request = {
        "folder": str(path),
        "structures": str(path / "structures.traj"),
        "types": TYPES,
        "models": MODELS,
        "shipped": SHIPPED,
    }
    (path / "request.json").write_text(json.dumps(request))
    done = subprocess.run(
        [SEVENN, Path(__file__).with_name("sevennet_models.py"), path / "request.json"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return path


def _results(potential: Potential, atoms: Atoms) -> dict[str, np.ndarray]:
    p = predict(potential, model_input(potential, atoms))
    found = {"energy": p.energy[0].numpy(), "forces": p.forces.numpy()}
    if atoms.pbc.all():
        found["stress"] = -p.virial[0].numpy()[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / atoms.get_volume()
    return found


def _largest_difference(potential: Potential, oracle: Path) -> float:
    """To SevenNet's results, eV, eV/Å and eV/Å³, in units of the largest number of that kind or 1."""
    expected = np.load(oracle)
    worst = 0.0
    for i, atoms in enumerate(_structures()):
        for name, value in _results(potential, atoms).items():
            theirs = expected[f"{name}_{i}"]
            worst = max(worst, float(np.abs(value - theirs).max() / max(1.0, np.abs(theirs).max())))
    return worst


def _fine(potential: Potential) -> Potential:
    """With splines so fine that they are the radial networks."""
    changed = Potential(dataclasses.replace(potential.spec, spline_order=3, n_knots=2001))
    changed.load_state_dict(potential.state_dict())
    return changed


@pytest.mark.parametrize(("name", "modality"), NAMES)
def test_energies_forces_and_stresses_are_those_of_sevennet(
    folder: Path, name: str, modality: str | None
) -> None:
    checkpoint = read_checkpoint(folder / f"{name}.pth")
    assert is_sevennet(checkpoint)
    potential, _ = read_sevennet(checkpoint, modality)
    oracle = folder / (f"{name}-{modality}.npz" if modality else f"{name}.npz")
    assert _largest_difference(_fine(potential), oracle) < 1e-10


@pytest.mark.parametrize("name", list(SHIPPED))
def test_shipped_models_of_every_age_are_read(folder: Path, name: str) -> None:
    checkpoint = read_checkpoint(Path((folder / f"{name}.path").read_text()))
    potential, _ = read_sevennet(checkpoint, SHIPPED[name])
    assert len(potential.type_names) == 89
    # Their Clebsch-Gordan coefficients are rounded to float32, in SevenNet's float64 calculator too.
    assert _largest_difference(_fine(potential), folder / f"{name}.npz") < 1e-6


def test_converted_files_keep_the_tolerance_in_ase(folder: Path, tmp_path: Path) -> None:
    name, modality = "modalities, everywhere, with biases", "R2SCAN"
    done = convert(folder / f"{name}.pth", tmp_path / "model.pt", modality=modality, dtype="float64")
    assert done.origin["modality"] == modality
    calculator = EquipotCalculator(done.path)
    expected = np.load(folder / f"{name}-{modality}.npz")
    for i, atoms in enumerate(_structures()):
        atoms.calc = calculator
        assert np.abs(atoms.get_forces() - expected[f"forces_{i}"]).max() < 1e-5
        assert abs(atoms.get_potential_energy() - expected[f"energy_{i}"]) < 1e-5 * len(atoms)


def _config(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda checkpoint: checkpoint["config"].update(changes)


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda checkpoint: checkpoint["model_state_dict"].pop(name)


def _cut(checkpoint: dict[str, Any]) -> None:
    state = checkpoint["model_state_dict"]
    state["0_self_interaction_2.linear.weight"] = state["0_self_interaction_2.linear.weight"][:-1]


def _other_coefficients(checkpoint: dict[str, Any]) -> None:
    """Old checkpoints hold them."""
    name = "1_convolution.convolution._compiled_main_left_right._w3j_2_2_0"
    checkpoint["model_state_dict"][name] = torch.ones(5, 5, 1)


# What is spoiled, and what the sentence must say.
REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another network": (_config(interaction_type="mace"), "interaction_type mace; expected nequip"),
    "another activation": (_config(act_scalar={"e": "ssp", "o": "tanh"}), "expected silu and tanh"),
    "another radial activation": (_config(act_radial="abs"), "act_radial abs"),
    "another readout": (
        _config(readout_as_fcn=True, readout_fcn_hidden_neurons=[3], readout_fcn_activation="elu"),
        "the readout's activation is elu",
    ),
    "another envelope": (
        _config(cutoff_function={"cutoff_function_name": "cosine"}),
        "cutoff function cosine",
    ),
    "unknown self-connections": (_config(self_connection_type="MACE"), "expected none, nequip or linear"),
    "no version": (_config(version=""), "SevenNet version ''"),
    "a missing weight": (
        _without("0_self_interaction_1.linear.weight"),
        "0_self_interaction_1.linear.weight",
    ),
    "a weight of another size": (_cut, "a linear map from"),
    "other Clebsch-Gordan coefficients": (_other_coefficients, "Clebsch-Gordan coefficients for l = 2, 2, 0"),
    "vectors before scalars": (_config(irreps_manual=["6x0e", "6x1e+6x0e", "6x0e"]), "scalars first"),
    "an irrep twice": (_config(irreps_manual=["6x0e", "3x0e+3x0e+6x1e", "6x0e"]), "each irrep once"),
    "no even scalars": (_config(irreps_manual=["6x0e", "6x1e", "6x0e"]), "0e among them"),
    "an irrep out of nothing": (
        _config(irreps_manual=["6x0e", "6x0e+6x1o", "6x0e"]),
        "can reach (0e, 1e, 2e)",
    ),
    "a word for a number": (_config(cutoff="far"), "not as SevenNet writes it"),
    "a list for a number": (_config(num_convolution_layer=[2]), "not as SevenNet writes it"),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_networks_that_equipot_does_not_have_are_refused_by_name(folder: Path, what: str) -> None:
    spoil, sentence = REFUSED[what]
    checkpoint = copy.deepcopy(read_checkpoint(folder / "even, l up to 2.pth"))
    spoil(checkpoint)
    with pytest.raises(ModelFileError) as refusal:
        read_sevennet(checkpoint)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_modality_must_be_one_that_the_model_has(folder: Path) -> None:
    checkpoint = read_checkpoint(folder / "modalities, everywhere, with biases.pth")
    with pytest.raises(ModelFileError, match="modalities PBE, R2SCAN, but none was given"):
        read_sevennet(checkpoint)
    with pytest.raises(ModelFileError, match="but 'SCAN' was given"):
        read_sevennet(checkpoint, "SCAN")
    with pytest.raises(ModelFileError, match="leave --modality out"):
        read_sevennet(read_checkpoint(folder / "biases.pth"), "PBE")
