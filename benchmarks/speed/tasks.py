"""The measurements: inference, training, scaling with the number of atoms, and threads; each returns rows.

A row is a dictionary of plain values: task, device, preset, peer, mode, variant, threads, n_atoms, n_edges; median and
minimum over the rounds in µs per atom of both sides; ratio (peer over equipot, of the medians) and ratio_min
(of the minima); bytes per atom at the peak of a call, for scaling and on a GPU; and `error`, one sentence, where the
peer has no time.
"""

import argparse
from collections.abc import Mapping
from contextlib import ExitStack, suppress

from benchmarks.peers.worker import WorkerError
from benchmarks.silicon import repeats_for
from benchmarks.timing import Times, interleave

from .side import Row, Side, describe, ratios

ENERGY_WEIGHT = 10.0  # of the squared error of the energy per atom; that of the forces has 1
INFERENCE_MODES = ("eager", "torchscript", "aotinductor")
TRAINING_MODES = ("eager", "torch.compile")
# OpenEquivariance's kernels run on GPUs alone, and are installed beside nequip.
GPU_INFERENCE_MODES = ("eager", "aotinductor", "aotinductor+openequivariance")
GPU_TRAINING_MODES = ("eager", "torch.compile", "torch.compile+openequivariance")
GPU_SIZES = (216, 5000, 50_000)
VARIANTS = ("preset", "narrow")
# Limit of the rounds of a side in scaling: a call with 10⁵ atoms takes many seconds.
SECONDS_PER_SIZE = 60.0


def inference(options: argparse.Namespace, preset: str) -> list[Row]:
    """Energy, forces and virial of 216 atoms, from positions and a given neighbour list."""
    request = {"task": "inference", "preset": preset, "repeats": (3, 3, 3)}
    modes = GPU_INFERENCE_MODES if options.on_gpu else INFERENCE_MODES
    return _compare(options, request, [m for m in modes if m in options.modes])


def training(options: argparse.Namespace, preset: str) -> list[Row]:
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


def _compare(options: argparse.Namespace, request: Row, modes: list[str]) -> list[Row]:
    """Measure equipot and nequip in every mode and variant, all in the same rounds."""
    pairs = {f"{mode} {variant}": (mode, variant) for variant in options.variants for mode in modes}
    sides: dict[str, Side] = {}
    errors: dict[str, str] = {}
    with ExitStack() as stack:
        own = stack.enter_context(Side(options, "equipot", options.threads, request))
        for name, (mode, variant) in pairs.items():
            try:
                side = Side(options, "nequip", options.threads, {**request, "mode": mode, "variant": variant})
            except WorkerError as error:
                errors[name] = error.reason
                continue
            stack.enter_context(side)
            if side.sizes["edges"] != own.sizes["edges"]:
                errors[name] = f"works on {side.sizes['edges']} edges, equipot on {own.sizes['edges']}"
                continue
            sides[name] = side
        options.show(f"timing {describe(request)}")
        times = _take_turns(options, {"equipot": own, **sides}, errors)
        finished = {"equipot": own, **{name: side for name, side in sides.items() if name in times}}
        # torch counts what it allocates on a GPU; on a CPU memory is measured by the scaling task alone.
        peaks = _peaks(finished) if options.on_gpu else {}
    rows = []
    for name, (mode, variant) in pairs.items():
        row = _row(request, options, mode, variant, own, times["equipot"])
        for who, side_name in (("equipot", "equipot"), ("peer", name)):
            peak = peaks.get(side_name)
            row[f"{who}_bytes_per_atom"] = None if peak is None else peak / own.sizes["atoms"]
        if name in errors:
            row["error"] = errors[name]
        else:
            row.update(sides[name].entries(times[name]), **ratios(times["equipot"], times[name]))
            row["peer_prepared_in_s"] = sides[name].sizes["prepared_in"]
        rows.append(row)
    _mark_best(rows)
    return rows


def _take_turns(
    options: argparse.Namespace, sides: Mapping[str, Side], errors: dict[str, str]
) -> dict[str, Times]:
    """Time sides by name; add the sentences of peers that fail to `errors`, raise equipot's WorkerError."""
    calls = {name: side.worker.time for name, side in sides.items()}
    times, failed = interleave(calls, options.rounds, options.round_seconds, failures=(WorkerError,))
    for name, error in failed.items():
        assert isinstance(error, WorkerError)
        if sides[name].package == "equipot":
            raise error
        errors[name] = error.reason
    return times


def _peaks(sides: Mapping[str, Side]) -> dict[str, int]:
    """Return the peak bytes of one more call of each side that can make it."""
    peaks = {}
    for name, side in sides.items():
        with suppress(WorkerError):
            peaks[name] = side.worker.memory()
    return peaks


def _row(request: Row, options: argparse.Namespace, mode: str, variant: str, own: Side, times: Times) -> Row:
    return {
        "task": request["task"],
        "device": options.device,
        "preset": request["preset"],
        "peer": "nequip",
        "mode": mode,
        "variant": variant,
        **own.entries(times),
        "peer_us_per_atom": None,
        "ratio": None,
        "ratio_min": None,
        "best": False,
        "threads": options.threads,
        "n_atoms": own.sizes["atoms"],
        "n_edges": own.sizes["edges"],
        "error": None,
    }


def _mark_best(rows: list[Row]) -> None:
    """Mark the peer's fastest mode of every variant, by medians."""
    for variant in VARIANTS:
        timed = [r for r in rows if r["variant"] == variant and r["peer_us_per_atom"] is not None]
        if timed:
            min(timed, key=lambda r: r["peer_us_per_atom"])["best"] = True


def scaling(options: argparse.Namespace) -> list[Row]:
    """Time and memory by the number of atoms, neighbour search included, every size in fresh processes."""
    modes = [m for m in GPU_INFERENCE_MODES if m in options.modes] if options.on_gpu else []
    rows = []
    for size in sizes(options):
        repeats = repeats_for(size)
        n_atoms = 8 * repeats[0] * repeats[1] * repeats[2]
        request = {"task": "scaling", "preset": options.scaling_preset, "repeats": repeats}
        own, times, failure = {}, None, None
        try:
            own, times = _measure_size(options, "equipot", request)
        except WorkerError as error:
            failure = f"equipot: {error.reason}"
        for mode in modes or ["eager"]:
            row: Row = {"task": "scaling", "device": options.device, "preset": options.scaling_preset}
            row.update(peer="nequip", mode=mode, variant="preset", threads=options.threads, n_atoms=n_atoms)
            row.update({f"{w}_us_per_atom": None for w in ("equipot", "peer")}, ratio=None, ratio_min=None)
            row.update(error=failure, **own)
            rows.append(row)
            if n_atoms > options.peer_atoms:
                limit = f"nequip is measured up to {options.peer_atoms:g} atoms (--peer-atoms)"
                row["error"] = failure or limit
                continue
            try:
                peer_request = {**request, "mode": mode, "variant": "preset"}
                peer, peer_times = _measure_size(options, "nequip", peer_request)
            except WorkerError as error:
                row["error"] = "; ".join(filter(None, (failure, error.reason)))
            else:
                row.update(peer, **(ratios(times, peer_times) if times else {}))
        if failure and not options.on_gpu:
            break  # more atoms would only make the machine swap
    return rows


def sizes(options: argparse.Namespace) -> list[float]:
    """Return the numbers of atoms of scaling; the supercells nearest to them are taken."""
    if options.sizes:
        return [float(n) for n in options.sizes]
    if options.on_gpu:
        return [float(n) for n in GPU_SIZES]
    return [10 ** (k / 2) for k in range(4, 11) if 10 ** (k / 2) <= 1.01 * options.largest]


def _measure_size(options: argparse.Namespace, package: str, request: Row) -> tuple[Row, Times]:
    who = "equipot" if package == "equipot" else "peer"
    with Side(options, package, options.threads, request) as side:
        n_atoms = side.sizes["atoms"]
        options.show(f"{package}: {n_atoms} atoms")
        growth = side.worker.memory()
        calls = {"job": side.worker.time}
        times, _ = interleave(calls, options.rounds, options.round_seconds, SECONDS_PER_SIZE)
        side.prepare({**request, "task": "search"}, job="search")
        search = side.worker.time(2, "search")
    entries = side.entries(times["job"])
    entries[f"{who}_search_us_per_atom"] = 1e6 * search / n_atoms
    entries[f"{who}_searched_by"] = side.sizes["search"]
    entries[f"{who}_bytes_per_atom"] = growth / n_atoms
    return entries, times["job"]


def threads(options: argparse.Namespace) -> list[Row]:
    """1000 atoms on 1, 2, 4, … threads, up to --threads; all numbers of threads in the same rounds."""
    counts = [1]
    while 2 * counts[-1] <= options.threads:
        counts.append(2 * counts[-1])
    request = {"task": "inference", "preset": options.scaling_preset, "repeats": (5, 5, 5)}
    request.update(mode="eager", variant="preset")
    sides: dict[str, Side] = {}
    errors: dict[str, str] = {}
    with ExitStack() as stack:
        for n in counts:
            sides[f"equipot {n}"] = stack.enter_context(Side(options, "equipot", n, request))
            try:
                sides[f"nequip {n}"] = stack.enter_context(Side(options, "nequip", n, request))
            except WorkerError as error:
                errors[f"nequip {n}"] = error.reason
        options.show("timing threads")
        times = _take_turns(options, sides, errors)
    rows = []
    for n in counts:
        own, peer = f"equipot {n}", f"nequip {n}"
        row = _row({**request, "task": "threads"}, options, "eager", "preset", sides[own], times[own])
        row["threads"] = n
        row["equipot_speedup"] = times["equipot 1"].median / times[own].median
        if peer in errors:
            row["error"] = errors[peer]
        else:
            row.update(sides[peer].entries(times[peer]), **ratios(times[own], times[peer]))
            if "nequip 1" in times:
                row["peer_speedup"] = times["nequip 1"].median / times[peer].median
        rows.append(row)
    return rows
