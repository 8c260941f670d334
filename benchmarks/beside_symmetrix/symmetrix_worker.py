"""Tasks for symmetrix-xl: a MACE network with random weights in its format, and steps of its calculator."""

import functools
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

torch.serialization.add_safe_globals([slice])  # in the constants of the e3nn that mace-torch needs
from e3nn import o3  # noqa: E402
from mace import modules  # noqa: E402
from symmetrix import Symmetrix  # noqa: E402
from symmetrix.cli.extract_mace import main as extract  # noqa: E402

from benchmarks.foundation.calculator_tasks import calculator_tasks  # noqa: E402

VERSIONS = {name: version(name) for name in ("symmetrix-xl", "mace-torch", "torch")}
# The architecture of MACE-MP-0 "medium"; radial widths and neighbours are those of its files, too.
CUTOFF = 6.0


def network(request: dict[str, Any]) -> dict[str, str]:
    """{"folder", "irreps"}: write a network for silicon; return the path of its file."""
    torch.manual_seed(1)
    model = modules.ScaleShiftMACE(
        r_max=CUTOFF,
        num_bessel=10,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        num_interactions=2,
        num_elements=1,
        hidden_irreps=o3.Irreps(request["irreps"]),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.array([-1.0]),
        avg_num_neighbors=46.0,
        atomic_numbers=[14],
        correlation=3,
        gate=torch.nn.functional.silu,
        radial_MLP=[64, 64, 64],
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )
    folder = Path(request["folder"])
    torch.save(model, folder / "mace.model")
    extract(["--model", str(folder / "mace.model"), "--output", str(folder / "mace.json")])
    return {"path": str(folder / "mace.json")}


_calculator = functools.lru_cache(maxsize=1)(
    lambda path: Symmetrix(path, dtype="float32", execution_profile="speed")
)
TASKS = {"network": network, **calculator_tasks(lambda request: _calculator(request["model"]))}
