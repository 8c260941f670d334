"""Labelled structures: reading, checking, species, neighbour graphs, splits and statistics."""

from equipot.data.frame import Frame, config_types
from equipot.data.graph import Batch, Graph, collate, graph_from_frame
from equipot.data.labels import LabelKeys, frame_from_atoms
from equipot.data.neighbours import neighbour_list
from equipot.data.reading import iter_frames, read_frames
from equipot.data.species import SpeciesMap
from equipot.data.split import split
from equipot.data.statistics import Statistics, compute_statistics

__all__ = [
    "Batch",
    "Frame",
    "Graph",
    "LabelKeys",
    "SpeciesMap",
    "Statistics",
    "collate",
    "compute_statistics",
    "config_types",
    "frame_from_atoms",
    "graph_from_frame",
    "iter_frames",
    "neighbour_list",
    "read_frames",
    "split",
]
