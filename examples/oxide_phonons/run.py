"""Phonons of MgO from two training sets: cells of one volume without stresses, and strained cells with stresses.

    python examples/oxide_phonons/run.py [--output runs/mgo] [--minutes 3] [--labels sevenn:7net-0]

The labels come from a universal potential (`pip install sevenn`), in your work from DFT. Both sets have the same number
of cells, and both trainings take the same time:

    one volume   atoms displaced at the lattice parameter of the labels; energies and forces
    strained     atoms displaced in strained cells; energies, forces and stresses

Then `equipot phonons` relaxes the crystal with each model and computes its bands, which are drawn above those of the
labels.
"""

import json
import sys
import time
from pathlib import Path

import ase.io
import matplotlib
import numpy as np
import yaml
from ase import Atoms
from ase.build import bulk
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common.commands import CONSOLE, equipot
from common.labels import labelled
from common.models import add_model, calculator
from common.options import options

from equipot.errors import EquipotError
from equipot.properties.phonon_files import write_phonons
from equipot.properties.phonons import need_phonopy, phonons
from equipot.simulation.relaxation import relax

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
DISPLACEMENTS = (0.03, 0.06, 0.1)  # Å, standard deviation of each coordinate, in turn
STRAIN = 0.03  # the largest entry of a random strain
SETS = {"one volume": "one_volume", "strained": "strained"}


def displaced(crystal: Atoms, count: int, strain: float, rng: np.random.Generator) -> list[Atoms]:
    """Return copies of a crystal with displaced atoms, each in a cell of its own random strain."""
    frames = []
    for k in range(count):
        atoms = crystal.copy()
        symmetric = rng.uniform(-strain, strain, (3, 3))
        symmetric = (symmetric + symmetric.T) / 2
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + symmetric), scale_atoms=True)
        atoms.positions += rng.normal(0, DISPLACEMENTS[k % len(DISPLACEMENTS)], atoms.positions.shape)
        frames.append(atoms)
    return frames


def without_stress(frames: list[Atoms]) -> list[Atoms]:
    """Return the labelled frames without their stresses, as many DFT runs are stored."""
    copies = [atoms.copy() for atoms in frames]
    for copy, atoms in zip(copies, frames):
        copy.calc = type(atoms.calc)(copy, energy=atoms.get_potential_energy(), forces=atoms.get_forces())
    return copies


def bands(folder: Path) -> dict[str, np.ndarray]:
    """Read what `equipot phonons` has written: lines, distances (1/Å), frequencies (THz) and names of points."""
    rows = np.genfromtxt(folder / "bands.csv", delimiter=",", skip_header=1)
    head = (folder / "band.yaml").read_text().split("\nphonon:")[0]
    return {
        "line": rows[:, 0].astype(int),
        "distance": rows[:, 1],
        "frequencies": rows[:, 5:],
        "labels": yaml.safe_load(head)["labels"],
    }


def plot(results: dict[str, dict], path: Path) -> None:
    """Draw the bands of the labels and of both models, on the path of the labels."""
    reference = results["labels"]["bands"]
    figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
    styles = {
        "labels": {"color": "0.6", "lw": 3.5},
        "one volume": {"color": "tab:orange", "lw": 1.2, "ls": "--"},
        "strained": {"color": "tab:blue", "lw": 1.2},
    }
    ticks: dict[float, str] = {}
    for k, (first, last) in enumerate(reference["labels"]):
        on_line = reference["line"] == k
        x = reference["distance"][on_line]
        for name, style in styles.items():
            lines = axis.plot(x, results[name]["bands"]["frequencies"][on_line], **style)
            if k == 0:
                lines[0].set_label(f"{name}: a = {results[name]['a']:.3f} Å")
        before = ticks.get(x[0], first)
        ticks[x[0]] = first if before == first else f"{before}|{first}"
        ticks[x[-1]] = last
    for at in ticks:
        axis.axvline(at, color="0.85", lw=0.7, zorder=0)
    axis.axhline(0, color="0.4", lw=0.7)
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.set(ylabel="frequency (THz)", xlim=(0, reference["distance"][-1]))
    axis.set_ylim(top=1.25 * axis.get_ylim()[1])
    axis.legend(frameon=False, ncols=3, loc="upper center")
    figure.savefig(path, dpi=150)


def main() -> int:
    parser = options(__doc__, "runs/mgo")
    add = parser.add_argument
    add("--minutes", type=float, default=3.0, help="of each training (default: %(default)g)")
    add("--frames", type=int, default=24, help="cells of each set (default: %(default)s)")
    add(
        "--repeat", type=int, default=2, help="of the cubic cell in each set (default: %(default)s, 64 atoms)"
    )
    add("--supercell", type=int, default=3, help="of the phonons, likewise (default: %(default)s, 216 atoms)")
    add_model(parser, "--labels", "model that labels: ")
    args = parser.parse_args()
    out, start = args.output, time.monotonic()
    try:
        need_phonopy()
    except EquipotError as error:
        raise SystemExit(str(error)) from None
    oracle = calculator(args.labels)  # any calculator of ASE
    out.mkdir(parents=True, exist_ok=True)
    crystal = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    crystal = relax(crystal, oracle, cell="full", fmax=1e-3, symmetry=True).atoms
    ase.io.write(out / "mgo.cif", crystal)

    CONSOLE.print(f"labelling {2 * args.frames} cells with {args.labels}", markup=False)
    rng = np.random.default_rng(1)
    cells = crystal.repeat(args.repeat)
    fixed = without_stress(labelled(displaced(cells, args.frames, 0.0, rng), oracle))
    strained = labelled(displaced(cells, args.frames, STRAIN, rng), oracle)
    models = {}
    for name, frames in zip(SETS, (fixed, strained)):
        data, folder = out / f"{SETS[name]}.extxyz", out / SETS[name]
        ase.io.write(data, frames)
        equipot(
            "train", HERE / "config.yaml", f"data.train={data}", f"training.max_time={60 * args.minutes:g}",
            f"output={folder}", "--overwrite",
        )  # fmt: skip
        models[name] = str(folder / "model.pt")

    repeats = 3 * [args.supercell]
    folder = out / "phonons_labels"
    folder.mkdir(exist_ok=True)
    write_phonons(folder, phonons(crystal, oracle, repeats))
    results = {"labels": {"a": crystal.cell.lengths()[0], "bands": bands(folder)}}
    for name, model in models.items():
        folder = out / f"phonons_{SETS[name]}"
        equipot("phonons", out / "mgo.cif", "-m", model, "--supercell", *repeats, "--overwrite", "-o", folder)
        relaxed = ase.io.read(folder / "relaxed.extxyz")
        results[name] = {"a": relaxed.cell.lengths()[0], "bands": bands(folder)}

    reference = results["labels"]["bands"]["frequencies"]
    table = Table(title="MgO: lattice parameter and phonons", title_justify="left")
    for heading in ("", "a (Å)", "a, difference (%)", "bands, RMS difference (THz)", "TO at Γ (THz)"):
        table.add_column(heading, justify="right" if heading else "left")
    summary = {}
    for name, result in results.items():
        frequencies = result["bands"]["frequencies"]
        summary[name] = {
            "a": result["a"],
            "a_difference_percent": 100 * (result["a"] / results["labels"]["a"] - 1),
            "bands_rms_THz": float(np.sqrt(np.mean(np.square(frequencies - reference)))),
            "optical_gamma_THz": float(gamma(result["bands"])[3]),
        }
        values = list(summary[name].values())
        table.add_row(name, f"{values[0]:.4f}", f"{values[1]:+.2f}", f"{values[2]:.3f}", f"{values[3]:.2f}")
    CONSOLE.print(table)
    plot(results, out / "bands.png")
    (out / "phonons.json").write_text(json.dumps(summary, indent=1) + "\n")
    CONSOLE.print(
        f"{time.monotonic() - start:.0f} s; written to {out}: bands.png, phonons.json", markup=False
    )
    return 0


def gamma(bands: dict[str, np.ndarray]) -> np.ndarray:
    """Return the frequencies at Γ, the first point of the path, from the lowest."""
    return np.sort(bands["frequencies"][0])


if __name__ == "__main__":
    sys.exit(main())
