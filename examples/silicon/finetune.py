"""What a universal potential is worth as a start: 20 frames of silicon, fine-tuned and from scratch.

    python examples/silicon/finetune.py [--model sevenn:7net-0 | --model FILE] [--minutes 2] [-o runs/finetune]

Both trainings get the same frames and the same time on one thread; the 145 frames that are left are the test set. From
scratch the network is that of config.yaml beside this file, which suits so few data. `sevenn:7net-0` needs
`pip install sevenn`; FILE is a model file of equipot.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from ase.io import read, write
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
TRAINING, VALIDATION = 20, 5


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sevenn:7net-0", help="to start from (default sevenn:7net-0)")
    parser.add_argument("--minutes", type=float, default=2.0, help="of each training (default 2)")
    parser.add_argument("--split-seed", type=int, default=0, help="of the choice of frames (default 0)")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/finetune"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    data = split(args.output, args.split_seed)
    training = {"max_time": 60 * args.minutes, "seed": 1, "threads": 1}
    scratch = yaml.safe_load((HERE / "config.yaml").read_text())["model"]
    table = Table(
        title=f"{TRAINING} frames, {args.minutes:g} minutes, one thread: errors on the test set (MAE / RMSE)"
    )
    for heading in ("training", "forces meV/Å", "energy meV/atom", "stress meV/Å³"):
        table.add_column(heading, justify="left" if heading == "training" else "right")
    for name, start in (
        ("from scratch", {"model": scratch}),
        ("fine-tuned", {"init": model_file(args.model, args.output)}),
    ):
        folder = args.output / name.replace(" ", "_")
        config = {**start, "data": data, "training": training, "output": str(folder)}
        if name == "from scratch":
            config["training"] = {**training, "batch_size": 3}
        file = args.output / f"{folder.name}.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        command = [sys.executable, "-m", "equipot.cli.main", "train", str(file), "--overwrite"]
        if subprocess.run(command).returncode != 0:
            return 1
        table.add_row(name, *errors(folder))
    Console().print(table)
    return 0


def split(folder: Path, seed: int) -> dict[str, str]:
    frames = read(HERE / "silicon.extxyz", ":")
    order = np.random.default_rng(seed).permutation(len(frames))
    ends = {"train": (0, TRAINING), "validation": (TRAINING, TRAINING + VALIDATION)}
    ends["test"] = (TRAINING + VALIDATION, len(frames))
    for name, (first, last) in ends.items():
        write(folder / f"{name}.extxyz", [frames[k] for k in order[first:last]])
    return {name: f"{name}.extxyz" for name in ends}


def model_file(model: str, folder: Path) -> str:
    if not model.startswith("sevenn:"):
        return str(Path(model).resolve())
    from equipot.convert import convert
    from equipot.errors import EquipotError

    try:
        return str(convert(model, (folder / "start.pt").resolve()).path)
    except EquipotError as error:
        sys.exit(str(error))


def errors(folder: Path) -> list[str]:
    found = json.loads((folder / "evaluation.json").read_text())
    return [
        f"{1000 * found[name]['mae']:.1f} / {1000 * found[name]['rmse']:.1f}"
        for name in ("forces", "energy_per_atom", "stress")
    ]


if __name__ == "__main__":
    sys.exit(main())
