"""The weights in model files of older formats, brought to the names of the present one."""

import re

import torch
from torch import Tensor


def upgrade_weights(state: dict[str, Tensor], version: int) -> dict[str, Tensor]:
    """State of a network of format `version` under the names and shapes that `Potential` has now."""
    return _join_matrices(state) if version < 2 else state


def _join_matrices(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Format 1 had a parameter per matrix, `….mixes.<k>.weight`, with three dimensions where it is by species."""
    joined: dict[str, Tensor] = {}
    matrices: dict[str, dict[int, Tensor]] = {}
    for name, value in state.items():
        found = re.fullmatch(r"(.*)\.mixes\.(\d+)\.weight", name)
        if found:
            flat = value.reshape(1, -1) if value.dim() == 2 else value.flatten(1)
            matrices.setdefault(found[1], {})[int(found[2])] = flat
        else:
            joined[name] = value
    for name, parts in matrices.items():
        joined[f"{name}.weight"] = torch.cat([parts[k] for k in sorted(parts)], dim=1)
    return joined
