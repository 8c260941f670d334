"""Speed of equipot beside nequip, in float32 on rattled silicon with a cutoff of 5 Å.

    python benchmarks/speed.py --nequip-python ENV/bin/python [--presets S M L] [--json FILE] [--markdown]
    python benchmarks/speed.py --nequip-python ENV/bin/python --device cuda [--sizes 216 5000 50000 1000000]

nequip lives in an environment of its own:

    python -m venv ENV && ENV/bin/pip install torch==2.13.0 nequip==0.19.1

and for a GPU best with OpenEquivariance's kernels (they are compiled there and take the CUDA toolkit; without them that
mode's row says so) and with its neighbour lists on the GPU: pip install openequivariance nvalchemi-toolkit-ops. Times
on a GPU are taken when it has finished; memory is what torch has allocated there at the peak of one call.

Both packages run in worker processes with the same number of threads and take turns within one run, so that a
busy machine slows both. Their networks have random weights and the same architecture: nequip's presets S, M, L
and equipot's small, medium, large. `narrow` is nequip's preset with self-connections that take one number of
the type embedding: with one species the same functions with fewer products, and equipot's number of parameters.
Compiled packages are kept in --work and used again. Several threads want idle cores: where other programs run
beside them, OpenMP's threads wait for each other by spinning (OMP_WAIT_POLICY=passive, which both sides inherit,
lets them sleep), so the load of the machine at the start is kept with the rows.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from peers import report, tasks
from peers.client import Worker, WorkerError
from rich.console import Console

ENVIRONMENT = "python -m venv X && X/bin/pip install torch==2.13.0 nequip==0.19.1"


def main() -> int:
    args = arguments()
    console = Console(width=None if sys.stdout.isatty() else 180)
    sentence = missing_gpu(args) or unusable_peer(args.nequip_python)
    if sentence:
        console.print(sentence, style="red", markup=False)
        return 1
    header = {
        "cpu": processor(),
        "device": args.device,
        **gpu(args.device),
        "threads": args.threads,
        "date": datetime.date.today().isoformat(),
        "versions": versions(args),
        "openmp_wait": os.environ.get("OMP_WAIT_POLICY", "default"),
        "load": round(os.getloadavg()[0], 1),
    }
    for name, value in header.items():
        console.print(f"{name}: {value}", markup=False, highlight=False)
    rows: list[dict[str, Any]] = []
    try:
        with console.status("") as status:
            options = tasks.Options(
                nequip_python=args.nequip_python,
                threads=args.threads,
                rounds=args.rounds,
                round_seconds=args.round_seconds,
                work=args.work,
                modes=args.modes,
                variants=args.variants,
                compile_minutes=args.compile_minutes,
                peer_atoms=args.peer_atoms,
                largest=args.largest,
                sizes=args.sizes,
                device=args.device,
                scaling_preset=args.scaling_preset,
                say=status.update,
            )
            for task in args.tasks:
                measure(task, args, options, header, rows)
                if found := [r for r in rows if r["task"] == task]:
                    console.print(report.table(task, found))
    except WorkerError as error:
        console.print(f"equipot: {error}", style="red", markup=False)
        return 1
    if args.markdown:
        console.print(report.markdown(rows, header), markup=False, highlight=False, soft_wrap=True)
    return 0


def arguments() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--nequip-python", type=Path, help="interpreter of nequip's environment; without it equipot alone")
    add("--presets", nargs="+", choices=["S", "M", "L"], default=["S", "M", "L"])
    all_tasks = ["inference", "training", "scaling", "threads"]
    add("--tasks", nargs="+", choices=all_tasks, help="default all; on a GPU all but threads")
    add("--device", default="cpu", help="cpu, cuda or cuda:N, of both sides (default cpu)")
    every = (tasks.INFERENCE_MODES, tasks.TRAINING_MODES, tasks.GPU_INFERENCE_MODES, tasks.GPU_TRAINING_MODES)
    modes = list(dict.fromkeys(mode for some in every for mode in some))
    add("--modes", nargs="+", choices=modes, default=modes, help="of nequip (default all)")
    add(
        "--variants",
        nargs="+",
        choices=tasks.VARIANTS,
        default=list(tasks.VARIANTS),
        help="of nequip's network",
    )
    add("--rounds", type=int, default=7, help="turns of every side (default 7)")
    add("--round-seconds", type=float, default=2.0, help="length of a turn (default 2)")
    add("--threads", type=int, default=cores, help=f"of both sides (default all cores, {cores})")
    add(
        "--work",
        type=Path,
        default=Path("runs/speed"),
        help="compiled packages and logs (default runs/speed)",
    )
    add("--compile-minutes", type=float, default=60.0, help="longest preparation of one side (default 60)")
    add("--scaling-preset", choices=["S", "M", "L"], default="M", help="of scaling and threads (default M)")
    add("--largest", type=float, default=1e5, help="atoms at which scaling ends (default 1e5)")
    add(
        "--sizes", type=int, nargs="+", default=[], help="atoms of scaling (default on a GPU: 216 5000 50000)"
    )
    add("--peer-atoms", type=float, help="atoms up to which nequip is scaled (default 3200; on a GPU all)")
    add("--json", type=Path, help="file for the rows")
    add("--markdown", action="store_true", help="print tables for the README")
    args = parser.parse_args()
    on_gpu = args.device != "cpu"
    if args.tasks is None:
        args.tasks = [task for task in all_tasks if not (on_gpu and task == "threads")]
    elif on_gpu and "threads" in args.tasks:
        parser.error("threads are a task of the processor: leave out --device, or threads")
    if args.peer_atoms is None:
        args.peer_atoms = float("inf") if on_gpu else 3200
    return args


def measure(
    task: str,
    args: argparse.Namespace,
    options: tasks.Options,
    header: dict[str, Any],
    rows: list[dict[str, Any]],
) -> None:
    """Append a task's rows, and write the file after every preset: what was measured is not lost."""
    parts: Sequence[Callable[[], list[dict[str, Any]]]] = {
        "inference": [partial(tasks.inference, options, preset) for preset in args.presets],
        "training": [partial(tasks.training, options, preset) for preset in args.presets],
        "scaling": [partial(tasks.scaling, options)],
        "threads": [partial(tasks.threads, options)],
    }[task]
    for part in parts:
        # A row's own number of threads counts, not that of the run.
        rows += [{**header, **row} for row in part()]
        if args.json:
            args.json.parent.mkdir(parents=True, exist_ok=True)
            args.json.write_text(json.dumps(rows, indent=1) + "\n")


def missing_gpu(args: argparse.Namespace) -> str | None:
    """One sentence when the device is none, or none that torch sees."""
    import torch

    try:
        device = torch.device(args.device)
    except RuntimeError:
        return f"--device is {args.device}; expected cpu, cuda or cuda:N"
    if device.type not in ("cpu", "cuda"):
        return f"--device is {args.device}; expected cpu, cuda or cuda:N"
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        return f"--device is {args.device}, but torch sees {torch.cuda.device_count()} GPUs; this needs one"
    return None


def gpu(device: str) -> dict[str, str]:
    """Its name and memory, if it is one."""
    import torch

    from equipot.device import device_name

    return {} if device == "cpu" else {"gpu": device_name(torch.device(device))}


def unusable_peer(python: Path | None) -> str | None:
    """One sentence when the environment that is named has no nequip."""
    if python is None:
        return None
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('nequip') is None)"
    try:
        found = subprocess.run([str(python), "-c", code]).returncode == 0
    except OSError:
        return f"{python} cannot be run: {ENVIRONMENT}, then --nequip-python X/bin/python"
    return None if found else f"{python} has no nequip: {ENVIRONMENT}, then --nequip-python X/bin/python"


def versions(args: argparse.Namespace) -> str:
    """Of both packages, with the torch of each environment."""
    with Worker(Path(sys.executable), "equipot_worker", args.threads, args.work / "equipot.log") as worker:
        own = worker.versions
    words = [f"equipot {own['equipot']} (torch {own['torch']}, kernels {own['engine']})"]
    if args.nequip_python is not None:
        with Worker(args.nequip_python, "nequip_worker", args.threads, args.work / "nequip.log") as worker:
            peer = worker.versions
        words.append(f"nequip {peer['nequip']} (torch {peer['torch']}, OpenEquivariance {peer['oeq']})")
    return ", ".join([*words, f"Python {platform.python_version()}"])


def processor() -> str:
    """Name and number of cores."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            l.split(":", 1)[1].strip() for l in cpuinfo.read_text().splitlines() if l.startswith("model name")
        ]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores"


if __name__ == "__main__":
    sys.exit(main())
