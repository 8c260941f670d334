"""Elastic constants and the optical phonon at Γ of the crystal, beside the DFT values of this level of theory.

Everything is taken at the model's own lattice parameter. Writes elastic.json.
"""

from results import arguments, parse, percent, save, show
from silicon import DFT, QUANTITIES, crystal

from equipot.calculators import EquipotCalculator
from equipot.properties.elastic import elastic_constants_cubic
from equipot.properties.physics import diamond_sublattice, equation_of_state, gamma_optical_phonon


def main() -> None:
    args = parse(arguments(__doc__))
    calculator = EquipotCalculator(args.model)
    curve = equation_of_state(crystal(), calculator)
    at_rest = crystal(a0=curve["a0"])
    found = {
        "a0": curve["a0"],
        "bulk_modulus": curve["bulk_modulus"],
        # The strain and the displacement are those of the DFT values.
        **elastic_constants_cubic(at_rest, calculator, delta=0.01),
        "optical_phonon": gamma_optical_phonon(
            at_rest, calculator, diamond_sublattice(at_rest), displacement=0.02
        ),
    }
    show(
        f"Crystal, {args.model}",
        ("", "model", "DFT", "difference"),
        [
            (name, f"{found[key]:.4g}", f"{DFT[key]:.4g}", percent(found[key], DFT[key]))
            for key, name in QUANTITIES.items()
        ],
    )
    save(args.output, "elastic", {"model": {key: found[key] for key in QUANTITIES}, "dft": DFT})


if __name__ == "__main__":
    main()
