"""Liquid water in LAMMPS: radial distribution functions and the diffusion coefficient.

    python examples/water/run.py [--model sevenn:7net-0] [--steps 10000] [--output runs/water]

Molecules start on a grid, melt at 500 K, and are equilibrated at 300 K. Then a weak thermostat keeps the temperature
while their motion is recorded. in.water is the input of LAMMPS.

Hydrogen has the mass of deuterium, so that a step of 1 fs is short enough. The volume is that of water at 25 °C and
1 bar; LAMMPS does not change it.
"""

import json
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.io import read
from rich.console import Console
from rich.table import Table
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common.lammps import lmp, prepare, write_data
from common.models import add_model, calculator
from common.options import options

from equipot.properties.rdf import RDF, radial_distribution

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
CONSOLE = Console(highlight=False)
DENSITY = 0.99705  # g/cm³, H2O at 25 °C; the number of molecules per volume is that of D2O within 0.4 %
# X-ray diffraction: Skinner et al., J. Chem. Phys. 138, 074506 (2013).
PEAK, PEAK_ERROR = (2.80, 2.57), (0.01, 0.05)  # Å and height of the first maximum of g_OO
# 1e-9 m²/s at 25 °C. H2O: Holz et al., Phys. Chem. Chem. Phys. 2, 4740 (2000).
# D2O: Mills, J. Phys. Chem. 77, 685 (1973).
DIFFUSION = {"H2O": 2.30, "D2O": 1.87}
SQUARE_ANGSTROM_PER_PS = 10.0  # 1e-9 m²/s
# The part of the record in which the squared displacement is fitted: after the motion within the cage of neighbours,
# before the statistics are lost.
FIT = (0.1, 0.5)


def grid(n_molecules: int, seed: int) -> Atoms:
    """Return molecules on a cubic grid in random orientations, in a cube with the density of water."""
    mass = molecule("H2O").get_masses().sum()
    edge = (n_molecules * mass / (DENSITY * units.kg / units.m**3 * 1000)) ** (1 / 3)
    points = int(np.ceil(n_molecules ** (1 / 3)))
    rng = np.random.default_rng(seed)
    chosen = rng.choice(points**3, n_molecules, replace=False)
    water = Atoms(cell=[edge] * 3, pbc=True)
    for place in np.stack(np.unravel_index(np.sort(chosen), (points,) * 3), axis=1):
        one = molecule("H2O")
        one.positions = Rotation.random(rng=rng).apply(one.positions - one.get_center_of_mass())
        one.positions += (place + 0.5) * edge / points
        water += one
    return water


def squared_displacement(frames: list[Atoms]) -> np.ndarray:
    """Return the mean squared displacement of oxygen along x, y and z, over atoms and pairs of frames (n_frames, 3).

    The centre of mass of all oxygens is at rest. Row k is for frames that are k apart.
    """
    oxygen = frames[0].symbols == "O"
    places = np.array([atoms.positions[oxygen] for atoms in frames])
    places -= places.mean(axis=1, keepdims=True)
    rows = [np.zeros(3)]
    rows += [np.square(places[k:] - places[:-k]).mean(axis=(0, 1)) for k in range(1, len(places))]
    return np.array(rows)


def diffusion(picoseconds: np.ndarray, msd: np.ndarray) -> tuple[float, float]:
    """Return the diffusion coefficient (1e-9 m²/s), and its standard error from the three directions."""
    first, last = (int(part * (len(msd) - 1)) for part in FIT)
    window = slice(first, max(last, first + 1) + 1)
    slopes = np.polyfit(picoseconds[window], msd[window], 1)[0] / 2 * SQUARE_ANGSTROM_PER_PS
    return float(slopes.mean()), float(slopes.std(ddof=1) / np.sqrt(3))


def first_peak(rdf: RDF) -> tuple[float, float]:
    """Return the place (Å) and the height of the maximum of g_OO."""
    g = rdf.pairs["O-O"]
    return float(rdf.r[g.argmax()]), float(g.max())


def plot(rdf: RDF, picoseconds: np.ndarray, msd: np.ndarray, model: str, file: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for pair, name in (("O-O", "O-O"), ("H-O", "O-H"), ("H-H", "H-H")):
        left.plot(rdf.r, rdf.pairs[pair], label=f"{name}, {model}")
    left.errorbar(*PEAK, PEAK_ERROR[1], PEAK_ERROR[0], "ko", capsize=3, label="O-O, X-ray: first peak")
    left.axhline(1, color="0.7", lw=0.8, zorder=0)
    between = rdf.r > 1.2  # without the bond O-H
    top = max(g[between].max() for g in rdf.pairs.values())
    left.set(xlabel="distance (Å)", ylabel="g(r)", xlim=(1.2, rdf.r[-1]), ylim=(0, 1.3 * max(top, PEAK[1])))
    left.legend(frameon=False, fontsize=9)
    half = slice(0, len(msd) // 2 + 1)
    right.plot(picoseconds[half], msd[half].sum(axis=1), label=model)
    for name, style in (("D2O", "--"), ("H2O", ":")):
        slope = 6 * DIFFUSION[name] / SQUARE_ANGSTROM_PER_PS
        right.plot(
            picoseconds[half],
            slope * picoseconds[half],
            style,
            color="k",
            lw=1,
            label=f"{name}, 25 °C, measured",
        )
    right.set(
        xlabel="time (ps)", ylabel="squared displacement of oxygen (Å²)", xlim=(0, None), ylim=(0, None)
    )
    right.legend(frameon=False, fontsize=9)
    figure.savefig(file, dpi=150)
    plt.close(figure)


def main() -> int:
    parser = options(__doc__, "runs/water")
    add = parser.add_argument
    add_model(parser)
    add("--molecules", type=int, default=64, help="default: %(default)s")
    add("--temperature", type=float, default=300, help="K (default: %(default)g)")
    add("--melt", type=int, default=1000, help="steps of 1 fs at 500 K (default: %(default)s)")
    add("--equilibrate", type=int, default=3000, help="steps at the temperature (default: %(default)s)")
    add("--steps", type=int, default=10000, help="that are recorded (default: %(default)s)")
    add("--every", type=int, default=20, help="steps between recorded frames (default: %(default)s)")
    add("--ranks", type=int, default=2, help="MPI processes (default: %(default)s)")
    add("--seed", type=int, default=1, help="of orientations and velocities (default: %(default)s)")
    args = parser.parse_args()
    if args.steps < 4 * args.every:
        parser.error(f"--steps {args.steps} gives fewer than 5 frames; it needs {4 * args.every} or more")
    start, out = time.monotonic(), args.output
    prepare()
    model = calculator(args.model).model.path
    out.mkdir(parents=True, exist_ok=True)
    water = grid(args.molecules, args.seed)
    write_data(out / "water.data", water, ["O", "H"])
    lengths = {
        name: getattr(args, name) for name in ("temperature", "melt", "equilibrate", "steps", "every", "seed")
    }
    *_, watched = lmp(
        HERE / "in.water", args.ranks, out / "water.log", model=model, data=out / "water.data",
        dump=out / "water.dump", **lengths,
    )  # fmt: skip

    frames = read(out / "water.dump", ":", format="lammps-dump-text")
    r_max = water.cell.lengths()[0] / 2
    rdf = radial_distribution(frames, r_max, n_bins=round(r_max / 0.05))
    picoseconds = np.arange(len(frames)) * args.every / 1000
    msd = squared_displacement(frames)
    coefficient, error = diffusion(picoseconds, msd)
    place, height = first_peak(rdf)
    values = {
        "molecules": args.molecules,
        "temperature_K": float(watched["Temp"].mean()),
        "peak_A": place,
        "peak_height": height,
        "diffusion_1e-9_m2_per_s": coefficient,
        "diffusion_error": error,
        "time_ps": picoseconds.tolist(),
        "msd_A2": msd.sum(axis=1).tolist(),
        "r_A": rdf.r.tolist(),
        "g": {pair: g.tolist() for pair, g in rdf.pairs.items()},
    }
    (out / "water.json").write_text(json.dumps(values) + "\n")
    title = f"{args.molecules} water molecules, {values['temperature_K']:.0f} K, {picoseconds[-1]:g} ps, {args.model}"
    table = Table(title=title, title_justify="left")
    for column in ("", "model", "measured at 25 °C"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("first peak of g_OO (Å)", f"{place:.2f}", f"{PEAK[0]:.2f}")
    table.add_row("its height", f"{height:.2f}", f"{PEAK[1]:.2f}")
    table.add_row(
        "diffusion coefficient (1e-9 m²/s)",
        f"{coefficient:.2f} ± {error:.2f}",
        ", ".join(f"{value:.2f} ({name})" for name, value in DIFFUSION.items()),
    )
    CONSOLE.print(table)
    plot(rdf, picoseconds, msd, args.model, out / "water.png")
    CONSOLE.print(
        f"{time.monotonic() - start:.0f} s; written to {out}: water.png, water.json, water.dump", markup=False
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
