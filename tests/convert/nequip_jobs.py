"""Models that nequip builds, and the structures they are evaluated for."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

TYPES = ["Si", "C"]
OPTIONS = {
    "_target_": "nequip.model.NequIPGNNModel",
    "seed": 5,
    "model_dtype": "float64",
    "type_names": TYPES,
    "r_max": 4.0,
    "num_layers": 2,
    "l_max": 1,
    "num_features": [8, 4],
    "parity": False,
    "type_embed_num_features": 6,
    "radial_mlp_width": 16,
    "avg_num_neighbors": 27.9,
    "per_type_energy_scales": {"Si": 0.9, "C": 1.3},
    "per_type_energy_shifts": {"Si": -1.5, "C": -2.5},
}
SHAPE = {
    "_target_": "nequip.model.PresetNequIPGNNModel",
    "type_embed_num_features": 5,
    "radial_mlp_width": 12,
}
ZBL = {"_target_": "nequip.nn.pair_potential.ZBL", "units": "metal", "chemical_species": TYPES}


def options_with(**changes: Any) -> dict[str, Any]:
    return {**OPTIONS, **changes}


def preset(name: str, features: list[int]) -> dict[str, Any]:
    left = {k: v for k, v in OPTIONS.items() if k not in ("num_layers", "l_max", "parity")}
    return {**left, **SHAPE, "preset": name, "num_features": features}


MODELS: dict[str, dict[str, Any]] = {
    "preset S, narrower": {"model": preset("S", [12, 6]), "packaged": True},
    "preset M, narrower": {"model": preset("M", [8, 4, 3])},
    "preset L, narrower": {"model": preset("L", [6, 4, 3, 2])},
    "preset XL, narrower": {"model": preset("XL", [8, 4, 3, 2, 2]), "packaged": True},
    # As the foundation potentials are: single precision, ZBL, energies of free atoms, fine-tuned averages.
    "single precision, as OAM L": {
        "model": {
            **preset("L", [6, 4, 3, 2]),
            "model_dtype": "float32",
            "pair_potential": ZBL,
            "bessel_trainable": False,
            "polynomial_cutoff_p": 6,
            "per_type_energy_shifts_trainable": True,
        },
        "ema": True,
        "packaged": True,
    },
    "everything": {
        "model": options_with(
            num_layers=3,
            l_max=2,
            parity=True,
            num_features=[6, 4, 3],
            radial_mlp_depth=2,
            num_bessels=6,
            bessel_trainable=True,
            per_type_energy_scales_trainable=True,
            per_type_energy_shifts_trainable=True,
            pair_potential=ZBL,
            # Not even the same both ways.
            per_edge_type_cutoff={"Si": {"C": 3.5}, "C": {"Si": 3.2, "C": 3.0}},
        ),
        "ema": True,
        "packaged": True,
    },
    "hidden readout": {
        "model": options_with(
            readout_mlp_hidden_layers_depth=1,
            readout_mlp_hidden_layers_width=7,
            readout_mlp_nonlinearity="gelu",
            per_type_energy_scales=1.4,
            per_type_energy_shifts=None,
            polynomial_cutoff_p=5,
        ),
        "packaged": True,
    },
    "linear readout of two layers": {
        "model": options_with(
            readout_mlp_hidden_layers_depth=1,
            readout_mlp_nonlinearity=None,
            avg_num_neighbors=0.5,
            radial_mlp_depth=0,
        ),
        "packaged": True,
    },
    "self-connection in the first layer": {
        "model": {
            **{
                k: v for k, v in OPTIONS.items() if k not in ("num_layers", "l_max", "num_features", "parity")
            },
            "_target_": "nequip.model.FullNequIPGNNModel",
            "radial_mlp_depth": [1, 1],
            "radial_mlp_width": [9, 9],
            "feature_irreps_hidden": ["4x1o + 3x0o + 8x0e + 2x2e", "5x0e"],
            "irreps_edge_sh": "0e + 1o + 2e",
            "learnable_shift": True,
        }
    },
    "input added to output": {
        "model": options_with(num_layers=4, l_max=1, num_features=[6, 4], parity=True, convnet_resnet=True),
        "packaged": True,
    },
    "scalars added in all layers": {
        "model": options_with(l_max=0, num_features=5, convnet_resnet=True),
    },
    "no self-connections": {
        "model": {
            **{
                k: v for k, v in OPTIONS.items() if k not in ("num_layers", "l_max", "num_features", "parity")
            },
            "_target_": "nequip.model.FullNequIPGNNModel",
            "radial_mlp_depth": [1, 1],
            "radial_mlp_width": [9, 9],
            "feature_irreps_hidden": ["8x0e + 4x1e", "5x0e"],
            "irreps_edge_sh": "0e + 1e",
            "convnet_sc": False,
        }
    },
    "single precision": {"model": options_with(model_dtype="float32"), "packaged": True},
    # The options are those of NequIP-LES. Its code for a short-range network is nequip's, which is what runs here.
    "short-range of NequIP-LES": {
        "model": options_with(num_layers=3, num_features=[6, 4], polynomial_cutoff_p=6),
        "written": {"use_les": False, "les_args": {"use_atomwise": False, "sigma": 1.0, "dl": 2.0}},
        "ema": True,
    },
    "fine-tuned": {
        "model": {
            "_target_": "nequip.model.modify",
            "modifiers": [
                {"modifier": "modify_PerTypeScaleShift", "shifts": {"C": -3.0}, "shifts_trainable": True}
            ],
            "model": {
                "_target_": "nequip.model.ModelFromPackage",
                "package_path": "FOLDER/everything.nequip.zip",
                "compile_mode": "eager",
            },
        },
        "ema": True,
        "packaged": True,
    },
}
FILES = [f"{name}.ckpt" for name in MODELS] + [
    f"{name}.nequip.zip" for name, job in MODELS.items() if job.get("packaged")
]


def structures() -> list[Atoms]:
    crystal = bulk("SiC", "zincblende", 4.4, cubic=True)
    crystal.rattle(0.2, seed=7)
    slab = bulk("SiC", "zincblende", 4.4, cubic=True)
    slab.rattle(0.1, seed=9)
    slab.pbc = [True, True, False]
    sheared = bulk("SiC", "zincblende", 4.2)
    sheared.set_cell(
        sheared.cell @ (np.eye(3) + 0.05 * np.random.default_rng(1).normal(size=(3, 3))), scale_atoms=True
    )
    cluster = Atoms("SiC2Si", positions=[[0, 0, 0], [1.7, 0.1, 0], [0.2, 1.9, 0.3], [1.1, 0.8, 2.1]])
    close = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 0.9]])
    tiny = Atoms("C", cell=[2.2, 2.3, 2.4], pbc=True)
    return [crystal, slab, sheared, cluster, close, tiny, Atoms("Si")]
