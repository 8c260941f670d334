"""Checks of the devices of tensors."""

from collections.abc import Sequence

from torch import Tensor

from equipot.native.library import expect


def expect_one_device(tensors: Sequence[Tensor], device: str = "") -> None:
    """Raise ValueError for tensors on several devices: an address on another device would end the process."""
    devices = sorted({str(t.device) for t in tensors})
    sentence = f"the tensors are on {', '.join(devices)}; expected all on {device or 'one device'}"
    expect(len(devices) == 1 and (not device or devices[0] == device), sentence)
