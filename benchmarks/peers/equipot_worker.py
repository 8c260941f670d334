"""equipot's side of the speed benchmark; started by `speed.py` with the number of threads."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import equipot
from equipot.config import LossConfig, ModelConfig
from equipot.data.graph import Graph, collate
from equipot.data.neighbours import neighbour_list
from equipot.derivatives import Prediction, predict
from equipot.export import load_model, write_model
from equipot.potential import Potential
from equipot.spec import PotentialSpec
from equipot.training.loss import Loss, residuals

from .serve import Job, serve
from .silicon import labels, silicon

PRESETS = {"S": "small", "M": "medium", "L": "large"}
NEIGHBOURS = 28.0


def main() -> None:
    serve(prepare, {"equipot": equipot.__version__, "torch": torch.__version__, "engine": engine()})


def engine() -> str:
    """Instruction set of the convolution library, or that there is none."""
    from equipot.ops import engine

    return engine.isa() if engine.available() else "none (reference operator)"


def prepare(request: dict[str, Any]) -> Job:
    """A job of the task that the request names."""
    tasks = {"inference": _inference, "training": _training, "scaling": _scaling, "search": _search}
    return tasks[request["task"]](request)


def _potential(request: dict[str, Any]) -> Potential:
    config = ModelConfig(preset=PRESETS[request["preset"]], cutoff=request["cutoff"])
    spec = PotentialSpec.from_config(config, ["Si"], e0=[0.0], scales=[1.0], neighbours=[NEIGHBOURS])
    return Potential(spec, seed=1)


def _size(potential: torch.nn.Module) -> int:
    return sum(p.numel() for p in potential.parameters())


def _deployed(potential: Potential) -> torch.jit.ScriptModule:
    """What a user runs: the exported file, read back."""
    with tempfile.TemporaryDirectory() as folder:
        return load_model(write_model(Path(folder) / "model.pt", potential, verify=False)).module


def _inference(request: dict[str, Any]) -> Job:
    potential = _potential(request)
    module = _deployed(potential)
    positions, cell = silicon(request["repeats"])
    edge_index, shifts, _ = neighbour_list(positions, cell, np.ones(3, bool), request["cutoff"])
    x, edges = torch.from_numpy(positions), torch.from_numpy(edge_index)
    shift_vectors = torch.from_numpy(shifts @ cell)
    species = torch.zeros(len(positions), dtype=torch.int64)

    def call() -> Prediction:
        # From positions, as an MD step has them: the peers form their edge vectors within the call too.
        vectors = x.index_select(0, edges[1]) - x.index_select(0, edges[0]) + shift_vectors
        return predict(module, species, edges, vectors)

    return Job(call, len(positions), edge_index.shape[1], _size(potential))


def _search_and_predict(module: torch.nn.Module, repeats: Any, cutoff: float) -> tuple[Callable, int]:
    positions, cell = silicon(repeats)
    species = torch.zeros(len(positions), dtype=torch.int64)

    def call() -> Prediction:
        edge_index, _, vectors = neighbour_list(positions, cell, np.ones(3, bool), cutoff)
        return predict(module, species, torch.from_numpy(edge_index), torch.from_numpy(vectors))

    return call, len(positions)


def _scaling(request: dict[str, Any]) -> Job:
    potential = _potential(request)
    module = _deployed(potential)
    warm_up, _ = _search_and_predict(module, (2, 2, 2), request["cutoff"])
    for _ in range(3):
        warm_up()
    call, n_atoms = _search_and_predict(module, request["repeats"], request["cutoff"])
    return Job(call, n_atoms, 0, _size(potential))


def _search(request: dict[str, Any]) -> Job:
    positions, cell = silicon(request["repeats"])

    def call() -> tuple:
        return neighbour_list(positions, cell, np.ones(3, bool), request["cutoff"])

    return Job(call, len(positions), 0, 0)


def _training(request: dict[str, Any]) -> Job:
    potential = _potential(request).train()
    frames = []
    for seed in range(request["frames"]):
        positions, cell = silicon(request["repeats"], seed)
        edge_index, _, vectors = neighbour_list(positions, cell, np.ones(3, bool), request["cutoff"])
        energy, forces = labels(len(positions), seed)
        frames.append(
            Graph(
                species=torch.zeros(len(positions), dtype=torch.int64),
                edge_index=torch.from_numpy(edge_index.astype(np.int32)),
                edge_vectors=torch.from_numpy(vectors),
                volume=torch.tensor(np.linalg.det(cell)),
                energy=torch.tensor(energy, dtype=torch.float64),
                forces=torch.from_numpy(forces),
                stress=torch.zeros(3, 3, dtype=torch.float64),
                has_energy=True,
                has_forces=True,
                has_stress=False,
            )
        )
    batch = collate(frames)
    parameters = list(potential.parameters())
    optimizer = torch.optim.Adam(parameters, lr=1e-4)
    loss_of = Loss(LossConfig(energy=request["energy_weight"], forces=1.0))

    def step() -> None:
        optimizer.zero_grad()
        p = predict(
            potential,
            batch.species,
            batch.edge_index,
            batch.edge_vectors,
            batch.graph_of_atom,
            len(batch),
            create_graph=True,
        )
        loss_of(residuals(p, batch)).backward(inputs=parameters)
        optimizer.step()

    return Job(step, batch.species.shape[0], batch.edge_index.shape[1], _size(potential))


if __name__ == "__main__":
    main()
