"""The writing of a model file: under a temporary name first, until a new process has loaded it."""

import copy
import datetime
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import equipot
from equipot.errors import ModelFileError
from equipot.model_file import torchscript
from equipot.model_file.metadata import ARRAYS, FORMAT_VERSION, METADATA, PROGRAM, ModelMetadata
from equipot.model_file.module import DeployedPotential, sizes_of
from equipot.model_file.script import compute, inputs_of
from equipot.model_file.selftest import derivatives_of, make_structures, recorded_results, structure_of
from equipot.network.potential import Potential
from equipot.quantities import ENERGIES


def write_model(
    path: str | Path,
    potential: Potential,
    statistics: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    verify: bool = True,
) -> Path:
    """Write a potential as a model file, and check that a new process gets the same results from it.

    Args:
        path: path of the file; an existing file is replaced only if the new one passes its check.
        potential: the potential, on any device; the file is written for the CPU and can be loaded on any device.
        statistics, config, training: plain values about the origin of the potential, stored in the metadata.
        verify: load the file in a new process, which runs the self-test recorded from the eager potential.

    Raises:
        ModelFileError: the written file does not reproduce the potential.
        OSError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    eager = copy.deepcopy(potential).cpu().eval()
    # Recorded from the eager network, so that the self-test also checks its conversion to TorchScript and tables.
    recorded, module = [], DeployedPotential(eager, FORMAT_VERSION)
    for values in make_structures(eager.type_names):
        structure = structure_of(values, eager.cutoff)
        results = compute(eager, structure, "cpu")
        recorded.append({**values, **{k: v.tolist() for k, v in recorded_results(results).items()}})
        species, edge_index, vectors, *_ = inputs_of(structure)
        expected = (results.outputs[ENERGIES], derivatives_of(results).edge_gradient)
        energies, gradient = map(torch.from_numpy, expected)
        module.self_test.append((species, edge_index, vectors, energies, gradient))
    metadata = ModelMetadata(
        spec=eager.spec.to_dict(),
        self_test=recorded,
        equipot_version=equipot.__version__,
        torch_version=torch.__version__,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        statistics=statistics,
        config=config,
        training=training or {},
    )
    records = {METADATA: metadata.to_json(), **_program(module)}
    scripted = torchscript.script(module)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    try:
        _save(scripted, temporary, records)
        if verify:
            _load_in_fresh_process(temporary, path)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def _program(module: DeployedPotential) -> dict[str, str | bytes]:
    """Return the records that the runtime reads; none for a network that it cannot run."""
    program = module.potential.program()
    if program is None:
        return {}
    names = ("species", "edge_index", "edge_vectors", "energies", "edge_gradient")
    stores = (program.integers, program.integers, program.double, program.double, program.double)
    program.header["sizes"] = sizes_of(module)._asdict()
    program.header["self_test_tolerance"] = module.self_test_tolerance
    program.header["self_test"] = [
        {name: store(tensor) for name, store, tensor in zip(names, stores, structure)}
        for structure in module.self_test
    ]
    return {PROGRAM: program.text(), ARRAYS: program.data()}


def _save(scripted: torch.jit.ScriptModule, target: str, records: dict[str, str | bytes]) -> None:
    try:
        torchscript.save(scripted, target, records)
        with open(target, "rb") as file:
            os.fsync(file.fileno())
    except RuntimeError as error:  # torch's zip writer reports a full disk this way
        raise OSError(
            28, f"could not be written ({str(error).splitlines()[0]}); is the disk full?", target
        ) from None


def _load_in_fresh_process(file: str, path: Path) -> None:
    code = "import sys; from equipot.model_file import load_model; load_model(sys.argv[1])"
    run = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True)
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelFileError(f"{path}: was not written, because a new process could not use it: {last}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
