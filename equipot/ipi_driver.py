"""A driver of i-PI.

`python -m equipot.ipi_driver` prints the path of this file, which i-PI's command for drivers needs:

    i-pi-py_driver -u -a NAME -m custom -P $(python -m equipot.ipi_driver) -o template=start.xyz,model=model.pt
"""

from typing import Any

import numpy as np

from equipot.calculators import EquipotCalculator

try:
    from ipi.pes._ase import ASEDriver
except ImportError as error:
    raise ImportError(f"equipot.ipi_driver needs i-PI ({error}); install it with `pip install ipi`") from None

# i-PI finds the class by this name.
__DRIVER_NAME__ = "equipot"
__DRIVER_CLASS__ = "EquipotDriver"


class EquipotDriver(ASEDriver):
    """Energies, forces and stresses of a model file for i-PI.

    The stress is zero for a template whose cell has no volume (`neighbours.cell.volume_of`). Further outputs of the
    network, such as the extrapolation grades "gamma", are i-PI's extras.

    Args:
        template: file of a structure that ASE reads; it has the elements and the periodicity.
        model: path of a model file.
        device: "cpu", "cuda", ….
        args, kwargs: arguments of every driver.
    """

    def __init__(self, template: str, model: str, device: str = "cpu", *args: Any, **kwargs: Any) -> None:
        self.model, self.device = model, device
        super().__init__(template, *args, **kwargs)

    def check_parameters(self) -> None:
        """Read the template and the model. i-PI calls this."""
        super().check_parameters()
        self.ase_calculator = EquipotCalculator(self.model, self.device)

    def compute_structure(self, cell: np.ndarray, pos: np.ndarray) -> Any:
        """Return energy, forces, virial and extras in atomic units. i-PI calls this for every structure."""
        structure = self.template_ase.copy()
        vectors, structure.positions[:] = self.convert_units(cell, pos)
        structure.cell[:] = vectors
        structure.calc = self.ase_calculator
        forces = structure.get_forces()
        results = {
            "energy": structure.get_potential_energy(),
            "forces": forces,
            "stress": self.ase_calculator.results.get("stress", np.zeros(6)),
            **self.ase_calculator.outputs,
        }
        return self.post_process(results, structure)


if __name__ == "__main__":
    print(__file__)
