"""The optimizer: Muon for the matrices of a network, AdamW for all other parameters."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from equipot.network.interaction import Interaction
from equipot.network.linear import IrrepsLinear, SelfConnection
from equipot.network.potential import Potential

# The quintic of Jordan et al. (2024). Three steps bring singular values above a tenth of the norm to near one, and
# train as well as five.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 3

Cut = Callable[[Tensor], Tensor]


def orthogonalize(matrices: Tensor) -> Tensor:
    """The nearest (semi-)orthogonal matrices, roughly: U V^T of each U S V^T, by Newton-Schulz iterations.

    Args:
        matrices: (n, rows, columns) with rows <= columns, for speed. A matrix of zeros stays one.

    Source: K. Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024).
    """
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp_min(1e-30)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def matrix_cuts(potential: Potential) -> dict[str, list[Cut]]:
    """By name of a parameter that holds matrices: how to view each stack of them as (n, n_in, n_out).

    The maps between irreps are one matrix per irrep, and of the self-connection per species; that of norms to scalars
    is one; the last layer of a radial network is one per path of the convolution. A parameter holds its matrices side
    by side. Embedding and readout are not maps between hidden features and are left out.
    """
    found: dict[str, list[Cut]] = {}
    for name, module in potential.named_modules():
        if isinstance(module, IrrepsLinear | SelfConnection):
            rows = [(first, mul_in, mul_out) for _, _, mul_in, _, mul_out, first in module.blocks.tolist()]
            found[f"{name}.weight"] = [_block(*row) for row in rows]
        elif isinstance(module, Interaction):
            if module.norms is not None:
                found[f"{name}.norms.weight"] = [lambda w: w.unsqueeze(0)]
            last = len(module.radial.layers) - 1
            for i in range(last):
                found[f"{name}.radial.layers.{i}.weight"] = [lambda w: w.unsqueeze(0)]
            paths = [_columns(path.weights) for path in module.paths.paths]
            found[f"{name}.radial.layers.{last}.weight"] = paths
    return found


def _columns(which: slice) -> Cut:
    return lambda w: w[:, which].unsqueeze(0)


def _block(first: int, mul_in: int, mul_out: int) -> Cut:
    return lambda w: w[:, first : first + mul_in * mul_out].unflatten(1, (mul_in, mul_out))


class MuonAdamW(torch.optim.Optimizer):
    """Steps of one spectral size for matrices (Muon), AdamW for what is no matrix.

    A matrix W (n_in, n_out) moves by rate * sqrt(max(1, n_out / n_in)) along the orthogonalised momentum
    (Nesterov's). A matrix without a gradient in a step, as that of an element no frame of the batch has, rests.

    Args:
        potential: its parameters that require gradients are optimised.
        lr: rate of all.
        weight_decay: decoupled, of the matrices.
        momentum: decay of the mean of the gradients of matrices.
        betas: AdamW's.
    """

    def __init__(
        self,
        potential: Potential,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        cuts = matrix_cuts(potential)
        trained = [(n, p) for n, p in potential.named_parameters() if p.requires_grad]
        matrices = [(n, p) for n, p in trained if n in cuts]
        rest = [(n, p) for n, p in trained if n not in cuts]
        groups: list[dict[str, Any]] = []
        if matrices:
            groups.append({"params": [p for _, p in matrices], "matrices": True})
        if rest:
            groups.append({"params": [p for _, p in rest], "matrices": False})
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas}
        super().__init__(groups, defaults)
        # Matrices of one shape, wherever they are in the network, are orthogonalised in one call.
        self._stacks: dict[tuple[int, int], list[tuple[nn.Parameter, Cut]]] = {}
        for name, parameter in matrices:
            for cut in cuts[name]:
                _, n_in, n_out = cut(parameter).shape
                self._stacks.setdefault((n_in, n_out), []).append((parameter, cut))

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
                self._step_rest(group)
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        rate, momentum = group["lr"], group["momentum"]
        for parameter in group["params"]:
            if not self.state[parameter]:
                self.state[parameter]["mean"] = torch.zeros_like(parameter)
        for (n_in, n_out), members in self._stacks.items():
            members = [(p, cut) for p, cut in members if p.grad is not None]
            if not members:
                continue
            gradient = torch.cat([cut(p.grad) for p, cut in members])  # type: ignore[arg-type]
            means = [cut(self.state[p]["mean"]) for p, cut in members]
            mean = torch.cat(means)
            present = (gradient != 0).flatten(1).any(1)[:, None, None]
            mean = torch.where(present, mean.lerp(gradient, 1 - momentum), mean)
            wanted = gradient.lerp(mean, momentum)
            direction = orthogonalize(wanted.mT).mT if n_in > n_out else orthogonalize(wanted)
            change = torch.where(present, direction, 0.0) * (-rate * math.sqrt(max(1.0, n_out / n_in)))
            weights = [cut(p) for p, cut in members]
            if group["weight_decay"] > 0:
                change -= torch.where(present, torch.cat(weights), 0.0) * (rate * group["weight_decay"])
            counts = [len(w) for w in weights]
            torch._foreach_add_(weights, list(change.split(counts)))
            torch._foreach_copy_(means, list(mean.split(counts)))

    def _step_rest(self, group: dict[str, Any]) -> None:
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
