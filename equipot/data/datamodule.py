"""The training and validation data for Lightning. Edges are computed once; every epoch has new batches."""

from collections.abc import Sequence
from typing import cast

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Dataset

from equipot.data.batching import EpochBatches, pack
from equipot.data.graph import Batch, Graph, collate


class GraphDataModule(pl.LightningDataModule):
    """A Lightning data module with training and validation graphs, in memory or in a `GraphStore`.

    Args:
        train, validation: graphs with labels; `validation` may be empty.
        n_edges, n_edges_validation: number of edges of every graph, so that packing does not read the graphs.
        batch_size, max_edges: limits of a batch.
        seed: random seed of the order of frames.
        steps_per_epoch: largest number of batches in an epoch.
    """

    def __init__(
        self,
        train: Sequence[Graph],
        validation: Sequence[Graph],
        n_edges: Sequence[int],
        n_edges_validation: Sequence[int],
        batch_size: int,
        max_edges: int | None,
        seed: int,
        steps_per_epoch: int,
    ) -> None:
        super().__init__()
        self.train, self.validation = train, validation
        self.n_edges, self.n_edges_validation = n_edges, n_edges_validation
        self.batch_size, self.max_edges = batch_size, max_edges
        self.seed, self.steps_per_epoch = seed, steps_per_epoch

    def batches_of(self, epoch: int, rank: int = 0, n_ranks: int = 1) -> EpochBatches:
        """Return the training batches of an epoch as frame numbers."""
        return EpochBatches(
            self.n_edges,
            self.batch_size,
            self.max_edges,
            self.seed,
            self.steps_per_epoch,
            epoch,
            rank,
            n_ranks,
        )

    def _loader(
        self, graphs: Sequence[Graph], batches: Sequence[list[int]] | EpochBatches
    ) -> DataLoader[Graph]:
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return DataLoader(
            cast(Dataset[Graph], graphs), batch_sampler=batches, collate_fn=collate, pin_memory=on_gpu
        )

    def train_dataloader(self) -> DataLoader[Graph]:
        """Return the loader of the current epoch. Lightning calls this for every epoch."""
        trainer = self.trainer
        assert trainer is not None
        epoch = self.batches_of(trainer.current_epoch, trainer.global_rank, trainer.world_size)
        return self._loader(self.train, epoch)

    def val_dataloader(self) -> DataLoader[Graph]:
        """Return the loader of this rank's validation frames. The sums of errors do not depend on the distribution."""
        trainer = self.trainer
        assert trainer is not None
        own_frames = range(trainer.global_rank, len(self.validation), trainer.world_size)
        # Validation needs no double backward, so its batches can be larger than training batches.
        batches = pack(own_frames, self.n_edges_validation, 4 * self.batch_size, self.max_edges)
        return self._loader(self.validation, batches)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device, non_blocking=True)
