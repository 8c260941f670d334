"""What a universal potential is worth as a start: 25 frames of silicon, fine-tuned and from scratch.

    python examples/finetune/run.py [--output runs/finetune] [--model sevenn:7net-0] [--minutes 3]

Both trainings get the same frames and the same time. The frames that are left are the test set. Three models are
compared there: the universal potential as it is, with the energy per atom shifted to that of the training frames; the
same after fine-tuning; and one from random weights. The universal potential needs `pip install sevenn`.
"""

import json
import sys
import time
from pathlib import Path

import ase.io
import matplotlib
import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common.commands import CONSOLE, equipot
from common.models import add_model
from common.options import options

from equipot.calculators import predict_many
from equipot.calculators.universal import is_published

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
SET = HERE.parent / "silicon/silicon.extxyz"
GROUPS = ("strained", "vacancy", "md300K", "md900K", "md1500K", "md3000K")  # the others have no forces
COLORS = {"universal": "0.7", "from scratch": "tab:orange", "fine-tuned": "tab:blue"}


def split(count: int, seed: int) -> tuple[list[Atoms], list[Atoms]]:
    """Return `count` frames of the set for the training, and all others for the test."""
    frames = ase.io.read(SET, ":")
    order = np.random.default_rng(seed).permutation(len(frames))
    return [frames[k] for k in order[:count]], [frames[k] for k in order[count:]]


class Errors:
    """The predictions of a model for labelled frames, minus the labels."""

    def __init__(self, model: Path, frames: list[Atoms], shift: float = 0.0) -> None:
        """shift: eV/atom, added to the predicted energies."""
        predictions = list(predict_many(model, frames))
        self.groups = np.array([atoms.info["config_type"] for atoms in frames])
        self.energies = np.array(
            [(p.energy - a.get_potential_energy()) / len(a) + shift for p, a in zip(predictions, frames)]
        )
        self.forces = [p.forces - a.get_forces() for p, a in zip(predictions, frames)]
        self.stresses = np.array(
            [voigt_6_to_full_3x3_stress(p.stress - a.get_stress()) for p, a in zip(predictions, frames)]
        )

    def of_forces(self, group: str | None = None) -> np.ndarray:
        """Return the errors of all components, of one group or of all frames, in eV/Å."""
        return np.concatenate([f.ravel() for f, g in zip(self.forces, self.groups) if group in (None, g)])


def rmse(values: np.ndarray) -> float:
    return 1000 * float(np.sqrt(np.mean(np.square(values))))


def plot(errors: dict[str, Errors], frames: list[Atoms], path: Path) -> None:
    """Draw the force errors by group, and the energies of the crystal over the volume."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    groups = [g for g in GROUPS if any(atoms.info["config_type"] == g for atoms in frames)]
    width = 0.8 / len(errors)
    for k, (name, e) in enumerate(errors.items()):
        x = np.arange(len(groups)) + (k - 1) * width
        left.bar(x, [rmse(e.of_forces(g)) for g in groups], width, color=COLORS[name], label=name)
    left.set_xticks(range(len(groups)), groups, rotation=20)
    left.set(ylabel="force RMSE on test frames (meV/Å)", yscale="log")
    left.yaxis.set_major_formatter("{x:g}")
    left.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))

    crystals = [k for k, atoms in enumerate(frames) if atoms.info["config_type"] == "volume"]
    crystals.sort(key=lambda k: frames[k].get_volume())
    volumes = np.array([frames[k].get_volume() / len(frames[k]) for k in crystals])
    labels = np.array([frames[k].get_potential_energy() / len(frames[k]) for k in crystals])
    for name, e in errors.items():
        right.plot(volumes, labels - labels.min() + e.energies[crystals], color=COLORS[name], label=name)
    right.plot(volumes, labels - labels.min(), "k.", label="DFT")
    right.set(xlabel="volume (Å³/atom)", ylabel="energy of the crystal (eV/atom)")
    right.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> int:
    parser = options(__doc__, "runs/finetune")
    add = parser.add_argument
    add_model(parser, use="start of the fine-tuning: ")
    add("--minutes", type=float, default=3.0, help="of each training (default: %(default)g)")
    add("--frames", type=int, default=25, help="for the training and its validation (default: %(default)s)")
    add("--split-seed", type=int, default=0, help="of the choice of frames (default: %(default)s)")
    args = parser.parse_args()
    if not (is_published(args.model) or Path(args.model).is_file()):
        parser.error(
            f"--model {args.model}: no such file; expected a model file or a name such as sevenn:7net-0"
        )
    out, begin = args.output, time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    train, test = split(args.frames, args.split_seed)
    ase.io.write(out / "train.extxyz", train)
    start = Path(args.model)
    if is_published(args.model):
        start = out / "start.pt"
        equipot("convert", args.model, "-o", start)

    common = [f"data.train={out / 'train.extxyz'}", f"training.max_time={60 * args.minutes:g}", "--overwrite"]
    equipot("train", HERE / "scratch.yaml", f"output={out / 'scratch'}", *common)
    equipot("train", HERE / "finetune.yaml", f"init={start}", f"output={out / 'finetuned'}", *common)

    # Methods of DFT differ by an energy per atom, which says nothing about a potential.
    shift = -float(np.mean(Errors(start, train).energies))
    errors = {
        "universal": Errors(start, test, shift),
        "from scratch": Errors(out / "scratch/model.pt", test),
        "fine-tuned": Errors(out / "finetuned/model.pt", test),
    }
    table = Table(title=f"RMSE on {len(test)} test frames", title_justify="left")
    for heading in ("", "forces (meV/Å)", "energy (meV/atom)", "stress (meV/Å³)"):
        table.add_column(heading, justify="right" if heading else "left")
    summary = {}
    for name, e in errors.items():
        summary[name] = {
            "forces_meV_per_A": rmse(e.of_forces()),
            "energy_meV_per_atom": rmse(e.energies),
            "stress_meV_per_A3": rmse(e.stresses),
        }
        table.add_row(name, *(f"{value:.1f}" for value in summary[name].values()))
    CONSOLE.print(table)
    plot(errors, test, out / "errors.png")
    (out / "errors.json").write_text(json.dumps(summary, indent=1) + "\n")
    CONSOLE.print(
        f"{time.monotonic() - begin:.0f} s; written to {out}: errors.png, errors.json", markup=False
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
