"""Options of NequIP-LES (github.com/ChengUCB/NequIP-LES): NequIP with long-range electrostatics that can be off.

Two builders write them. A fork of nequip has the options beside those of nequip's own builders. An extension package
has builders of its own, which pass all other options on to nequip's. Older ones have `use_les`, newer ones have a
section `LES` and are always long-range.
"""

from collections.abc import Collection, Mapping
from typing import Any

from equipot.errors import ModelFileError

PACKAGE = "nequip_les."
_BUILDERS = {"LESModel": "nequip.model.NequIPGNNModel", "LESEnergyModel": "nequip.model.NequIPGNNEnergyModel"}
_OPTIONS = {"use_les", "les_args", "compute_bec", "bec_output_index", "base_model", "LES"}
_LONG_RANGE = (
    "its network has long-range electrostatics (NequIP-LES{}), which equipot does not have; "
    "a network with use_les: false can be converted"
)


def without_les(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the builder of nequip for a short-range network; options without LES stay as they are.

    Raise ModelFileError for a network with long-range electrostatics, on another architecture, or by another builder.
    """
    target = str(options.get("_target_", ""))
    extension = target.startswith(PACKAGE)
    name = target.split(".")[-1]
    if extension and name not in _BUILDERS:
        raise ModelFileError(f"its network is built by {target}; expected one of {', '.join(_BUILDERS)}")
    if options.get("base_model", "nequip") != "nequip":
        raise ModelFileError(f"its network has the base_model {options['base_model']}; expected nequip")
    if "LES" in options or options.get("use_les", extension):
        option = "LES" if "LES" in options else "use_les: true"
        raise ModelFileError(_LONG_RANGE.format(f", {option}"))
    short = {key: value for key, value in options.items() if key not in _OPTIONS}
    return {**short, "_target_": _BUILDERS[name]} if extension else short


def refuse_les_modules(names: Collection[str]) -> None:
    """Raise ModelFileError if modules of a network compute long-range electrostatics, whatever its options say."""
    modules = sorted(name for name in names if name.startswith("latent_") or name == "lr_energy_sum")
    if modules:
        raise ModelFileError(_LONG_RANGE.format(f": {', '.join(modules)}"))
