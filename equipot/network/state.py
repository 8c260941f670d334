"""The names of weights in `Potential`, and their translation from the names of earlier versions."""

from collections.abc import Mapping

from torch import Tensor

# Names in model files of format 2, and in checkpoints of the same age, with their present names.
_EARLIER = {".inverse_norm": ".neighbour_scale", ".sends.factors": ".out_scale.factors"}


def current_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with present names."""
    renamed = {}
    for name, value in state.items():
        for earlier, present in _EARLIER.items():
            if name.endswith(earlier):
                name = name.removesuffix(earlier) + present
        renamed[name] = value
    return renamed
