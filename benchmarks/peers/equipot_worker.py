"""equipot's side of the speed benchmark; started by `speed.py` with the number of threads."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import equipot
from equipot.config import LossConfig, ModelConfig
from equipot.data.graph import Graph, collate
from equipot.model_file import load_model, write_model
from equipot.neighbours import VerletList, neighbour_list
from equipot.network.derivatives import Prediction, predict
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec
from equipot.training.loss import Loss, residuals

from .serve import Job, device_of, serve
from .silicon import labels, silicon

PRESETS = {"S": "small", "M": "medium", "L": "large"}
NEIGHBOURS = 28.0


def main() -> None:
    serve(prepare, {"equipot": equipot.__version__, "torch": torch.__version__, "engine": engine()})


def engine() -> str:
    """Instruction set of the convolution library, or that there is none, and whether its kernels serve on the GPU."""
    from equipot.ops import engine

    found = engine.isa() if engine.available() else "none (reference operator)"
    if torch.cuda.is_available():
        found += ", compiled on the GPU" if engine.cuda.available(0) else ", reference operators on the GPU"
    return found


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


def _deployed(potential: Potential, device: torch.device) -> torch.jit.ScriptModule:
    """What a user runs: the exported file, read back."""
    with tempfile.TemporaryDirectory() as folder:
        return load_model(write_model(Path(folder) / "model.pt", potential, verify=False), device).module


def _inference(request: dict[str, Any]) -> Job:
    potential = _potential(request)
    device = device_of(request)
    module = _deployed(potential, device)
    positions, cell = silicon(request["repeats"])
    edge_index, shifts, _ = neighbour_list(positions, cell, np.ones(3, bool), request["cutoff"])
    x, edges = torch.from_numpy(positions).to(device), torch.from_numpy(edge_index).to(device)
    shift_vectors = torch.from_numpy(shifts @ cell).to(device)
    species = torch.zeros(len(positions), dtype=torch.int64, device=device)

    def call() -> Prediction:
        # From positions, as an MD step has them: the peers form their edge vectors within the call too.
        vectors = x.index_select(0, edges[1]) - x.index_select(0, edges[0]) + shift_vectors
        return predict(module, species, edges, vectors)

    return Job(call, len(positions), edge_index.shape[1], _size(potential))


def _searcher(repeats: Any, cutoff: float, device: torch.device) -> tuple[Callable[[], tuple], str]:
    """What finds the edges of a supercell anew in every call, and its name."""
    positions, cell = silicon(repeats)
    species, pbc = np.zeros(len(positions), dtype=np.int64), np.ones(3, bool)

    def by_list() -> tuple:
        return VerletList(cutoff, 0.0, device=device).update(positions, cell, pbc, species)

    def on_cpu() -> tuple:
        edge_index, _, vectors = neighbour_list(positions, cell, pbc, cutoff)
        return torch.from_numpy(edge_index), torch.from_numpy(vectors)

    return on_cpu if device.type == "cpu" else by_list, VerletList(cutoff, 0.0, device=device).search.name


def _search_and_predict(
    module: torch.nn.Module, repeats: Any, cutoff: float, device: torch.device
) -> Callable[[], Prediction]:
    species = torch.zeros(8 * math.prod(repeats), dtype=torch.int64, device=device)
    search, _ = _searcher(repeats, cutoff, device)
    return lambda: predict(module, species, *search())


def _scaling(request: dict[str, Any]) -> Job:
    potential = _potential(request)
    device, cutoff, repeats = device_of(request), request["cutoff"], request["repeats"]
    module = _deployed(potential, device)
    warm_up = _search_and_predict(module, (2, 2, 2), cutoff, device)
    for _ in range(3):
        warm_up()
    call = _search_and_predict(module, repeats, cutoff, device)
    return Job(call, 8 * math.prod(repeats), 0, _size(potential), _searcher(repeats, cutoff, device)[1])


def _search(request: dict[str, Any]) -> Job:
    repeats = request["repeats"]
    call, name = _searcher(repeats, request["cutoff"], device_of(request))
    return Job(call, 8 * math.prod(repeats), 0, 0, name)


def _training(request: dict[str, Any]) -> Job:
    device = device_of(request)
    potential = _potential(request).train().to(device)
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
    batch = collate(frames).to(device)
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
