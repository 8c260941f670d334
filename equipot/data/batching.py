"""The batches of an epoch. They depend only on the seed and the epoch, so a resumed training has the same batches."""

from collections.abc import Iterator, Sequence

import numpy as np


def pack(
    order: Sequence[int], sizes: Sequence[int], batch_size: int, max_edges: int | None
) -> list[list[int]]:
    """Pack consecutive frames into batches.

    Args:
        order: frame numbers.
        sizes: number of edges of every frame.
        batch_size: largest number of frames in a batch.
        max_edges: largest number of edges in a batch. A frame with more edges forms a batch of its own.

    Returns:
        the frame numbers of each batch.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    edges = 0
    for i in order:
        full = len(current) == batch_size or (max_edges is not None and edges + sizes[i] > max_edges)
        if current and full:
            batches.append(current)
            current, edges = [], 0
        current.append(int(i))
        edges += sizes[i]
    if current:
        batches.append(current)
    return batches


class EpochBatches:
    """A batch sampler with the batches of one rank in one epoch.

    An epoch is one pass over the set. If a pass has more than `steps` batches, it is divided into several epochs of
    equal length. All ranks have the same number of batches in an epoch, as DDP needs, so some ranks may repeat a batch.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        batch_size: int,
        max_edges: int | None,
        seed: int,
        steps: int,
        epoch: int,
        rank: int = 0,
        n_ranks: int = 1,
    ) -> None:
        estimate = -(-len(sizes) // batch_size)
        if max_edges is not None:
            estimate = max(estimate, -(-int(sum(sizes)) // max_edges))
        parts = max(1, -(-estimate // (steps * n_ranks)))
        pass_number, part = divmod(epoch, parts)
        order = np.random.default_rng([seed, pass_number]).permutation(len(sizes))
        batches = pack(order.tolist(), sizes, batch_size, max_edges)
        ends = np.linspace(0, len(batches), parts + 1).round().astype(int)
        batches = batches[ends[part] : ends[part + 1]]
        n_padded = -(-len(batches) // n_ranks) * n_ranks
        self.batches = [batches[i % len(batches)] for i in range(rank, n_padded, n_ranks)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)
