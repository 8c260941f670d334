"""How much of a GPU the kernels of one step use: time, memory bandwidth and multiply-adds, kernel by kernel.

    python benchmarks/gpu_roofline.py [MODEL] [--preset medium] [--atoms 20000] [--device cuda] [--json FILE]

Without MODEL a network with random weights is taken, in float32 and on rattled silicon with a cutoff of 5 Å as in
`speed.py`. torch's profiler gives the kernels and their times; what each must move and multiply is counted from the
graph and the network (`roofline/counting.py`) and compared with the highest clocks of the GPU, as torch or NVML tell
them. A kernel near 100 % in either column is as good as this GPU allows, and one that is far from it in both waits;
more than 100 % of bandwidth says that numbers came from a cache. Kernels that are neither equipot's nor matrix products
are counted together, without a fraction.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from peers.silicon import repeats_for, silicon
from rich.console import Console
from roofline.counting import GraphSize, launches, linear_maps
from roofline.device import Peaks, UnknownPeakError, peaks_of
from roofline.table import Launch, rows, table

from equipot.config import ModelConfig
from equipot.device import device_name
from equipot.errors import EquipotError
from equipot.model_file import load_model, load_potential, write_model
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec
from equipot.speed import crystal

STEPS = 5
WARM_UP = 4  # TorchScript looks at two calls, and the kernels are compiled


def main() -> int:
    args = arguments()
    console = Console(width=None if sys.stdout.isatty() else 140)
    if not torch.cuda.is_available():
        console.print("gpu_roofline: torch sees no GPU, and this measures one")
        return 1
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(args.model) if args.model else random_model(args.preset, Path(folder))
            found = measure(path, args, peaks(args, load_potential(path).spec.dtype == "float64"))
    except (EquipotError, UnknownPeakError, OSError) as error:
        console.print(f"gpu_roofline: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    for name in ("gpu", "assumed", "model"):
        console.print(f"{name}: {found[name]}", markup=False, highlight=False)
    console.print(table(f"one step of {found['atoms']} atoms, {found['edges']} edges", found["rows"]))
    console.print(
        f"all kernels {1e3 * found['kernel_seconds']:.3f} ms of {1e3 * found['seconds']:.3f} ms from start to end of "
        "a step without the profiler",
        highlight=False,
    )
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", metavar="MODEL", nargs="?", help="model file")
    add("--preset", default="medium", help="of the network without MODEL (default medium)")
    add("--atoms", type=int, default=20_000, help="about so many; fewer fit into a cache (default 20000)")
    add("--device", default="cuda", help="cuda or cuda:N")
    add(
        "--peak-gb",
        type=float,
        metavar="GB/s",
        help="memory bandwidth, where neither torch nor NVML tells it",
    )
    add("--peak-tfma", type=float, metavar="TFMA/s", help="1e12 fused multiply-adds per second, likewise")
    add("--json", type=Path, metavar="FILE", help="for the figures")
    return parser.parse_args()


def peaks(args: argparse.Namespace, double: bool) -> Peaks:
    """What was given counts more than what the GPU tells."""
    if args.peak_gb and args.peak_tfma:
        return Peaks(1e9 * args.peak_gb, 1e12 * args.peak_tfma, "--peak-gb and --peak-tfma")
    return peaks_of(torch.device(args.device), double)


def random_model(preset: str, folder: Path) -> Path:
    config = ModelConfig.model_validate({"preset": preset, "cutoff": 5.0})
    spec = PotentialSpec.from_config(config, ["Si"], e0=[0.0], scales=[1.0], neighbours=[28.0])
    return write_model(folder / f"random-{preset}.pt", Potential(spec, seed=1), verify=False)


def measure(path: Path, args: argparse.Namespace, limits: Peaks) -> dict:
    """Profile a few steps and put the counted work beside them; plain values."""
    from equipot.neighbours import VerletList

    model, potential = load_model(path, args.device), load_potential(path)
    names = model.metadata.type_names
    if names == ["Si"]:
        positions, cell = silicon(repeats_for(args.atoms))
        types, pbc = np.zeros(len(positions), dtype=np.int64), np.ones(3, dtype=bool)
    else:
        atoms = crystal(names, args.atoms)
        positions, cell, pbc = atoms.positions, atoms.cell.array, np.array(atoms.pbc)
        types = np.array([names.index(s) for s in atoms.symbols], dtype=np.int64)
    cutoff = model.metadata.cutoff
    edges, vectors = VerletList(cutoff, 0.0, device=model.device).update(positions, cell, pbc, types)
    species = torch.from_numpy(types).to(model.device)

    def step() -> None:
        predict(model.module, species, edges, vectors)

    for _ in range(WARM_UP):
        step()
    events = profiled(step, model.device)
    torch.cuda.synchronize(model.device)
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    torch.cuda.synchronize(model.device)
    seconds = (time.perf_counter() - start) / STEPS
    graph = GraphSize.of(edges.cpu(), vectors.norm(dim=1).cpu(), len(types), cutoff, potential.spec.n_knots)
    real = 8 if potential.spec.dtype == "float64" else 4
    expected, linear = launches(potential, graph), linear_maps(potential, len(types), real)
    return {
        "gpu": device_name(model.device),
        "assumed": limits.assumed,
        "model": str(path),
        "atoms": len(types),
        "edges": edges.shape[1],
        "seconds": seconds,
        "kernel_seconds": sum(e.seconds for e in events) / STEPS,
        "rows": rows(events, STEPS, expected, linear, limits),
    }


def profiled(step, device: torch.device) -> list[Launch]:
    """All kernels of a few steps, in the order in which the GPU began them."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(STEPS):
            step()
        torch.cuda.synchronize(device)
    on_gpu = torch.autograd.DeviceType.CUDA
    kernels = [e for e in profile.events() if e.device_type == on_gpu and not e.is_user_annotation]
    kernels.sort(key=lambda e: e.time_range.start)
    return [Launch(e.name, 1e-6 * e.time_range.elapsed_us()) for e in kernels]


if __name__ == "__main__":
    sys.exit(main())
