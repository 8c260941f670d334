"""The optimizer: Muon for the matrices of a network, AdamW for all other parameters."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from equipot.network.layer import MatrixView, layers_of
from equipot.network.potential import Potential

# The quintic polynomial of Jordan et al. (2024). Three steps bring singular values above a tenth of the norm close to
# one. Trainings with three steps are as good as with five.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 3


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return approximately the nearest (semi-)orthogonal matrices, U V^T of U S V^T, by Newton-Schulz iterations.

    Args:
        matrices: (n, rows, columns) with rows <= columns, for speed. A matrix of zeros stays zero.

    Source: K. Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024).
    """
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp_min(1e-30)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def matrix_views(network: nn.Module) -> dict[str, list[MatrixView]]:
    """Return views of all matrices of a network by name of the parameter, as its layers state them.

    A linear map has one matrix per irrep, a self-connection one per irrep and species. The map from norms to scalars is
    one matrix. The last layer of a radial network has one matrix per path of the convolution. A parameter holds its
    matrices side by side. Embedding and readout are left out, as they do not map hidden features to hidden features.
    """
    return {
        f"{name}.{parameter}": views
        for name, layer in layers_of(network)
        for parameter, views in layer.matrices().items()
    }


class MuonAdamW(torch.optim.Optimizer):
    """An optimizer that trains matrices by Muon and all other parameters by AdamW.

    torch.optim.Muon takes whole two-dimensional parameters, one call for each. Here a parameter holds many small
    matrices, and all matrices of one shape are orthogonalised in one call. The AdamW step is torch's function.

    A matrix W (n_in, n_out) moves by rate * sqrt(max(1, n_out / n_in)) along the orthogonalised Nesterov momentum. A
    matrix without a gradient does not move, for example the matrix of an element that no frame of the batch contains.

    Args:
        potential: the network; its parameters that require gradients are optimised.
        lr: learning rate of all parameters.
        weight_decay: decoupled weight decay of the matrices.
        momentum: decay of the mean of the gradients of matrices.
        betas: the betas of AdamW.
    """

    def __init__(
        self,
        potential: Potential,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        views = matrix_views(potential)
        trained = [(n, p) for n, p in potential.named_parameters() if p.requires_grad]
        matrices = [(n, p) for n, p in trained if n in views]
        others = [(n, p) for n, p in trained if n not in views]
        groups: list[dict[str, Any]] = []
        if matrices:
            groups.append({"params": [p for _, p in matrices], "matrices": True})
        if others:
            groups.append({"params": [p for _, p in others], "matrices": False})
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas}
        super().__init__(groups, defaults)
        # Matrices of one shape, wherever they are in the network, are orthogonalised in one call.
        self._stacks: dict[tuple[int, int], list[tuple[nn.Parameter, MatrixView]]] = {}
        for name, parameter in matrices:
            for view in views[name]:
                _, n_in, n_out = view(parameter).shape
                self._stacks.setdefault((n_in, n_out), []).append((parameter, view))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["matrices"]:
                self._step_matrices(group)
            else:
                self._step_adamw(group)
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        rate, momentum = group["lr"], group["momentum"]
        for parameter in group["params"]:
            if not self.state[parameter]:
                self.state[parameter]["mean"] = torch.zeros_like(parameter)
        for (n_in, n_out), members in self._stacks.items():
            members = [(p, view) for p, view in members if p.grad is not None]
            if not members:
                continue
            gradient = torch.cat([view(p.grad) for p, view in members])  # type: ignore[arg-type]
            means = [view(self.state[p]["mean"]) for p, view in members]
            mean = torch.cat(means)
            present = (gradient != 0).flatten(1).any(1)[:, None, None]
            mean = torch.where(present, mean.lerp(gradient, 1 - momentum), mean)
            lookahead = gradient.lerp(mean, momentum)
            direction = orthogonalize(lookahead.mT).mT if n_in > n_out else orthogonalize(lookahead)
            change = torch.where(present, direction, 0.0) * (-rate * math.sqrt(max(1.0, n_out / n_in)))
            weights = [view(p) for p, view in members]
            if group["weight_decay"] > 0:
                change -= torch.where(present, torch.cat(weights), 0.0) * (rate * group["weight_decay"])
            counts = [len(w) for w in weights]
            torch._foreach_add_(weights, list(change.split(counts)))
            torch._foreach_copy_(means, list(mean.split(counts)))

    def _step_adamw(self, group: dict[str, Any]) -> None:
        parameters = [p for p in group["params"] if p.grad is not None]
        for p in parameters:
            if not self.state[p]:
                self.state[p] = {
                    "step": torch.zeros(()),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        adamw(
            parameters,
            [p.grad for p in parameters],
            [self.state[p]["exp_avg"] for p in parameters],
            [self.state[p]["exp_avg_sq"] for p in parameters],
            [],
            [self.state[p]["step"] for p in parameters],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )
