"""Structures and their labels, read from files."""

from equipot.structures.frame import Frame, config_types
from equipot.structures.labels import LabelKeys, frame_from_atoms
from equipot.structures.reading import iter_frames, read_frames

__all__ = [
    "Frame",
    "LabelKeys",
    "config_types",
    "frame_from_atoms",
    "iter_frames",
    "read_frames",
]
