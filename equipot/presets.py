"""The networks that a config can name.

The first three are points of the frontier between error and cost, which docs/training.md shows. The others have the
sizes of nequip 0.19, for comparison.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A network; a config can change each value (`ModelConfig`)."""

    purpose: str
    n_layers: int
    features: tuple[int, ...]  # channels of each l from 0
    radial_width: int
    type_embedding: int = 32
    stretch: float = 0.0
    norms: bool = False
    residual: bool = False
    bound: float = 0.0
    layer_norm: bool = False

    @property
    def l_max(self) -> int:
        """The highest order of the features."""
        return len(self.features) - 1


def _ours(purpose: str, n_layers: int, *features: int) -> Preset:
    return Preset(
        purpose,
        n_layers,
        features,
        radial_width=32,
        stretch=3.0,
        norms=True,
        residual=True,
        bound=3.0,
        layer_norm=True,
    )


PRESETS = {
    "fast": _ours("long dynamics of many atoms", 2, 64, 32, 16),
    "balanced": _ours("most crystals and liquids", 3, 64, 32, 24, 16),
    "accurate": _ours("molecules, and errors as small as possible", 6, 96, 48, 32, 24),
    "nequip-s": Preset("nequip's preset S", 2, (128, 64), 128),
    "nequip-m": Preset("nequip's preset M", 4, (128, 64, 32), 128),
    "nequip-l": Preset("nequip's preset L", 6, (128, 64, 32, 32), 128),
    "tiny": Preset("tests", 2, (8, 4), 16, type_embedding=8, residual=True),
}
