"""Measure the speed of equipot beside nequip, in float32 on rattled silicon with a cutoff of 5 Å.

    python -m benchmarks.speed --nequip-python ENV/bin/python [--presets S M L] [--json FILE] [--markdown]
    python -m benchmarks.speed --nequip-python ENV/bin/python --device cuda [--sizes 216 5000 50000 1000000]

nequip needs an environment of its own; without one equipot is measured alone. For a GPU install OpenEquivariance there
(it needs the CUDA toolkit; without it the row of that mode says so) and neighbour lists on the GPU: pip install
openequivariance nvalchemi-toolkit-ops. Times on a GPU include all its work; memory is the peak of one call in what
torch has allocated there.

Both packages run in worker processes with the same number of threads and take turns within one run, so that a busy
machine slows both. Their networks have random weights and the same architecture: nequip's presets S, M, L and equipot's
nequip-s, nequip-m, nequip-l. `narrow` is nequip's preset with self-connections that take one number of the type
embedding: with one species it expresses the same functions with fewer products, and has equipot's number of parameters.
Compiled networks stay in --work and are used again. More than one thread needs idle cores: beside other programs,
OpenMP's threads spin while they wait for each other (OMP_WAIT_POLICY=passive, which both sides inherit, lets them
sleep), so the rows hold the load of the machine at the start.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import command
from benchmarks.peers.environment import NEQUIP
from benchmarks.peers.worker import Worker
from equipot.device import device_name

from . import report, tasks
from .side import Row

TASKS = ("inference", "training", "scaling", "threads")
MODES = (tasks.INFERENCE_MODES, tasks.TRAINING_MODES, tasks.GPU_INFERENCE_MODES, tasks.GPU_TRAINING_MODES)


def arguments() -> argparse.Namespace:
    parser = command.parser("speed", __doc__)
    add, count, positive = parser.add_argument, command.count, command.positive
    NEQUIP.add_option(parser, "equipot alone is measured")
    add("--presets", nargs="+", choices=["S", "M", "L"], default=["S", "M", "L"])
    add("--tasks", nargs="+", choices=TASKS, help="default all; on a GPU all but threads")
    add("--device", default="cpu", help="cpu, cuda or cuda:N, of both sides (default cpu)")
    modes = list(dict.fromkeys(mode for some in MODES for mode in some))
    add("--modes", nargs="+", choices=modes, default=modes, help="of nequip (default all)")
    variants = list(tasks.VARIANTS)
    add("--variants", nargs="+", choices=variants, default=variants, help="of nequip's network (default all)")
    add("--rounds", type=count, default=7, help="turns of every side (default 7)")
    add("--round-seconds", type=positive, default=2.0, help="length of a turn (default 2)")
    cores = command.cores()
    add("--threads", type=count, default=cores, help=f"of both sides (default all cores, {cores})")
    add(
        "--work",
        type=Path,
        default=Path("runs/speed"),
        help="compiled networks and logs (default runs/speed)",
    )
    add("--compile-minutes", type=positive, default=60.0, help="limit to prepare one side (default 60)")
    add("--scaling-preset", choices=["S", "M", "L"], default="M", help="of scaling and threads (default M)")
    add("--largest", type=positive, default=1e5, help="atoms at which scaling ends (default 1e5)")
    add("--sizes", type=count, nargs="+", default=[], help="atoms of scaling (on a GPU: 216 5000 50000)")
    add("--peer-atoms", type=positive, help="atoms up to which nequip is scaled (default 3200; on a GPU all)")
    add("--json", type=Path, help="file for the rows")
    add("--markdown", action="store_true", help="print tables for the README")
    args = parser.parse_args()
    args.on_gpu = args.device != "cpu"
    if args.tasks is None:
        args.tasks = [task for task in TASKS if not (args.on_gpu and task == "threads")]
    elif args.on_gpu and "threads" in args.tasks:
        parser.error("the task threads needs --device cpu")
    if args.peer_atoms is None:
        args.peer_atoms = float("inf") if args.on_gpu else 3200
    return args


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Measure every task, print its table and, after every preset, write all rows so far."""
    device = checked_device(args.device)
    if args.nequip_python is not None:
        NEQUIP.check(args.nequip_python)
    header = {
        **command.circumstances(),
        "device": args.device,
        **({} if device.type == "cpu" else {"gpu": device_name(device)}),
        "threads": args.threads,
        "versions": versions(args),
        "openmp_wait": os.environ.get("OMP_WAIT_POLICY", "default"),
    }
    command.print_lines(console, header)
    rows: list[Row] = []
    with console.status("") as status:
        args.show = status.update
        for task in args.tasks:
            measured: list[Row] = []
            for measure in parts(task, args):
                # A row's own number of threads replaces the header's.
                measured += [{**header, **row} for row in measure()]
                command.write_json(args.json, rows + measured)
            rows += measured
            if measured:
                console.print(report.table(task, measured))
    if args.markdown:
        console.print(report.markdown(rows, header), markup=False, highlight=False, soft_wrap=True)
    return 0


def parts(task: str, args: argparse.Namespace) -> list[Callable[[], list[Row]]]:
    """Return the measurements of a task: one per preset, or one."""
    if task in ("inference", "training"):
        return [partial(getattr(tasks, task), args, preset) for preset in args.presets]
    return [partial(getattr(tasks, task), args)]


def checked_device(text: str) -> torch.device:
    """Return the device of --device; raise BenchmarkError if torch has no such device."""
    try:
        device = torch.device(text)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise command.BenchmarkError(f"--device is {text}; expected cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise command.BenchmarkError(f"--device is {text}, but torch sees {torch.cuda.device_count()} GPUs")
    return device


def versions(args: argparse.Namespace) -> str:
    """Return the versions of both packages, with the torch of each environment."""

    def ask(package: str, python: Path) -> dict[str, Any]:
        log = args.work / f"{package}.log"
        with Worker(python, f"benchmarks.speed.{package}_worker", args.threads, log) as worker:
            return worker.versions

    own = ask("equipot", Path(sys.executable))
    words = [f"equipot {own['equipot']} (torch {own['torch']}, kernels {own['kernels']})"]
    if args.nequip_python is not None:
        peer = ask("nequip", args.nequip_python)
        oeq = peer["openequivariance"]
        words.append(f"nequip {peer['nequip']} (torch {peer['torch']}, OpenEquivariance {oeq})")
    return ", ".join([*words, f"Python {platform.python_version()}"])


if __name__ == "__main__":
    sys.exit(command.run("speed", arguments(), benchmark))
