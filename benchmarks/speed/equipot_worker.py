"""Tasks of the speed benchmark for equipot; see `benchmarks/peers/__main__.py`."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import equipot
from benchmarks.peers.job import Job, select_device
from benchmarks.random_network import random_potential
from benchmarks.silicon import CUTOFF, random_labels, silicon
from equipot.config import LossConfig
from equipot.contract import edges_only
from equipot.data.graph import Graph, collate
from equipot.model_file import LoadedModel, load_model, write_model
from equipot.neighbours import VerletList, neighbour_list
from equipot.network.derivatives import Prediction, predict
from equipot.network.potential import Potential
from equipot.speed.machine import kernels
from equipot.training.loss import Loss, residuals

PRESETS = {"S": "nequip-s", "M": "nequip-m", "L": "nequip-l"}
PERIODIC = np.ones(3, bool)
VERSIONS = {
    "equipot": equipot.__version__,
    "torch": torch.__version__,
    "kernels": kernels(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
}


def inference(request: dict[str, Any]) -> Job:
    """Energy, forces and virial from positions and given edges, as an MD step has them."""
    potential = random_potential(PRESETS[request["preset"]])
    device = select_device(request)
    model = _exported(potential, device)
    positions, cell = silicon(request["repeats"])
    edge_index, shifts, _ = neighbour_list(positions, cell, PERIODIC, CUTOFF)
    x, edges = torch.from_numpy(positions).to(device), torch.from_numpy(edge_index).to(device)
    shift_vectors = torch.from_numpy(shifts @ cell).to(device)
    species = torch.zeros(len(positions), dtype=torch.int64, device=device)

    def call() -> Prediction:
        # Edge vectors are formed within the call, as nequip forms them.
        vectors = x.index_select(0, edges[1]) - x.index_select(0, edges[0]) + shift_vectors
        return model.predict(edges_only(species, edges, vectors))

    return Job(call, len(positions), edge_index.shape[1], _size(potential))


def scaling(request: dict[str, Any]) -> Job:
    """The neighbour search, then energy, forces and virial."""
    potential = random_potential(PRESETS[request["preset"]])
    device, repeats = select_device(request), request["repeats"]
    model = _exported(potential, device)
    warm_up = _search_and_predict(model, (2, 2, 2), device)
    for _ in range(3):
        warm_up()
    call = _search_and_predict(model, repeats, device)
    return Job(call, 8 * math.prod(repeats), 0, _size(potential), _searcher(repeats, device)[1])


def search(request: dict[str, Any]) -> Job:
    """The neighbour search alone."""
    call, name = _searcher(request["repeats"], select_device(request))
    return Job(call, 8 * math.prod(request["repeats"]), search=name)


def training(request: dict[str, Any]) -> Job:
    """One optimizer step."""
    device = select_device(request)
    potential = random_potential(PRESETS[request["preset"]]).train().to(device)
    batch = collate([_frame(request["repeats"], seed) for seed in range(request["frames"])]).to(device)
    parameters = list(potential.parameters())
    optimizer = torch.optim.Adam(parameters, lr=1e-4)
    loss = Loss(LossConfig(energy=request["energy_weight"], forces=1.0))

    def call() -> None:
        optimizer.zero_grad()
        prediction = predict(potential, batch.inputs, create_graph=True)
        loss(residuals(prediction, batch)).backward(inputs=parameters)
        optimizer.step()

    return Job(call, int(batch.n_atoms.sum()), int(batch.n_edges.sum()), _size(potential))


TASKS = {"inference": inference, "scaling": scaling, "search": search, "training": training}


def _size(potential: Potential) -> int:
    return sum(p.numel() for p in potential.parameters())


def _exported(potential: Potential, device: torch.device) -> LoadedModel:
    """Write the model file and load it, as a user runs it."""
    with tempfile.TemporaryDirectory() as folder:
        return load_model(write_model(Path(folder) / "model.pt", potential, verify=False), device)


def _searcher(repeats: Any, device: torch.device) -> tuple[Callable[[], tuple], str]:
    """Return a function that finds the edges of a supercell anew in every call, and the name of the search."""
    positions, cell = silicon(repeats)
    species = np.zeros(len(positions), dtype=np.int64)

    def with_list() -> tuple:
        return VerletList(CUTOFF, 0.0, device=device).update(positions, cell, PERIODIC, species)

    def on_cpu() -> tuple:
        edge_index, _, vectors = neighbour_list(positions, cell, PERIODIC, CUTOFF)
        return torch.from_numpy(edge_index), torch.from_numpy(vectors)

    return on_cpu if device.type == "cpu" else with_list, VerletList(CUTOFF, 0.0, device=device).search.name


def _search_and_predict(model: LoadedModel, repeats: Any, device: torch.device) -> Callable[[], Prediction]:
    species = torch.zeros(8 * math.prod(repeats), dtype=torch.int64, device=device)
    find_edges, _ = _searcher(repeats, device)
    return lambda: model.predict(edges_only(species, *find_edges()))


def _frame(repeats: Any, seed: int) -> Graph:
    positions, cell = silicon(repeats, seed)
    edge_index, _, vectors = neighbour_list(positions, cell, PERIODIC, CUTOFF)
    energy, forces = random_labels(len(positions), seed)
    return Graph(
        species=torch.zeros(len(positions), dtype=torch.int64),
        edge_index=torch.from_numpy(edge_index.astype(np.int32)),
        edge_vectors=torch.from_numpy(vectors),
        positions=torch.from_numpy(positions),
        cell=torch.from_numpy(cell),
        pbc=torch.from_numpy(PERIODIC),
        labels={"energy": torch.tensor(energy, dtype=torch.float64), "forces": torch.from_numpy(forces)},
    )
