"""How an operator of equipot becomes known to torch."""

import warnings
from collections.abc import Callable
from typing import Any

import torch

# Kept as long as the process: a registration ends with its object.
_library = torch.library.Library("equipot", "FRAGMENT")


def register(
    schema: str,
    reference: Callable[..., Any],
    compiled: Callable[..., Any],
    differentiable: Callable[..., Any] | None = None,
) -> None:
    """Register equipot::<schema>.

    Args:
        schema: name, arguments and result in torch's notation.
        reference: the operator in torch's own operators, for every device; torch differentiates it.
        compiled: on the CPU and on NVIDIA GPUs, without derivatives.
        differentiable: there, where derivatives may be asked for; None where the result has none.
    """
    name = schema.split("(")[0]
    # The LAMMPS plugin may have been here first, in a process that runs LAMMPS as a library.
    if not torch._C._jit_get_schemas_for_operator(f"equipot::{name}"):
        _library.define(schema)
        _library.impl(name, reference, "CompositeImplicitAutograd")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Oo]verriding a previously registered kernel")
        for device in ("CPU", "CUDA"):
            _library.impl(name, compiled, device)
            if differentiable is not None:
                _library.impl(name, differentiable, f"Autograd{device}")
