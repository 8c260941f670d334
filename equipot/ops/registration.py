"""The registration of equipot's operators with torch."""

import warnings
from collections.abc import Callable
from typing import Any

import torch

# It lives as long as the process, because registrations end with this object.
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
        reference: the operator in plain torch, for every device; torch differentiates it.
        compiled: the kernel for CPU and CUDA, without derivatives.
        differentiable: the autograd kernel for CPU and CUDA; None for integer results.
    """
    name = schema.split("(")[0]
    # In a process that runs LAMMPS as a library, the plugin may have registered the operator before.
    if not torch._C._jit_get_schemas_for_operator(f"equipot::{name}"):
        _library.define(schema)
        _library.impl(name, reference, "CompositeImplicitAutograd")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Oo]verriding a previously registered kernel")
        for device in ("CPU", "CUDA"):
            _library.impl(name, compiled, device)
            if differentiable is not None:
                _library.impl(name, differentiable, f"Autograd{device}")
