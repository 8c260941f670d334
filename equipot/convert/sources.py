"""From what a user types to the file that is meant: a path, or the name of a model that an installed package ships."""

import importlib.util
from pathlib import Path

from equipot.errors import ModelFileError

# Name: folder and file within sevenn's `pretrained_potentials`.
SEVENNET = {
    "7net-0": "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7net-0_11jul2024": "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7net-0_22may2024": "SevenNet_0__22May2024/checkpoint_sevennet_0.pth",
    "7net-l3i5": "SevenNet_l3i5/checkpoint_l3i5.pth",
    "7net-mf-0": "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
}


def locate(source: str) -> Path:
    """The file behind `sevenn:NAME` or a path.

    sevenn is looked for where Python finds packages, and not imported.

    Raises:
        ModelFileError: no such name, package or file.
    """
    package, colon, name = source.partition(":")
    if not colon or package.lower() not in ("sevenn", "sevennet"):
        path = Path(source)
        if not path.is_file():
            raise ModelFileError(
                f"{source}: no such file; expected a checkpoint, a .nequip.zip package, or sevenn:NAME "
                f"with NAME one of {', '.join(SEVENNET)}"
            )
        return path
    file = SEVENNET.get(name.lower())
    if file is None:
        raise ModelFileError(f"sevenn ships no model '{name}'; expected one of {', '.join(SEVENNET)}")
    spec = importlib.util.find_spec("sevenn")
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    if not places:
        raise ModelFileError(
            f"{source}: the package sevenn is not installed here; `pip install sevenn`, or give the path of "
            f"{Path(file).name}"
        )
    path = Path(places[0]) / "pretrained_potentials" / file
    if not path.is_file():
        raise ModelFileError(
            f"the installed sevenn has no {path}; expected sevenn 0.13, or give the checkpoint's path"
        )
    return path
