"""The most frequent cause of a prediction that is not finite, as a text."""

import numpy as np


def closest_atoms(edge_index: np.ndarray, edge_vectors: np.ndarray) -> str:
    """Return a text with the shortest distance of a structure; edges are those of `Structure`, on the host."""
    lengths = np.linalg.norm(edge_vectors, axis=1)
    if len(lengths) == 0:
        return "no atom has a neighbour, so the cause is the model itself"
    k = int(lengths.argmin())
    i, j = edge_index[:, k].tolist()
    return f"the closest atoms, {i} and {j}, are {float(lengths[k]):.3g} Å apart"
