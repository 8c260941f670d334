"""Short-range order in an alloy of ten metals: LAMMPS swaps atoms between pieces of molecular dynamics.

    python examples/alloy/run.py [--model sevenn:7net-0] [--cycles 80] [--output runs/alloy]

A bcc crystal starts with its elements at random sites. In each cycle, `fix atom/swap` tries to exchange one atom of
each pair of elements, and the Metropolis rule accepts or refuses the exchange by the change of the energy. Then follow
some steps of dynamics. in.alloy is the input of LAMMPS.

The order is described by the parameters of Warren and Cowley for neighbours of an element A:

    alpha_AB = 1 - p_AB / c_B

p_AB is the share of B among the neighbours of A, and c_B the share of B in the alloy. A negative value says that A and
B are neighbours more often than at random, a positive one that they avoid each other.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read
from matscipy.neighbours import neighbour_list
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common.lammps import lmp, prepare, write_data
from common.models import add_model, calculator
from common.options import options

from equipot.errors import EquipotError

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
CONSOLE = Console(highlight=False)
ELEMENTS = ("Ti", "Zr", "Hf", "V", "Nb", "Ta", "Cr", "Mo", "W", "Re")  # of groups 4, 5, 6 and 7
# Distances between the shells of neighbours in bcc, in lattice parameters.
SHELLS = {"first": (0.0, 0.93), "second": (0.93, 1.2)}


def atomic_volume(element: str) -> float:
    """Return the volume of an atom in the crystal of its element (Å³)."""
    try:
        crystal = bulk(element)
    except (KeyError, ValueError, RuntimeError):
        sys.exit(
            f"ASE knows no simple crystal of {element} to take the volume of an atom from; choose other --elements"
        )
    return crystal.get_volume() / len(crystal)


def random_alloy(elements: Sequence[str], size: int, seed: int) -> Atoms:
    """Return a bcc crystal of 2 · size³ atoms with as many atoms of each element as possible, at random sites.

    The volume is the sum of the volumes of the atoms in their own crystals.
    """
    volume = np.mean([atomic_volume(element) for element in elements])
    alloy = bulk("W", "bcc", a=(2 * volume) ** (1 / 3), cubic=True).repeat(size)
    symbols = [elements[k % len(elements)] for k in range(len(alloy))]
    alloy.symbols = np.random.default_rng(seed).permutation(symbols)
    return alloy


def neighbours(lattice: Atoms, size: int, shell: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of sites in a shell. Atoms keep their sites, so these are the pairs of atoms in every frame."""
    a = lattice.cell.lengths()[0] / size
    low, high = (a * limit for limit in SHELLS[shell])
    i, j, r = neighbour_list("ijd", lattice, high)
    return i[r > low], j[r > low]


def warren_cowley(
    frames: Sequence[Sequence[str]], pairs: tuple[np.ndarray, np.ndarray], elements: Sequence[str]
) -> np.ndarray:
    """Return alpha of each pair of elements (n_elements, n_elements), averaged over frames.

    frames: the elements at the sites.
    """
    n, counts = len(elements), np.zeros((len(elements), len(elements)))
    for symbols in frames:
        kind = np.array([elements.index(symbol) for symbol in symbols])
        np.add.at(counts, (kind[pairs[0]], kind[pairs[1]]), 1)
    share = np.bincount([elements.index(symbol) for symbol in frames[0]], minlength=n) / len(frames[0])
    return 1 - counts / counts.sum(axis=1, keepdims=True) / share


def plot(
    tried: np.ndarray, energy: np.ndarray, alpha: np.ndarray, elements: Sequence[str], file: Path
) -> None:
    """Draw the energy against the number of swaps, and alpha of the nearest neighbours as a map."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4.2), layout="constrained", width_ratios=(1, 1.15)
    )
    left.axhline(0, color="0.7", lw=0.8)
    left.plot(tried, 1000 * energy)
    left.set(xlabel="swaps tried per atom", ylabel="energy from the random alloy (meV/atom)", xlim=(0, None))
    limit = max(0.5, np.abs(alpha).max())
    image = right.imshow(alpha, cmap="RdBu", vmin=-limit, vmax=limit)
    right.set_xticks(range(len(elements)), elements)
    right.set_yticks(range(len(elements)), elements)
    right.set_title("nearest neighbours", fontsize=10)
    figure.colorbar(image, ax=right, label="α (red: neighbours, blue: avoid each other)")
    figure.savefig(file, dpi=150)
    plt.close(figure)


def main() -> int:
    parser = options(__doc__, "runs/alloy")
    add = parser.add_argument
    add_model(parser)
    add(
        "--elements", nargs="+", default=ELEMENTS, metavar="X",
        help=f"two or more (default: {' '.join(ELEMENTS)})",
    )  # fmt: skip
    add("--size", type=int, default=5, help="bcc cells along each edge (default: 5, which are 250 atoms)")
    add(
        "--temperature",
        type=float,
        default=1000,
        help="K, of the swaps and of the dynamics (default: %(default)g)",
    )
    add(
        "--equilibrate",
        type=int,
        default=500,
        help="steps of 2 fs before the first swap (default: %(default)s)",
    )
    add(
        "--cycles",
        type=int,
        default=80,
        help="each tries one swap of each pair of elements (default: %(default)s)",
    )
    add("--between", type=int, default=10, help="steps of dynamics in each cycle (default: %(default)s)")
    add("--ranks", type=int, default=2, help="MPI processes (default: %(default)s)")
    add("--seed", type=int, default=1, help="of sites, velocities and swaps (default: %(default)s)")
    args = parser.parse_args()
    elements = tuple(args.elements)
    if len(set(elements)) < max(2, len(elements)):
        parser.error("--elements needs two or more different elements")
    start, out = time.monotonic(), args.output
    prepare()
    potential = calculator(args.model)
    lattice = random_alloy(elements, args.size, args.seed)
    try:
        potential.species.index(lattice.numbers)
    except EquipotError as error:
        sys.exit(str(error))
    out.mkdir(parents=True, exist_ok=True)
    write_data(out / "alloy.data", lattice, elements)
    lengths = {
        name: getattr(args, name) for name in ("temperature", "equilibrate", "cycles", "between", "seed")
    }
    before, swaps = lmp(
        HERE / "in.alloy", args.ranks, out / "alloy.log", model=potential.model.path, data=out / "alloy.data",
        dump=out / "alloy.dump", elements=" ".join(elements), types=len(elements), **lengths,
    )  # fmt: skip

    frames = [list(atoms.symbols) for atoms in read(out / "alloy.dump", ":", format="lammps-dump-text")]
    last = frames[-max(1, len(frames) // 4) :]
    alpha = {shell: warren_cowley(last, neighbours(lattice, args.size, shell), elements) for shell in SHELLS}
    tried, accepted = (swaps[name] for name in ("v_n_tried", "v_n_accepted"))
    # The energy fluctuates with the temperature, so the random alloy and the end are averages.
    settled = before["PotEng"][len(before["PotEng"]) // 2 :].mean()
    energy = (swaps["PotEng"] - settled) / len(lattice)
    quarter = max(1, len(energy) // 4)
    values = {
        "atoms": len(lattice),
        "tried": int(tried[-1]),
        "accepted": int(accepted[-1]),
        "energy_change_eV_per_atom": float(energy[-quarter:].mean()),
        "elements": elements,
        "alpha": {shell: a.tolist() for shell, a in alpha.items()},
        "tried_per_atom": (tried / len(lattice)).tolist(),
        "energy_eV_per_atom": energy.tolist(),
        "energy_of_the_random_alloy_eV": float(settled),
    }
    (out / "alloy.json").write_text(json.dumps(values) + "\n")
    CONSOLE.print(
        f"{len(lattice)} atoms of {' '.join(elements)} at {args.temperature:g} K, {args.model}\n"
        f"{values['accepted']} of {values['tried']} swaps were accepted; the energy changed by "
        f"{1000 * values['energy_change_eV_per_atom']:+.0f} meV/atom",
        markup=False,
    )
    first = alpha["first"]
    chance = warren_cowley([list(lattice.symbols)], neighbours(lattice, args.size, "first"), elements).std()
    order = sorted(zip(*np.triu_indices(len(elements))), key=lambda pair: first[pair])
    for heading, pairs in (("nearest neighbours", order[:5]), ("avoid each other", order[::-1][:5])):
        text = ", ".join(f"{elements[a]}-{elements[b]} {first[a, b]:+.2f}" for a, b in pairs)
        CONSOLE.print(f"{heading} (α): {text}", markup=False, soft_wrap=True)
    CONSOLE.print(f"by chance, α of a random arrangement of this size is 0 ± {chance:.2f}", markup=False)
    plot(tried / len(lattice), energy, first, elements, out / "alloy.png")
    CONSOLE.print(
        f"{time.monotonic() - start:.0f} s; written to {out}: alloy.png, alloy.json, alloy.dump", markup=False
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
