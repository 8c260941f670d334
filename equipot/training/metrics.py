"""Mean absolute and root mean square errors, summed over batches of any size and over ranks."""

import warnings

import torch
from torch import Tensor
from torchmetrics import Metric

from equipot.quantities import LABELS
from equipot.training.loss import Residuals


class ErrorSums(Metric):
    """The MAE and RMSE of all numbers that were added, from float64 sums."""

    full_state_update = False
    absolute: Tensor
    squared: Tensor
    count: Tensor

    def __init__(self, over_ranks: bool) -> None:
        super().__init__(sync_on_compute=over_ranks)
        for name in ("absolute", "squared", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, error: Tensor) -> None:
        error = error.detach().to(torch.float64)
        self.absolute += error.abs().sum()
        self.squared += error.square().sum()
        self.count += error.numel()

    def compute(self) -> dict[str, Tensor]:
        """Return MAE and RMSE; NaN if no number was added."""
        return {"mae": self.absolute / self.count, "rmse": (self.squared / self.count).sqrt()}


class LabelErrors(torch.nn.Module):
    """The errors of all labelled quantities, in the units of the labels; energies per atom.

    over_ranks: sum over all processes, each of which must then call `compute`; otherwise, only over this one.
    """

    def __init__(self, over_ranks: bool = True) -> None:
        super().__init__()
        self.sums = torch.nn.ModuleDict({q.name: ErrorSums(over_ranks) for q in LABELS})

    def update(self, residuals: Residuals) -> None:
        for name, residual in residuals.items():
            self.sums[name].update(residual.error)  # type: ignore[operator]

    def compute(self) -> dict[str, float]:
        """Return {"forces_rmse": …, "forces_mae": …, …} for the labels that occurred, and reset the sums."""
        values = {}
        for q in LABELS:
            metric = self.sums[q.name]
            with warnings.catch_warnings():  # torchmetrics warns about a label that never occurred
                warnings.filterwarnings("ignore", message="The ``compute`` method of metric")
                errors = metric.compute()  # type: ignore[operator]
            for kind, value in errors.items():
                if not torch.isnan(value):
                    values[f"{q.error_name}_{kind}"] = float(value)
            metric.reset()  # type: ignore[operator]
        return values
