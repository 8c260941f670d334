"""Neighbours within a cutoff: the search, the list kept from step to step, and the cutoffs of pairs of elements."""

from equipot.neighbours.pair_cutoffs import PairCutoffs
from equipot.neighbours.search import Search, neighbour_list, search_for
from equipot.neighbours.verlet import VerletList

__all__ = ["PairCutoffs", "Search", "VerletList", "neighbour_list", "search_for"]
