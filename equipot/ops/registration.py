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
    cpu: Callable[..., Any],
    differentiable: Callable[..., Any] | None = None,
) -> None:
    """Register equipot::<schema>.

    Args:
        schema: name, arguments and result in torch's notation.
        reference: the operator in torch's own operators, for every device; torch differentiates it.
        cpu: on the CPU, without derivatives.
        differentiable: on the CPU, where derivatives may be asked for; None where the result has none.
    """
    name = schema.split("(")[0]
    # The LAMMPS plugin may have been here first, in a process that runs LAMMPS as a library.
    if not torch._C._jit_get_schemas_for_operator(f"equipot::{name}"):
        _library.define(schema)
        _library.impl(name, reference, "CompositeImplicitAutograd")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Oo]verriding a previously registered kernel")
        _library.impl(name, cpu, "CPU")
        if differentiable is not None:
            _library.impl(name, differentiable, "AutogradCPU")
