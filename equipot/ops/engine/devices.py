"""Checks of the devices of tensors."""

from collections.abc import Sequence

from torch import Tensor


def expect_one_device(tensors: Sequence[Tensor], device: str = "") -> None:
    """Raise ValueError for tensors on several devices: an address on another device would end the process."""
    first = tensors[0].device
    if all(t.device == first for t in tensors) and (not device or str(first) == device):
        return
    names = ", ".join(sorted({str(t.device) for t in tensors}))
    raise ValueError(f"the tensors are on {names}; expected all on {device or 'one device'}")
