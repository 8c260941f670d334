"""Neighbours within a cutoff: the search, a Verlet list for successive steps, and cutoffs for pairs of elements."""

from equipot.neighbours.pair_cutoffs import PairCutoffs
from equipot.neighbours.search import Search, neighbour_list, search_for
from equipot.neighbours.verlet import VerletList

__all__ = ["PairCutoffs", "Search", "VerletList", "neighbour_list", "search_for"]
