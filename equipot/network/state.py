"""Weights by the names that `Potential` gives them, also those that were written under earlier names."""

from collections.abc import Mapping

from torch import Tensor

# Of model files of format 2 and of checkpoints from that time.
_EARLIER = {".inverse_norm": ".neighbour_scale", ".sends.factors": ".out_scale.factors"}


def current_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state under present names."""
    renamed = {}
    for name, value in state.items():
        for earlier, present in _EARLIER.items():
            if name.endswith(earlier):
                name = name.removesuffix(earlier) + present
        renamed[name] = value
    return renamed
