"""Writes model files of this version to tests/model_file/data: `python -m tests.model_file.make_golden`.

Run it before a release and commit the new files beside the old ones: users keep model files for years.
"""

from pathlib import Path

import equipot
from equipot.model_file import write_model
from tests.models import KINDS, OURS, make_potential, with_random_committee

DATA = Path(__file__).with_name("data")
MODELS = {
    "presets": {**OURS, "layer_norm": True, "pair_cutoffs": {"Si-O": 3.1}},
    "converted": KINDS["foreign"],
}


def main() -> None:
    for name, options in MODELS.items():
        potential = make_potential(seed=5, **{**options, "dtype": "float32"})
        if name == "presets":
            potential = with_random_committee(potential)
        write_model(DATA / f"{equipot.__version__} {name}.pt", potential)


if __name__ == "__main__":
    main()
