"""Memory of a step, measured in a process of its own so that nothing computed earlier counts.

python -m equipot.speed.memory MODEL THREADS DEVICE < structure.json
"""

import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path

import torch
from ase import Atoms
from ase.io.jsonio import decode, encode

from equipot.calculators import EquipotCalculator
from equipot.errors import EquipotError
from equipot.model_file import LoadedModel, load_model

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_bytes(model: LoadedModel, atoms: Atoms, threads: int) -> int | None:
    """By how much the resident memory (of a GPU: its allocated memory) grows at most in the first two steps.

    None where the system does not tell (it takes Linux). Raises EquipotError when the process fails.
    """
    command = [sys.executable, "-m", __name__, str(model.path.resolve()), str(threads), str(model.device)]
    done = subprocess.run(command, input=encode(atoms), capture_output=True, text=True)
    if done.returncode != 0:
        last = next(iter(done.stderr.strip().splitlines()[-1:]), "it said nothing")
        raise EquipotError(
            f"the process that measures memory ended with code {done.returncode}: {last}; fewer atoms may fit"
        )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    path, threads, device = sys.argv[1:]
    torch.set_num_threads(int(threads))
    model = load_model(path, device)
    # Libraries and TorchScript set themselves up in their first steps; two atoms need next to nothing else.
    for k in range(3):
        pair = Atoms(
            model.metadata.type_names[:1] * 2, [[0, 0, 0], [0.5 * model.metadata.cutoff + 0.01 * k, 0, 0]]
        )
        pair.calc = EquipotCalculator(model)
        pair.get_forces()
    atoms = decode(sys.stdin.read())
    print(json.dumps(_on_gpu(model, atoms) if model.device.type == "cuda" else _resident(model, atoms)))


def _steps(model: LoadedModel, atoms: Atoms) -> None:
    atoms.calc = EquipotCalculator(model)
    atoms.get_forces()
    atoms.positions[0] += 1e-3
    atoms.get_forces()


def _resident(model: LoadedModel, atoms: Atoms) -> int | None:
    gc.collect()
    try:
        # What was freed and malloc kept would otherwise be used again and not be seen.
        ctypes.CDLL(None).malloc_trim(0)
        # Loading needed more for a moment than is held now; Linux forgets that peak on request.
        CLEAR.write_text("5")
        before = _status("VmRSS")
    except (OSError, AttributeError):
        return None
    _steps(model, atoms)
    return 1024 * max(0, _status("VmHWM") - before)


def _on_gpu(model: LoadedModel, atoms: Atoms) -> int:
    before = torch.cuda.memory_allocated(model.device)
    torch.cuda.reset_peak_memory_stats(model.device)
    _steps(model, atoms)
    return torch.cuda.max_memory_allocated(model.device) - before


def _status(field: str) -> int:
    """A line of /proc/self/status in kiB."""
    return next(int(l.split()[1]) for l in STATUS.read_text().splitlines() if l.startswith(field + ":"))


if __name__ == "__main__":
    main()
