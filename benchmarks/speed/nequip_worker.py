"""Tasks of the speed benchmark for nequip; see `benchmarks/peers/__main__.py`."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import nequip
import torch
from nequip.data import AtomicDataDict

from benchmarks.peers.job import Job, select_device
from benchmarks.silicon import random_labels

from .nequip_compiled import in_mode
from .nequip_network import atoms, graph, n_parameters, network, search_name

try:
    _openequivariance = version("openequivariance")
except PackageNotFoundError:
    _openequivariance = "not installed"
VERSIONS = {
    "nequip": nequip.__version__,
    "torch": torch.__version__,
    "openequivariance": _openequivariance,
}


def inference(request: dict[str, Any]) -> Job:
    """Energy, forces and virial from positions and given edges."""
    eager = network(request).eval()
    structure = atoms(request["repeats"])
    data = graph(structure, select_device(request))
    model = in_mode(request, eager, data)
    n_edges = data[AtomicDataDict.EDGE_INDEX_KEY].shape[1]
    return Job(lambda: model(data.copy()), len(structure), n_edges, n_parameters(eager))


def scaling(request: dict[str, Any]) -> Job:
    """The neighbour search, then energy, forces and virial."""
    eager = network(request).eval()
    device = select_device(request)
    small = graph(atoms((2, 2, 2)), device)
    model = in_mode(request, eager, small)
    for _ in range(2):
        model(small.copy())
    structure = atoms(request["repeats"])
    size = n_parameters(eager)
    return Job(lambda: model(graph(structure, device)), len(structure), 0, size, search_name(device))


def search(request: dict[str, Any]) -> Job:
    """The neighbour search alone."""
    structure, device = atoms(request["repeats"]), select_device(request)
    return Job(lambda: graph(structure, device), len(structure), search=search_name(device))


def training(request: dict[str, Any]) -> Job:
    """One optimizer step."""
    compiled = request["mode"].startswith("torch.compile")
    device = select_device(request)
    model = network(request, "compile" if compiled else "eager").train()
    frames, energies, forces = [], [], []
    for seed in range(request["frames"]):
        structure = atoms(request["repeats"], seed)
        energy, force = random_labels(len(structure), seed)
        frames.append(graph(structure, torch.device("cpu")))
        energies.append(energy / len(structure))
        forces.append(torch.from_numpy(force))
    batch = AtomicDataDict.to_(AtomicDataDict.batched_from_list(frames), device)
    energy_per_atom = torch.tensor(energies, dtype=torch.float64, device=device)
    force_labels = torch.cat(forces).to(device)
    n_atoms = batch[AtomicDataDict.NUM_NODES_KEY].to(torch.float64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def call() -> None:
        optimizer.zero_grad()
        out = model(batch.copy())
        energy_error = out[AtomicDataDict.TOTAL_ENERGY_KEY].flatten() / n_atoms - energy_per_atom
        force_error = out[AtomicDataDict.FORCE_KEY] - force_labels
        loss = request["energy_weight"] * energy_error.square().mean() + force_error.square().mean()
        loss.backward()
        optimizer.step()

    if compiled:
        call()  # the compilation is part of the preparation
    return Job(call, len(force_labels), batch[AtomicDataDict.EDGE_INDEX_KEY].shape[1], n_parameters(model))


TASKS = {"inference": inference, "scaling": scaling, "search": search, "training": training}
