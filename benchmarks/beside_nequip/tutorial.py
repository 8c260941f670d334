"""The settings of nequip's own tutorial (configs/tutorial.yaml of nequip 0.19), for the public sets.

Unchanged: the network (4 layers, l = 1, 32 features, parity, radial network 2 x 64, ZBL), Adam at 0.01 with its plateau
schedule, batches of 5, EMA 0.999, loss weights, float32. Changed: files and elements, processor instead of GPU, no
compilation (it takes longer than the comparison), a time limit in place of a patience, reference energies of isolated
atoms where the set has them, as the tutorial recommends, and errors as RMSE.
"""

import time
from typing import Any

CUTOFF = 5.0


def settings(
    files: dict[str, str], elements: list[str], e0: dict[str, float] | None, seconds: float, seed: int
) -> dict[str, Any]:
    """Return a config for `nequip-train`, as plain values; files: train, validation, test; e0: eV by element."""
    monitored = "val0_epoch/weighted_sum"
    metrics = {
        "_target_": "nequip.train.EnergyForceMetrics",
        "coeffs": {
            "total_energy_mae": 1.0,
            "forces_mae": 1.0,
            "per_atom_energy_rmse": None,
            "forces_rmse": None,
        },
    }
    loader = {"_target_": "torch.utils.data.DataLoader", "num_workers": 0}
    return {
        "run": ["train", "test"],
        "data": {
            "_target_": "nequip.data.datamodule.ASEDataModule",
            "seed": seed,
            "train_file_path": files["train"],
            "val_file_path": files["validation"],
            "test_file_path": files["test"],
            "transforms": [
                {
                    "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
                    "model_type_names": elements,
                    "chemical_species_to_atom_type_map": {e: e for e in elements},
                },
                {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": CUTOFF},
            ],
            "train_dataloader": {**loader, "batch_size": 5, "shuffle": True},
            "val_dataloader": {**loader, "batch_size": 10},
            "test_dataloader": {**loader, "batch_size": 10},
            "stats_manager": {
                "_target_": "nequip.data.CommonDataStatisticsManager",
                "dataloader_kwargs": {"batch_size": 10},
                "type_names": elements,
            },
        },
        "trainer": {
            "_target_": "lightning.Trainer",
            "accelerator": "cpu",
            "enable_checkpointing": True,
            "max_epochs": 100000,
            "max_time": time.strftime("00:%H:%M:%S", time.gmtime(seconds)),
            "check_val_every_n_epoch": 1,
            "enable_progress_bar": False,
            "logger": {
                "_target_": "lightning.pytorch.loggers.CSVLogger",
                "save_dir": "${hydra:runtime.output_dir}",
                "name": "metrics",
            },
            "callbacks": [
                {
                    "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
                    "monitor": monitored,
                    "dirpath": "${hydra:runtime.output_dir}",
                    "filename": "best",
                    "save_last": True,
                }
            ],
        },
        "training_module": {
            "_target_": "nequip.train.EMALightningModule",
            "ema_decay": 0.999,
            "loss": {
                "_target_": "nequip.train.EnergyForceLoss",
                "per_atom_energy": True,
                "coeffs": {"total_energy": 1.0, "forces": 1.0},
            },
            "val_metrics": metrics,
            "train_metrics": metrics,
            "test_metrics": metrics,
            "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
            "lr_scheduler": {
                "scheduler": {
                    "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
                    "factor": 0.6,
                    "patience": 5,
                    "threshold": 0.2,
                    "min_lr": 1e-6,
                },
                "monitor": monitored,
                "interval": "epoch",
                "frequency": 1,
            },
            "model": {
                "_target_": "nequip.model.NequIPGNNModel",
                "compile_mode": "eager",
                "seed": seed,
                "model_dtype": "float32",
                "type_names": elements,
                "r_max": CUTOFF,
                "num_bessels": 8,
                "bessel_trainable": False,
                "polynomial_cutoff_p": 6,
                "num_layers": 4,
                "l_max": 1,
                "parity": True,
                "num_features": 32,
                "radial_mlp_depth": 2,
                "radial_mlp_width": 64,
                "avg_num_neighbors": "${training_data_stats:num_neighbors_mean}",
                "per_type_energy_scales": "${training_data_stats:per_type_forces_rms}",
                "per_type_energy_shifts": e0 or "${training_data_stats:per_atom_energy_mean}",
                "per_type_energy_scales_trainable": False,
                "per_type_energy_shifts_trainable": False,
                "pair_potential": {
                    "_target_": "nequip.nn.pair_potential.ZBL",
                    "units": "metal",
                    "chemical_species": elements,
                },
            },
        },
        "global_options": {"allow_tf32": False},
    }
