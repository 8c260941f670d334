"""The speed of a model file on this machine: time by part, and the share of the processor's peak."""

from equipot.speed.arithmetic import NetworkCost, network_cost
from equipot.speed.measure import measure
from equipot.speed.structure import crystal, repeat

__all__ = ["NetworkCost", "crystal", "measure", "network_cost", "repeat"]
