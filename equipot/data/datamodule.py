"""Graphs to Lightning: neighbour lists are computed once, batches are made anew every epoch."""

from collections.abc import Sequence
from typing import cast

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Dataset

from equipot.data.batching import EpochBatches, pack
from equipot.data.graph import Batch, Graph, collate


class GraphDataModule(pl.LightningDataModule):
    """Training and validation graphs, in memory or in a `GraphStore`.

    Args:
        train, validation: graphs with labels; `validation` may be empty.
        n_edges, n_edges_validation: edges of every graph, so that batching need not read them.
        batch_size, max_edges: limits of a batch.
        seed: of the order of frames.
        steps_per_epoch: batches after which an epoch ends even within a pass.
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
        """The training batches (frame numbers) of an epoch."""
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
        """Called at every epoch (`reload_dataloaders_every_n_epochs=1`)."""
        trainer = self.trainer
        assert trainer is not None
        epoch = self.batches_of(trainer.current_epoch, trainer.global_rank, trainer.world_size)
        return self._loader(self.train, epoch)

    def val_dataloader(self) -> DataLoader[Graph]:
        """Every rank has its share of the frames; the sums of the errors are exact however they are shared."""
        trainer = self.trainer
        assert trainer is not None
        mine = range(trainer.global_rank, len(self.validation), trainer.world_size)
        # Without double backward a validation batch needs far less memory than a training batch.
        batches = pack(mine, self.n_edges_validation, 4 * self.batch_size, self.max_edges)
        return self._loader(self.validation, batches)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device, non_blocking=True)
