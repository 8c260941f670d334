"""How fast a model file is on this machine, part by part, and how much of the processor it uses."""

from equipot.speed.arithmetic import NetworkCost, network_cost
from equipot.speed.measure import measure
from equipot.speed.structure import crystal, repeat

__all__ = ["NetworkCost", "crystal", "measure", "network_cost", "repeat"]
