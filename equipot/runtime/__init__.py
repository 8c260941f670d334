"""The runtime: a network's energies and their derivatives without torch's operators, see equipot.h."""

from equipot.runtime.model import Evaluation, RuntimeModel

__all__ = ["Evaluation", "RuntimeModel"]
