"""Measure how much of a GPU the kernels of one step use: time, memory bandwidth and multiply-adds, kernel by kernel.

    python -m benchmarks.roofline [MODEL] [--preset nequip-m] [--atoms 20000] [--device cuda] [--json FILE]

Without MODEL a network with random weights is measured, in float32 and on rattled silicon with a cutoff of 5 Å. torch's
profiler gives the kernels and their times; bytes and multiply-adds of each are counted from the graph and the network
(`counting.py`) and compared with the GPU's highest clocks, which torch or NVML reports. A kernel near 100 % in either
column is as good as this GPU allows; one that is far from it in both waits. More than 100 % of bandwidth means that
numbers came from a cache. Kernels that are neither equipot's nor matrix products are counted together, without a
fraction.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console

from benchmarks import command
from benchmarks.random_network import random_potential
from equipot.model_file import load_potential, write_model
from equipot.presets import PRESETS

from .device import Peaks, peaks_of
from .profile import measure
from .report import table


def arguments() -> argparse.Namespace:
    parser = command.parser("roofline", __doc__)
    add, positive = parser.add_argument, command.positive
    add("model", metavar="MODEL", nargs="?", type=Path, help="model file")
    presets = list(PRESETS)
    add(
        "--preset",
        choices=presets,
        default="nequip-m",
        help="of the network without MODEL (default nequip-m)",
    )
    add(
        "--atoms", type=command.count, default=20_000, help="at least; fewer fit into a cache (default 20000)"
    )
    add("--device", default="cuda", help="cuda or cuda:N (default cuda)")
    add(
        "--peak-gb",
        type=positive,
        metavar="GB/s",
        help="memory bandwidth, if torch and NVML do not report it",
    )
    add("--peak-tfma", type=positive, metavar="TFMA/s", help="1e12 fused multiply-adds per second, likewise")
    add("--json", type=Path, metavar="FILE", help="file for the figures")
    return parser.parse_args()


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Measure a model and print its kernels."""
    if not torch.cuda.is_available():
        raise command.BenchmarkError("torch sees no GPU, and this measures one")
    with tempfile.TemporaryDirectory() as folder:
        path = args.model
        if path is None:
            path = Path(folder) / f"random-{args.preset}.pt"
            write_model(path, random_potential(args.preset), verify=False)
        peaks = peaks_for(args, load_potential(path).spec.dtype == "float64")
        result = measure(path, args.device, args.atoms, peaks)
    command.print_lines(console, {name: result[name] for name in ("gpu", "assumed", "model")})
    console.print(table(f"one step of {result['atoms']} atoms, {result['edges']} edges", result["rows"]))
    console.print(
        f"all kernels {1e3 * result['kernel_seconds']:.3f} ms of {1e3 * result['seconds']:.3f} ms from start to end "
        "of a step without the profiler",
        highlight=False,
    )
    command.write_json(args.json, result)
    return 0


def peaks_for(args: argparse.Namespace, double: bool) -> Peaks:
    """Return the peaks of the options, or else those of the GPU."""
    if args.peak_gb and args.peak_tfma:
        return Peaks(1e9 * args.peak_gb, 1e12 * args.peak_tfma, "--peak-gb and --peak-tfma")
    return peaks_of(torch.device(args.device), double)


if __name__ == "__main__":
    sys.exit(command.run("roofline", arguments(), benchmark))
