"""What a device is called in results."""

import torch


def device_name(device: torch.device) -> str:
    """cpu, or which GPU it is and how much memory it has."""
    if device.type != "cuda":
        return str(device)
    found = torch.cuda.get_device_properties(device)
    return f"{device}, {found.name} with {found.total_memory / 2**30:.0f} GiB"
