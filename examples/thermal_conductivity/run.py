"""The thermal conductivity of silicon at 1000 K in LAMMPS, from the heat flux at equilibrium (Green and Kubo).

    python examples/thermal_conductivity/run.py [--output runs/conductivity] [--model FILE] [--ranks 2]

The potential is that of the silicon example, which is trained first if it is missing. Each run starts with velocities
of its own and writes the flux at constant energy. Runs and directions are independent estimates: their spread gives
the error bar.
"""

import json
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
from green_kubo import GreenKubo, green_kubo
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "silicon"))
from common.commands import CONSOLE, equipot
from common.lammps import lmp, prepare, write_data
from common.options import options
from silicon import HERE as SILICON
from silicon import crystal

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
EVERY = 8  # fs


def plot(result: GreenKubo, at: float, path: Path) -> None:
    """Draw the autocorrelation of the flux, and its running integral."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(result.times, result.correlation, lw=1)
    left.axhline(0, color="0.4", lw=0.7)
    left.set(
        xlabel="time (ps)", ylabel="autocorrelation of the heat flux", xlim=(0, min(2.0, result.times[-1]))
    )
    for k, estimate in enumerate(result.running):
        right.plot(
            result.times, estimate, color="0.75", lw=0.6, label="each run and direction" if k == 0 else None
        )
    right.fill_between(
        result.times,
        result.mean - result.error,
        result.mean + result.error,
        color="tab:blue",
        alpha=0.3,
        lw=0,
    )
    right.plot(result.times, result.mean, color="tab:blue", label="mean and standard error")
    right.axvline(at, color="tab:red", lw=0.8, ls="--", label=f"value taken at {at:g} ps")
    right.set(
        xlabel="upper limit of the integral (ps)", ylabel="conductivity (W/(m K))", xlim=(0, result.times[-1])
    )
    right.legend(frameon=False, fontsize=8, loc="upper left")
    figure.savefig(path, dpi=150)


def main() -> int:
    parser = options(__doc__, "runs/conductivity")
    add = parser.add_argument
    add("--model", type=Path, metavar="FILE", help="potential (default: that of the silicon example)")
    add("--temperature", type=float, default=1000.0, metavar="K", help="default: %(default)g")
    add("--repeat", type=int, default=3, help="of the cubic cell (default: %(default)s, 216 atoms)")
    add("--runs", type=int, default=3, help="with velocities of their own (default: %(default)s)")
    add("--time", type=float, default=10.0, metavar="PS", help="of each run (default: %(default)g)")
    add("--longest", type=float, default=4.0, metavar="PS", help="longest correlation (default: %(default)g)")
    add(
        "--at",
        type=float,
        default=3.0,
        metavar="PS",
        help="upper limit of the integral (default: %(default)g)",
    )
    add("--ranks", type=int, default=2, help="MPI processes (default: %(default)s)")
    args = parser.parse_args()
    if not EVERY / 1000 < args.at <= args.longest < args.time:
        parser.error(
            f"--at {args.at:g}, --longest {args.longest:g}, --time {args.time:g}: expected lengths in ps that grow"
        )
    prepare()
    out, start = args.output, time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    model = args.model or out / "silicon/model.pt"
    if not model.exists():
        if args.model:
            parser.error(
                f"{model} does not exist; leave --model out to train the potential of the silicon example"
            )
        equipot("train", SILICON / "config.yaml", f"output={model.parent}", "--overwrite")

    atoms = crystal(args.repeat)
    write_data(out / "silicon.data", atoms, ["Si"])
    fluxes, temperatures = [], []
    for seed in range(1, args.runs + 1):
        file = out / f"flux{seed}.dat"
        _, watched = lmp(
            HERE / "in.flux",
            args.ranks,
            out / f"flux{seed}.log",
            model=model,
            data=out / "silicon.data",
            flux=file,
            temperature=args.temperature,
            seed=1000 + seed,
            steps=round(1000 * args.time),
            start_steps=min(1000, round(1000 * args.time)),
            every=EVERY,
        )
        fluxes.append(np.loadtxt(file)[:, 1:])
        temperatures.append(watched["Temp"].mean())
        CONSOLE.print(
            f"run {seed} of {args.runs}: {args.time:g} ps at {temperatures[-1]:.0f} K", markup=False
        )
    temperature = float(np.mean(temperatures))
    result = green_kubo(fluxes, EVERY / 1000, atoms.get_volume(), temperature, args.longest)
    at = int(np.argmin(np.abs(result.times - args.at)))
    plot(result, args.at, out / "conductivity.png")
    np.savetxt(
        out / "conductivity.csv",
        np.column_stack([result.times, result.correlation, result.mean, result.error]),
        "%.8g", ",", header="time_ps,correlation,conductivity,error", comments="",
    )  # fmt: skip
    values = {
        "conductivity_W_per_mK": float(result.mean[at]),
        "standard_error_W_per_mK": float(result.error[at]),
        "temperature_K": temperature,
        "atoms": len(atoms),
        "estimates": len(result.running),
    }
    (out / "conductivity.json").write_text(json.dumps(values, indent=1) + "\n")
    table = Table(
        title=f"Silicon, {len(atoms)} atoms, {args.runs} runs of {args.time:g} ps", title_justify="left"
    )
    for heading in ("integral up to (ps)", "conductivity (W/(m K))", "standard error"):
        table.add_column(heading, justify="right")
    for share in (0.1, 0.25, 0.5, 1.0):
        k = round(share * (len(result.times) - 1))
        table.add_row(f"{result.times[k]:.2g}", f"{result.mean[k]:.1f}", f"{result.error[k]:.1f}")
    CONSOLE.print(table)
    CONSOLE.print(
        f"conductivity at {temperature:.0f} K: {result.mean[at]:.1f} ± {result.error[at]:.1f} W/(m K), integral up to "
        f"{args.at:g} ps\n{time.monotonic() - start:.0f} s; written to {out}: conductivity.png, .csv, .json",
        markup=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
