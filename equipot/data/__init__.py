"""Labelled sets of structures for training: checks, split, statistics, graphs and batches."""

from equipot.data.graph import Batch, Graph, collate, graph_from_frame
from equipot.data.split import split
from equipot.data.statistics import Statistics, compute_statistics

__all__ = ["Batch", "Graph", "Statistics", "collate", "compute_statistics", "graph_from_frame", "split"]
