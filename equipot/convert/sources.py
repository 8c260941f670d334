"""The source of a conversion: a path, or the name of a model in an installed package."""

import importlib.util
from pathlib import Path

from equipot.errors import ModelFileError

# Names of models, with folder and file in sevenn's `pretrained_potentials`, or where that cannot be written, in CACHE.
SEVENNET = {
    "7net-0": "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7net-0_11jul2024": "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7net-0_22may2024": "SevenNet_0__22May2024/checkpoint_sevennet_0.pth",
    "7net-l3i5": "SevenNet_l3i5/checkpoint_l3i5.pth",
    "7net-mf-0": "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
    "7net-mf-ompa": "SevenNet_MF_ompa/checkpoint_sevennet_mf_ompa.pth",
    "7net-omat": "SevenNet_omat/checkpoint_sevennet_omat.pth",
    "7net-omni": "SevenNet_omni/checkpoint_sevennet_omni.pth",
    "7net-omni-i8": "SevenNet_omni_i8/checkpoint_sevennet_omni_i8.pth",
    "7net-omni-i12": "SevenNet_omni_i12/checkpoint_sevennet_omni_i12.pth",
}
# These are not in the package; sevenn downloads them when they are first used.
DOWNLOADED = {"7net-mf-ompa", "7net-omat", "7net-omni", "7net-omni-i8", "7net-omni-i12"}
CACHE = "~/.cache/sevennet"


def locate(source: str) -> Path:
    """Return the file that `sevenn:NAME` or a path means.

    The package sevenn is located, but not imported.

    Raises:
        ModelFileError: the name, the package or the file does not exist.
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
        raise ModelFileError(f"sevenn has no model '{name}'; expected one of {', '.join(SEVENNET)}")
    spec = importlib.util.find_spec("sevenn")
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    places = [Path(folder) / "pretrained_potentials" / file for folder in folders[:1]]
    places += [Path(CACHE).expanduser() / file] * (name.lower() in DOWNLOADED)
    for path in places:
        if path.is_file():
            return path
    if not folders:
        raise ModelFileError(
            f"{source}: the package sevenn is not installed; run `pip install sevenn`, or give the path of "
            f"{Path(file).name}"
        )
    if name.lower() in DOWNLOADED:
        raise ModelFileError(
            f"{source}: sevenn downloads this model when it is first used, but has not done so; run "
            f"`sevenn cp {name.lower()}`, or give the path of {Path(file).name}"
        )
    raise ModelFileError(
        f"the installed sevenn has no {places[0]}; install sevenn 0.13, or give the path of the checkpoint"
    )
