"""Small random models and structures for the tests, and the plain way from a structure to the model's input."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from equipot.config import ModelConfig
from equipot.contract import Inputs
from equipot.neighbours import neighbour_list
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec
from equipot.network.variants import with_members, without_uncertainty

# Hidden features of every kind: natural parity, both parities, SO(3)-style, uneven channels, gaps in l, scalars only.
KINDS = {
    "natural": {"l_max": 2, "features": [4, 3, 2]},
    "full": {"l_max": 2, "features": [4, 3, 2], "parity": "full"},
    "even": {"l_max": 2, "features": [4, 3, 2], "parity": "even"},
    "gaps": {"irreps": "5x0e+2x2e+3x1o+1x1e", "n_layers": 3},
    "l4": {"l_max": 4, "features": 2},
    "scalar": {"l_max": 0, "features": 4},
    "norms": {"irreps": "5x0e+2x0o+3x1o+1x1e+2x2e", "n_layers": 3, "norms": True},
    "layer norm": {"irreps": "5x0e+2x0o+3x1o+1x1e+2x2e", "n_layers": 3, "layer_norm": True},
    "extras": {
        "l_max": 1,
        "features": [4, 3],
        "repulsion": "zbl",
        "readout_hidden": 5,
        "pair_cutoffs": {"Si-O": 3.1},
        "envelope": "xplor",
        "spline": "quintic",
        "radial_depth": 2,
    },
    # What networks of other packages have beyond what a config can ask for.
    "foreign": {
        "l_max": 2,
        "features": [4, 3, 2],
        "parity": "even",
        "envelope": "xplor",
        "xplor_onset": 0.9,
        "knots": 101,
        "spline": "quintic",
        "spec": {
            "self_connections": ["linear", "species"],
            "neighbours_of": "neighbour",
            "biases": True,
            "frequencies": [0.3, 2.9, 6.5],
            "solid_harmonics": True,
            "radial_hidden": [8, 6],
            "radial_activation": "ssp",
            "readout_hidden": [5, 4],
            "readout_activation": "tanh",
        },
    },
}


# What the presets of ours have.
OURS = {
    "n_layers": 3,
    "l_max": 2,
    "features": [4, 3, 2],
    "norms": True,
    "residual": True,
    "bound": 2.0,
    "stretch": 3.0,
}


def make_potential(seed: int = 0, species: tuple[str, ...] = ("Si", "O"), **model: object) -> Potential:
    """A potential with random weights; `model` are keys of a config's model section, `spec` of the PotentialSpec."""
    options = {"preset": "tiny", "cutoff": 4.0, "dtype": "float64", "repulsion": "none", **model}
    changes: Any = options.pop("spec", {})
    n = len(species)
    spec = PotentialSpec.from_config(
        ModelConfig.model_validate(options),
        list(species),
        e0=[-1.5 - s for s in range(n)],
        scales=[0.9 + 0.2 * s for s in range(n)],
        neighbours=[11.0 + s for s in range(n)],
    )
    potential = Potential(replace(spec, **changes), seed=seed)
    rng = torch.Generator().manual_seed(seed)
    for name, parameter in potential.named_parameters():
        if name.endswith(("bias", "layer_norm.weight")):  # they start at zero and at one
            parameter.data.copy_(torch.randn(parameter.shape, generator=rng, dtype=torch.float64))
    return potential


def random_atoms(
    n: int = 6, seed: int = 0, pbc: bool | tuple = True, species: tuple[str, ...] = ("Si", "O")
) -> Atoms:
    """Atoms in a skewed box of 5 Å, no two closer than 1.2 Å."""
    rng = np.random.default_rng(seed)
    cell = 5.0 * np.eye(3) + rng.uniform(-0.7, 0.7, (3, 3))
    while True:
        atoms = Atoms(rng.choice(species, n), scaled_positions=rng.random((n, 3)), cell=cell, pbc=pbc)
        distances = atoms.get_all_distances(mic=bool(np.all(pbc))) + 9 * np.eye(n)
        if distances.min() > 1.2:
            return atoms


def with_random_committee(potential: Potential, n_members: int = 5, seed: int = 0) -> Potential:
    """The potential with members whose last weights differ by random numbers."""
    rng, d = torch.Generator().manual_seed(seed), potential.read.width
    deltas = 0.1 * torch.randn(n_members, d, generator=rng, dtype=torch.float64)
    factor = torch.randn(d, d, generator=rng, dtype=torch.float64).tril()
    return with_members(potential, deltas, factor)


def explicit_members(potential: Potential) -> list[Potential]:
    """The members of a potential as potentials of their own."""
    models = []
    for delta in potential.members.deltas:
        model = without_uncertainty(potential)
        last = model.read.layers[-1].weight
        last.data += delta.to(last.dtype)
        models.append(model)
    return models


def model_input(potential: Potential, atoms: Atoms, cutoff: float | None = None) -> Inputs:
    """A structure as the potential's input; with pair cutoffs, unless a cutoff is given."""
    species = np.array([potential.type_names.index(s) for s in atoms.symbols], dtype=np.int64)
    edge_index, _, vectors = neighbour_list(
        atoms.positions,
        np.asarray(atoms.cell),
        atoms.pbc,
        cutoff or potential.cutoff,
        species=species,
        pair_cutoffs=None if cutoff else potential.pair_cutoffs.numpy(),
    )
    return Inputs(
        torch.from_numpy(species),
        torch.from_numpy(edge_index),
        torch.from_numpy(vectors),
        torch.from_numpy(atoms.positions.copy()),
        torch.from_numpy(atoms.cell.array.copy())[None],
        torch.from_numpy(np.array(atoms.pbc))[None],
        torch.zeros(len(atoms), dtype=torch.int64),
    )


def energy(potential: Potential, atoms: Atoms) -> float:
    return float(potential(model_input(potential, atoms))["energies"].sum().detach())


def random_rotation(seed: int = 0) -> NDArray:
    """A proper rotation matrix."""
    from scipy.spatial.transform import Rotation

    return Rotation.random(None, np.random.default_rng(seed)).as_matrix()
