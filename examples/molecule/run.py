"""A molecule from its labels to its vibrations: ethanol, labelled with GFN2-xTB.

    python examples/molecule/run.py [--output runs/molecule] [--molecule CH3CH2OH] [--minutes 5]

tblite labels (`pip install tblite`), in your work DFT. The steps:

    sample    frames of molecular dynamics at 500 K for the training, of another run at 300 K for the test
    train     `equipot train` with a config of data, cutoff and time
    compare   test errors, harmonic frequencies, and the vibrational density of states at 300 K, beside xTB itself
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import ase.io
import matplotlib
import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.collections import g2
from ase.optimize import BFGS
from dynamics import INTERVAL, sample, velocities
from rich.table import Table
from vibrations import density_of_states, harmonic, mean_wave_number

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common.commands import CONSOLE, equipot
from common.labels import labelled
from common.models import calculator
from common.options import options

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
HOT, WARM = 500, 300  # K, of the training frames; of the test frames and of the spectrum
APART = 20  # fs between training frames
STRETCHES = 2000  # 1/cm; X-H stretches lie above


def xtb() -> Any:
    """Return the calculator that labels. This is the only function to change for another method."""
    try:
        from tblite.ase import TBLite
    except ImportError:
        raise SystemExit("the labels need tblite; install it with `pip install tblite`") from None
    return TBLite(method="GFN2-xTB", verbosity=0)


def relaxed(atoms: Atoms, calculator: Any) -> Atoms:
    """Return the molecule at the nearest minimum."""
    copy = atoms.copy()
    copy.calc = calculator
    BFGS(copy, logfile=None).run(fmax=2e-4, steps=500)
    return copy


def plot(results: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw both densities of states above the harmonic frequencies of both methods, in two ranges."""
    top = max(r["harmonic"][-1] for r in results.values()) + 150
    low = max(f for f in results["xTB"]["harmonic"] if f < STRETCHES) + 150
    high = min(f for f in results["xTB"]["harmonic"] if f > STRETCHES) - 250
    figure, axes = plt.subplots(
        2, 2, figsize=(9, 4.2), sharex="col", sharey="row", layout="constrained",
        gridspec_kw={"width_ratios": [low, top - high], "height_ratios": [4, 1]},
    )  # fmt: skip
    for (spectrum, lines), limits in zip(axes.T, ((0, low), (high, top))):
        x, density = results["xTB"]["spectrum"]
        spectrum.fill_between(x, density, color="0.8", label="xTB")
        x, density = results["model"]["spectrum"]
        spectrum.plot(x, density, color="tab:blue", lw=1, label="model")
        lines.vlines(results["xTB"]["harmonic"], 1.05, 1.95, color="0.5", lw=1.3)
        lines.vlines(results["model"]["harmonic"], 0.05, 0.95, color="tab:blue", lw=1.3)
        spectrum.set(xlim=limits, ylim=(0, None))
        lines.set(ylim=(0, 2), xlabel="wave number (1/cm)")
    axes[0, 0].set(ylabel=f"density of states at {WARM} K", yticks=[])
    axes[0, 0].legend(frameon=False, loc="upper left")
    axes[1, 0].set_yticks([1.5, 0.5], ["xTB", "model"])
    axes[1, 0].set_ylabel("harmonic")
    axes[1, 1].tick_params(left=False)
    figure.savefig(path, dpi=150)


def main() -> int:
    parser = options(__doc__, "runs/molecule")
    add = parser.add_argument
    add("--molecule", default="CH3CH2OH", help="a name of ase.build.molecule (default: %(default)s)")
    add("--frames", type=int, default=400, help="for the training (default: %(default)s)")
    add("--minutes", type=float, default=5.0, help="of the training (default: %(default)g)")
    add("--runs", type=int, default=6, help="of dynamics for the spectrum (default: %(default)s)")
    add("--time", type=float, default=5.0, metavar="PS", help="of each run (default: %(default)g)")
    args = parser.parse_args()
    if args.molecule not in g2.names:
        parser.error(
            f"--molecule {args.molecule}: expected a name of ase.build.molecule such as CH3CH2OH or C6H6"
        )
    out, start = args.output, time.monotonic()
    method = xtb()
    out.mkdir(parents=True, exist_ok=True)
    at_rest = relaxed(molecule(args.molecule), method)

    CONSOLE.print(f"sampling {args.frames} training frames at {HOT} K with xTB", markup=False)
    train, test = out / "train.extxyz", out / "test.extxyz"
    ase.io.write(train, labelled(sample(at_rest, method, HOT, args.frames, APART, seed=1), method))
    ase.io.write(
        test, labelled(sample(at_rest, method, WARM, max(1, args.frames // 4), 2 * APART, seed=2), method)
    )
    equipot(
        "train", HERE / "config.yaml", f"data.train={train}", f"training.max_time={60 * args.minutes:g}",
        f"output={out / 'model'}", "--overwrite",
    )  # fmt: skip
    model = out / "model/model.pt"
    equipot("evaluate", model, test, "-o", out / "test")
    errors = json.loads((out / "test/evaluation.json").read_text())

    results: dict[str, dict[str, Any]] = {}
    for name, calc in {"xTB": method, "model": calculator(str(model))}.items():
        CONSOLE.print(f"dynamics at {WARM} K with {name}: {args.runs} runs of {args.time:g} ps", markup=False)
        runs = velocities(at_rest, calc, WARM, args.time, args.runs, seed=3)
        results[name] = {
            "harmonic": harmonic(relaxed(at_rest, calc), calc),
            "spectrum": density_of_states(runs, INTERVAL, at_rest.get_masses()),
        }
    summary = figures(errors, results)
    table = Table(title=f"{args.molecule}: model beside xTB", title_justify="left", show_header=False)
    for name, value in summary.items():
        table.add_row(name, f"{value:.4g}")
    CONSOLE.print(table)
    plot(results, out / "vibrations.png")
    (out / "vibrations.json").write_text(
        json.dumps(summary | {name: list(r["harmonic"]) for name, r in results.items()}, indent=1) + "\n"
    )
    CONSOLE.print(
        f"{time.monotonic() - start:.0f} s; written to {out}: vibrations.png, vibrations.json", markup=False
    )
    return 0


def figures(errors: dict[str, Any], results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return what the table shows."""
    difference = np.abs(results["model"]["harmonic"] - results["xTB"]["harmonic"])
    spectra = {name: r["spectrum"] for name, r in results.items()}
    overlap = np.minimum(spectra["xTB"][1], spectra["model"][1]).sum() / spectra["xTB"][1].sum()
    top = results["xTB"]["harmonic"][-1]
    peaks = {name: mean_wave_number(*s, top - 150, top + 150) for name, s in spectra.items()}
    return {
        "force MAE on the test frames (meV/Å)": 1000 * errors["forces"]["mae"],
        "force RMSE on the test frames (meV/Å)": 1000 * errors["forces"]["rmse"],
        "energy MAE on the test frames (meV/atom)": 1000 * errors["energy_per_atom"]["mae"],
        "harmonic frequencies, mean difference (1/cm)": float(difference.mean()),
        "harmonic frequencies, largest difference (1/cm)": float(difference.max()),
        f"highest band at {WARM} K, model (1/cm)": peaks["model"],
        f"highest band at {WARM} K, xTB (1/cm)": peaks["xTB"],
        "overlap of the densities of states": float(overlap),
    }


if __name__ == "__main__":
    sys.exit(main())
