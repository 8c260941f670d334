"""equipot's presets with random weights, for the silicon of `silicon.py`."""

from equipot.config import ModelConfig
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec

from .silicon import CUTOFF, NEIGHBOURS


def random_potential(preset: str) -> Potential:
    """Return a preset's network with random weights. Raises pydantic's ValidationError for an unknown preset."""
    config = ModelConfig.model_validate({"preset": preset, "cutoff": CUTOFF})
    spec = PotentialSpec.from_config(config, ["Si"], e0=[0.0], scales=[1.0], neighbours=[NEIGHBOURS])
    return Potential(spec, seed=1)
