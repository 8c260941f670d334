"""Arrays of numpy on the host or tensors of torch on a device, for code that runs on both.

The functions that both packages have under one name are enough for neighbours, so torch is imported only by callers
who have tensors.
"""

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch

Array: TypeAlias = Any  # np.ndarray or torch.Tensor


def namespace(array: Array) -> Any:
    """Return the package of an array."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def beside(array: Array, values: np.ndarray) -> Array:
    """Return values of the host in the package and on the device of an array."""
    return values if isinstance(array, np.ndarray) else on(array.device, values)


def on(device: "torch.device | None", values: np.ndarray) -> Array:
    """Return values of the host on a device; None: the host."""
    return values if device is None else sys.modules["torch"].from_numpy(values).to(device)


def on_host(array: Array) -> np.ndarray:
    """Return an array on the host."""
    return array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()
