"""The memory of a step, measured in a new process, so that earlier computations do not count.

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
    """Return the largest growth of resident memory (on a GPU: allocated memory) in the first two steps.

    Return None on systems other than Linux. Raise EquipotError when the process fails.
    """
    command = [sys.executable, "-m", __name__, str(model.path.resolve()), str(threads), model.device]
    done = subprocess.run(command, input=encode(atoms), capture_output=True, text=True)
    if done.returncode != 0:
        last = next(iter(done.stderr.strip().splitlines()[-1:]), "no message")
        raise EquipotError(
            f"the process that measures memory ended with code {done.returncode}: {last}; try fewer atoms"
        )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    path, threads, device = sys.argv[1:]
    torch.set_num_threads(int(threads))
    model = load_model(path, device)
    # Libraries and TorchScript allocate memory in their first steps; beside this, two atoms need very little.
    for k in range(3):
        pair = Atoms(
            model.metadata.type_names[:1] * 2, [[0, 0, 0], [0.5 * model.metadata.cutoff + 0.01 * k, 0, 0]]
        )
        pair.calc = EquipotCalculator(model)
        pair.get_forces()
    atoms = decode(sys.stdin.read())
    print(json.dumps(_on_gpu(model, atoms) if model.device.startswith("cuda") else _resident(model, atoms)))


def _steps(model: LoadedModel, atoms: Atoms) -> None:
    atoms.calc = EquipotCalculator(model)
    atoms.get_forces()
    atoms.positions[0] += 1e-3
    atoms.get_forces()


def _resident(model: LoadedModel, atoms: Atoms) -> int | None:
    gc.collect()
    try:
        # Otherwise the step could reuse memory that malloc has kept, which would not be measured.
        ctypes.CDLL(None).malloc_trim(0)
        # Resets the peak, as loading needed more memory for a moment.
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
    """Return a field of /proc/self/status in kiB."""
    return next(int(l.split()[1]) for l in STATUS.read_text().splitlines() if l.startswith(field + ":"))


if __name__ == "__main__":
    main()
