"""Which frames form which batch: a pure function of seed and epoch, so that a resumed training sees the same ones."""

from collections.abc import Iterator, Sequence

import numpy as np


def pack(
    order: Sequence[int], sizes: Sequence[int], batch_size: int, max_edges: int | None
) -> list[list[int]]:
    """Consecutive frames in batches of at most `batch_size` frames and `max_edges` edges; a larger frame goes alone.

    order: frame numbers; sizes: edges of every frame.
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
    """The batches of one rank in one epoch: a batch sampler.

    An epoch is one pass over the set, or, where a pass has more than `steps` batches, an equal part of one.
    All ranks have the same number of batches in an epoch (DDP waits for all), so the last ones may repeat a batch.
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
        number, part = divmod(epoch, parts)
        order = np.random.default_rng([seed, number]).permutation(len(sizes))
        batches = pack(order.tolist(), sizes, batch_size, max_edges)
        ends = np.linspace(0, len(batches), parts + 1).round().astype(int)
        batches = batches[ends[part] : ends[part + 1]]
        even = -(-len(batches) // n_ranks) * n_ranks
        self.batches = [batches[i % len(batches)] for i in range(rank, even, n_ranks)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)
