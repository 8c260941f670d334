"""What is measured: inference, training, scaling with the number of atoms, and threads; each gives rows.

A row is a dictionary of plain values: task, device, preset, peer, mode, variant, threads, n_atoms, n_edges; median and
minimum over the rounds in µs per atom of both sides; ratio (peer over equipot, of the medians) and ratio_min
(of the minima); bytes per atom at the peak of a call, of scaling and on a GPU; and `error`, one sentence, where the
peer gave no time.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .client import Worker, WorkerError
from .silicon import repeats_for
from .timing import Times, interleave

CUTOFF = 5.0  # Å
ENERGY_WEIGHT = 10.0  # of the squared error of the energy per atom, beside 1 for that of the forces
INFERENCE_MODES = ("eager", "torchscript", "aotinductor")
TRAINING_MODES = ("eager", "torch.compile")
# On a GPU; OpenEquivariance's kernels serve there alone, and are installed beside nequip.
GPU_INFERENCE_MODES = ("eager", "aotinductor", "aotinductor+openequivariance")
GPU_TRAINING_MODES = ("eager", "torch.compile", "torch.compile+openequivariance")
GPU_SIZES = (216, 5000, 50_000)
VARIANTS = ("preset", "narrow")
# Scaling stops a side's rounds after so many seconds: a call with 10⁵ atoms takes many.
SECONDS_PER_SIZE = 60.0

Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """See the options of `speed.py`."""

    nequip_python: Path | None  # without one, rows say so in the peer's place
    threads: int
    rounds: int
    round_seconds: float
    work: Path
    modes: Sequence[str]
    variants: Sequence[str]
    compile_minutes: float
    peer_atoms: float
    largest: float
    sizes: Sequence[int]  # atoms of scaling; none: half decades up to `largest`
    device: str
    scaling_preset: str
    say: Callable[[str], None]

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"


class Side:
    """One worker with one job."""

    def __init__(self, options: Options, package: str, threads: int, request: Row) -> None:
        python = Path(sys.executable) if package == "equipot" else options.nequip_python
        if python is None:
            raise WorkerError("nequip is not here (--nequip-python)")
        options.say(f"{package}: preparing {describe(request)}")
        self.package = package
        self.worker = Worker(python, f"{package}_worker", threads, options.work / f"{package}.log")
        try:
            common = {"cutoff": CUTOFF, "work": str(options.work.resolve()), "device": options.device}
            request = {**common, **request}
            self.sizes = self.prepare("job", request, 60 * options.compile_minutes)
        except WorkerError:
            self.worker.close()
            raise

    def prepare(self, name: str, request: Row, limit: float) -> Row:
        return self.worker.ask({"do": "prepare", "name": name, **request}, limit)

    def time(self, calls: int, name: str = "job") -> float:
        return self.worker.ask({"do": "time", "name": name, "calls": calls}, 3600.0)["seconds"]

    def memory(self) -> int:
        return self.worker.ask({"do": "memory", "name": "job"}, 3600.0)["bytes"]

    def microseconds(self, times: Times) -> dict[str, float]:
        """Row entries of this side; a peer's are named `peer_…` whoever it is."""
        who = "equipot" if self.package == "equipot" else "peer"
        scale = 1e6 / self.sizes["atoms"]
        return {
            f"{who}_us_per_atom": scale * times.median,
            f"{who}_us_per_atom_min": scale * times.minimum,
            f"{who}_rounds": times.rounds,
            f"{who}_parameters": self.sizes["parameters"],
        }


def describe(request: Row) -> str:
    words = [request["task"], request["preset"], request.get("mode", ""), request.get("variant", "")]
    return " ".join(w for w in words if w)


def inference(options: Options, preset: str) -> list[Row]:
    """Energy, forces and virial of 216 atoms, from positions and a given neighbour list."""
    request = {"task": "inference", "preset": preset, "repeats": (3, 3, 3)}
    modes = GPU_INFERENCE_MODES if options.on_gpu else INFERENCE_MODES
    return _compare(options, request, [m for m in modes if m in options.modes])


def training(options: Options, preset: str) -> list[Row]:
    """One optimizer step: energy and force loss, its gradient, Adam; 5 frames of 64 atoms, 16 of 216 on a GPU."""
    request = {
        "task": "training",
        "preset": preset,
        "repeats": (3, 3, 3) if options.on_gpu else (2, 2, 2),
        "frames": 16 if options.on_gpu else 5,
        "energy_weight": ENERGY_WEIGHT,
    }
    modes = GPU_TRAINING_MODES if options.on_gpu else TRAINING_MODES
    return _compare(options, request, [m for m in modes if m in options.modes])


def _compare(options: Options, request: Row, modes: list[str]) -> list[Row]:
    """equipot beside nequip in every mode and variant, all in the same rounds."""
    sides: dict[str, Side] = {}
    errors: dict[str, Exception] = {}
    pairs = {f"{mode} {variant}": (mode, variant) for variant in options.variants for mode in modes}
    with ExitStack() as stack:
        own = Side(options, "equipot", options.threads, request)
        stack.enter_context(own.worker)
        for name, (mode, variant) in pairs.items():
            try:
                side = Side(options, "nequip", options.threads, {**request, "mode": mode, "variant": variant})
            except WorkerError as error:
                errors[name] = error
                continue
            stack.enter_context(side.worker)
            if side.sizes["edges"] != own.sizes["edges"]:
                errors[name] = WorkerError(
                    f"works on {side.sizes['edges']} edges, equipot on {own.sizes['edges']}"
                )
                continue
            sides[name] = side
        options.say(f"timing {describe(request)}")
        calls = {"equipot": own.time, **{name: side.time for name, side in sides.items()}}
        times, failed = interleave(calls, options.rounds, options.round_seconds, failures=(WorkerError,))
        if "equipot" in failed:
            raise failed["equipot"]
        errors.update(failed)
        everyone = {"equipot": own, **{name: s for name, s in sides.items() if name not in errors}}
        # torch counts what it allocates on a GPU; of a processor's memory this is no part of the task.
        peaks = _peaks(everyone) if options.on_gpu else {}
    rows = []
    for name, (mode, variant) in pairs.items():
        row = _row(request, options, mode, variant, own, times["equipot"])
        for who, side in (("equipot", "equipot"), ("peer", name)):
            row[f"{who}_bytes_per_atom"] = peaks[side] / own.sizes["atoms"] if side in peaks else None
        if name in errors:
            row["error"] = str(errors[name])
        else:
            row.update(sides[name].microseconds(times[name]), **_ratios(times["equipot"], times[name]))
            row["peer_prepared_in_s"] = sides[name].sizes["prepared_in"]
        rows.append(row)
    _mark_best(rows)
    return rows


def _peaks(sides: dict[str, Side]) -> dict[str, int]:
    """Bytes of one call of each side that can do one more."""
    found = {}
    for name, side in sides.items():
        with suppress(WorkerError):
            found[name] = side.memory()
    return found


def _row(request: Row, options: Options, mode: str, variant: str, own: Side, times: Times) -> Row:
    return {
        "task": request["task"],
        "device": options.device,
        "preset": request["preset"],
        "peer": "nequip",
        "mode": mode,
        "variant": variant,
        **own.microseconds(times),
        "peer_us_per_atom": None,
        "ratio": None,
        "ratio_min": None,
        "best": False,
        "threads": options.threads,
        "n_atoms": own.sizes["atoms"],
        "n_edges": own.sizes["edges"],
        "error": None,
    }


def _ratios(own: Times, peer: Times) -> dict[str, float]:
    return {"ratio": peer.median / own.median, "ratio_min": peer.minimum / own.minimum}


def _mark_best(rows: list[Row]) -> None:
    """The peer's fastest mode of every variant, by medians."""
    for variant in VARIANTS:
        timed = [r for r in rows if r["variant"] == variant and r["peer_us_per_atom"] is not None]
        if timed:
            min(timed, key=lambda r: r["peer_us_per_atom"])["best"] = True


def scaling(options: Options) -> list[Row]:
    """Time and memory by the number of atoms, neighbour search included, every size in fresh processes."""
    modes = [m for m in GPU_INFERENCE_MODES if m in options.modes] if options.on_gpu else []
    rows = []
    for wanted in sizes(options):
        repeats = repeats_for(wanted)
        n_atoms = 8 * repeats[0] * repeats[1] * repeats[2]
        request = {"task": "scaling", "preset": options.scaling_preset, "repeats": repeats}
        own, times, failure = {}, None, None
        try:
            own, times = _size(options, "equipot", request)
        except WorkerError as error:
            failure = f"equipot: {error}"
        for mode in modes or ["eager"]:
            row: Row = {"task": "scaling", "device": options.device, "preset": options.scaling_preset}
            row.update(peer="nequip", mode=mode, variant="preset", threads=options.threads, n_atoms=n_atoms)
            row.update({f"{w}_us_per_atom": None for w in ("equipot", "peer")}, ratio=None, ratio_min=None)
            row.update(error=failure, **own)
            rows.append(row)
            if n_atoms > options.peer_atoms:
                row["error"] = (
                    failure or f"nequip is measured up to {options.peer_atoms:g} atoms (--peer-atoms)"
                )
                continue
            try:
                peer, peer_times = _size(options, "nequip", {**request, "mode": mode, "variant": "preset"})
            except WorkerError as error:
                row["error"] = "; ".join(filter(None, (failure, str(error))))
            else:
                row.update(peer, **(_ratios(times, peer_times) if times else {}))
        if failure and not options.on_gpu:
            break  # more atoms would only make the machine swap
    return rows


def sizes(options: Options) -> list[float]:
    """Numbers of atoms of scaling, of which the nearest supercells are taken."""
    if options.sizes:
        return [float(n) for n in options.sizes]
    if options.on_gpu:
        return [float(n) for n in GPU_SIZES]
    return [10 ** (k / 2) for k in range(4, 11) if 10 ** (k / 2) <= 1.01 * options.largest]


def _size(options: Options, package: str, request: Row) -> tuple[Row, Times]:
    side = Side(options, package, options.threads, request)
    who = "equipot" if package == "equipot" else "peer"
    with side.worker:
        options.say(f"{package}: {side.sizes['atoms']} atoms")
        growth = side.memory()
        calls = {"job": side.time}
        times, _ = interleave(calls, options.rounds, options.round_seconds, SECONDS_PER_SIZE)
        side.prepare("search", {"cutoff": CUTOFF, **request, "task": "search"}, 600.0)
        search = side.time(2, "search")
    found = side.microseconds(times["job"])
    found[f"{who}_search_us_per_atom"] = 1e6 * search / side.sizes["atoms"]
    found[f"{who}_searched_by"] = side.sizes["search"]
    found[f"{who}_bytes_per_atom"] = growth / side.sizes["atoms"]
    return found, times["job"]


def threads(options: Options) -> list[Row]:
    """1000 atoms on 1, 2, 4, … threads, up to --threads; all counts in the same rounds."""
    counts = [1]
    while 2 * counts[-1] <= options.threads:
        counts.append(2 * counts[-1])
    request = {"task": "inference", "preset": options.scaling_preset, "repeats": (5, 5, 5)}
    request.update(mode="eager", variant="preset")
    sides: dict[str, Side] = {}
    errors: dict[str, Exception] = {}
    with ExitStack() as stack:
        for n in counts:
            for package in ("equipot", "nequip"):
                try:
                    side = Side(options, package, n, request)
                except WorkerError as error:
                    if package == "equipot":
                        raise
                    errors[f"nequip {n}"] = error
                    continue
                stack.enter_context(side.worker)
                sides[f"{package} {n}"] = side
        options.say("timing threads")
        calls = {name: side.time for name, side in sides.items()}
        times, failed = interleave(calls, options.rounds, options.round_seconds, failures=(WorkerError,))
    errors.update(failed)
    rows = []
    for n in counts:
        own, peer = f"equipot {n}", f"nequip {n}"
        if own in errors:
            raise errors[own]
        with_threads = replace(options, threads=n)
        row = _row({**request, "task": "threads"}, with_threads, "eager", "preset", sides[own], times[own])
        row["equipot_speedup"] = times["equipot 1"].median / times[own].median
        if peer in errors:
            row["error"] = str(errors[peer])
        else:
            row.update(sides[peer].microseconds(times[peer]), **_ratios(times[own], times[peer]))
            if "nequip 1" in times:
                row["peer_speedup"] = times["nequip 1"].median / times[peer].median
        rows.append(row)
    return rows
