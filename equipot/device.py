"""The name of a device in results."""

import torch


def device_name(device: torch.device) -> str:
    """Return "cpu", or the name of a GPU with its memory."""
    if device.type != "cuda":
        return str(device)
    properties = torch.cuda.get_device_properties(device)
    return f"{device}, {properties.name} with {properties.total_memory / 2**30:.0f} GiB"
