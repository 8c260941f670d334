"""The source of a conversion: a path, or the name of a published model whose file is on this machine."""

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
# Names of models. The package nequix has none of their files; its calculator downloads them to `NEQUIX_FOLDER`.
NEQUIX = ("nequix-mp-1", "nequix-mp-1-pft", "nequix-mp-1-pft-no-cotrain", "nequix-omat-1", "nequix-oam-1",
          "nequix-oam-1-pft")  # fmt: skip
NEQUIX_FOLDER = Path("~/.cache/nequix/models")


def locate(source: str) -> Path:
    """Return the file that `sevenn:NAME`, `nequix-…` or a path means.

    The packages are located, but not imported, and nothing is downloaded.

    Raises:
        ModelFileError: the name, the package or the file does not exist.
    """
    path = Path(source)
    if path.is_file():
        return path
    package, colon, name = source.partition(":")
    if colon and package.lower() in ("sevenn", "sevennet"):
        return _sevennet(source, name.lower())
    if source.lower().startswith("nequix-") and path.suffix == "":
        return _nequix(source.lower())
    raise ModelFileError(
        f"{source}: no such file; expected a checkpoint, a .nequip.zip package, a .nqx file, sevenn:NAME "
        f"with NAME one of {', '.join(SEVENNET)}, or one of {', '.join(NEQUIX)}"
    )


def _sevennet(source: str, name: str) -> Path:
    file = SEVENNET.get(name)
    if file is None:
        raise ModelFileError(f"sevenn has no model '{name}'; expected one of {', '.join(SEVENNET)}")
    package = _folder_of("sevenn")
    places = [package / "pretrained_potentials" / file] if package else []
    places += [Path(CACHE).expanduser() / file] * (name in DOWNLOADED)
    for path in places:
        if path.is_file():
            return path
    if package is None:
        raise ModelFileError(
            f"{source}: the package sevenn is not installed; run `pip install sevenn`, or give the path of "
            f"{Path(file).name}"
        )
    if name in DOWNLOADED:
        raise ModelFileError(
            f"{source}: sevenn downloads this model when it is first used, but has not done so; run "
            f"`sevenn cp {name}`, or give the path of {Path(file).name}"
        )
    raise ModelFileError(
        f"the installed sevenn has no {places[0]}; install sevenn 0.13, or give the path of the checkpoint"
    )


def _nequix(name: str) -> Path:
    """Return the file of a model: where nequix's calculator stores it, or in a checkout of nequix that is installed."""
    if name not in NEQUIX:
        raise ModelFileError(f"Nequix has no model '{name}'; expected one of {', '.join(NEQUIX)}, or a path")
    package = _folder_of("nequix")
    folders = [NEQUIX_FOLDER.expanduser(), *([package.parent / "models"] if package else [])]
    for folder in folders:
        if (folder / f"{name}.nqx").is_file():
            return folder / f"{name}.nqx"
    raise ModelFileError(
        f"{name}: there is no {folders[0] / name}.nqx; `pip install nequix` and "
        f'`python -c "from nequix.calculator import NequixCalculator; '
        f"NequixCalculator('{name}', use_kernel=False)\"` download it, or give the path of {name}.nqx"
    )


def _folder_of(package: str) -> Path | None:
    """Return the folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    return Path(folders[0]) if folders else None
