"""The kinds of parts of a network, by name."""

from typing import Literal

Activation = Literal["silu", "ssp", "tanh", "relu", "gelu", "mish"]
RadialActivation = Literal["silu", "ssp", "tanh"]
SelfConnectionKind = Literal["none", "species", "linear"]
