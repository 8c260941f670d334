"""A potential that learns from its own simulations: heat silicon, stop where nothing is known, label, train again.

    python examples/active_learning/run.py [--output runs/active] [--rounds 4]

The student starts from small crystals. Each round is three commands, which are printed:

    equipot md       heats 64 atoms with the student; ends above a grade of 10, writes frames with a grade above 1
    equipot select   chooses frames that are unlike the training set and unlike each other
    equipot train    trains the next student with them

The labels come from the oracle: here the potential of the silicon example, in your work DFT. `label` is the only
function to change for another ASE calculator.
"""

import json
import sys
import time
from pathlib import Path

import ase.io
import matplotlib
import numpy as np
from ase import Atoms
from ase.build import bulk
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common.commands import CONSOLE, equipot
from common.labels import labelled
from common.models import calculator
from common.options import options

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
SILICON = HERE.parent / "silicon"
CRYSTALS = ("strained", "volume", "md300K")  # groups of the example's frames that the student begins with
TEMPERATURE, TIME = 1500, 1.0  # K and ps
STOP, SAVE = 10, 1  # grades


def label(frames: list[Atoms], oracle: Path) -> list[Atoms]:
    """Return the structures with energies, forces and stresses of the oracle."""
    return labelled(frames, calculator(str(oracle)))


def heat(model: Path, output: Path, *more: object) -> float:
    """Run dynamics of 64 atoms; return how long they took in ps."""
    equipot(
        "md", output.parent / "crystal.extxyz", "-m", model, "--ensemble", "nvt", "--temperature", TEMPERATURE,
        "--time", TIME, "--log-interval", 5, "--overwrite", "-o", output, *more, may_stop=True,
    )  # fmt: skip
    rows = np.genfromtxt(output.with_suffix(".csv"), delimiter=",", names=True)
    return float(np.atleast_1d(rows["time_ps"])[-1])


def force_error(model: Path, frames: list[Atoms]) -> tuple[float, float]:
    """Return the RMSE of the forces in meV/Å, and the share of frames with a grade above 1."""
    student = calculator(str(model))
    squares, unlike = [], 0
    for atoms in frames:
        copy = atoms.copy()
        copy.calc = student
        squares.append(np.square(copy.get_forces() - atoms.get_forces()).ravel())
        unlike += student.outputs["gamma"].max() > 1
    return 1000 * float(np.sqrt(np.mean(np.concatenate(squares)))), unlike / len(frames)


def plot(rounds: list[dict[str, float]], path: Path) -> None:
    """Draw the error in the hot crystal and how long the simulations lasted, by number of training frames."""
    frames = [r["frames"] for r in rounds]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    left.plot(frames, [r["error"] for r in rounds], "o-")
    left.set(xlabel="training frames", ylabel="force RMSE in the hot crystal (meV/Å)", ylim=(0, None))
    right.plot(frames, [r["ps"] for r in rounds], "o-", label="dynamics until a grade of 10 (ps)")
    right.plot(frames, [r["unlike"] for r in rounds], "s--", label="share of hot frames above 1")
    right.set(xlabel="training frames", ylim=(0, 1.05 * max(TIME, 1)))
    right.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> int:
    parser = options(__doc__, "runs/active")
    parser.add_argument("--rounds", type=int, default=4, help="of labelling (default: %(default)s)")
    parser.add_argument(
        "--each", type=int, default=10, help="frames that a round labels (default: %(default)s)"
    )
    args = parser.parse_args()
    out, begin = args.output, time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    oracle = out / "oracle/model.pt"
    if not oracle.exists():
        equipot("train", SILICON / "config.yaml", f"output={out / 'oracle'}", "--overwrite")
    crystal = bulk("Si", cubic=True).repeat(2)
    crystal.rattle(0.01, seed=1)
    ase.io.write(out / "crystal.extxyz", crystal)

    # The hot crystal of the oracle tells how good a student really is. A user does not have it.
    heat(oracle, out / "hot.extxyz", "--interval", 25)
    test = label(ase.io.read(out / "hot.extxyz", "10:"), oracle)
    known = [a for a in ase.io.read(SILICON / "silicon.extxyz", ":") if a.info["config_type"] in CRYSTALS]
    train, rounds = label(known, oracle), []
    for number in range(args.rounds + 1):
        folder = out / f"round{number}"
        folder.mkdir(exist_ok=True)
        ase.io.write(folder / "train.extxyz", train)
        data, model = folder / "train.extxyz", folder / "model.pt"
        equipot("train", HERE / "student.yaml", f"data.train={data}", f"output={folder}", "--overwrite")
        error, unlike = force_error(model, test)
        trajectory = out / f"dynamics{number}.extxyz"
        ps = heat(model, trajectory, "--stop-above", STOP, "--save-above", SAVE)
        rounds.append({"frames": len(train), "error": error, "unlike": unlike, "ps": ps})
        CONSOLE.print(
            f"round {number}: {len(train)} frames, {error:.0f} meV/Å in the hot crystal, dynamics of {ps:.3g} ps",
            markup=False,
        )
        pool = out / f"dynamics{number}-unlike.extxyz"
        if number == args.rounds:
            break
        if not pool.exists():
            CONSOLE.print(f"no atom had a grade above {SAVE}, so there is nothing to label")
            break
        chosen = folder / "chosen.extxyz"
        equipot("select", model, pool, "-n", args.each, "--between", SAVE, STOP, "-o", chosen)
        train = train + label(ase.io.read(chosen, ":"), oracle)

    table = Table(title="What the student learnt", title_justify="left")
    for heading in (
        "training frames",
        "force RMSE in the hot crystal (meV/Å)",
        "hot frames above 1",
        "dynamics (ps)",
    ):
        table.add_column(heading, justify="right")
    for r in rounds:
        table.add_row(f"{r['frames']}", f"{r['error']:.0f}", f"{100 * r['unlike']:.0f} %", f"{r['ps']:.3g}")
    CONSOLE.print(table)
    plot(rounds, out / "rounds.png")
    (out / "rounds.json").write_text(json.dumps(rounds, indent=1) + "\n")
    CONSOLE.print(
        f"{time.monotonic() - begin:.0f} s; written to {out}: rounds.png, rounds.json", markup=False
    )
    return 0 if rounds[-1]["error"] < rounds[0]["error"] else 1


if __name__ == "__main__":
    sys.exit(main())
