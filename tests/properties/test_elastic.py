"""Elastic constants of springs in closed form, of Stillinger-Weber silicon from the literature, and by energies."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from equipot.errors import ConfigError, DataError, NumericsError
from equipot.properties.elastic import (
    VOIGT,
    Elastic,
    elastic_constants,
    elastic_constants_cubic,
    elastic_tensor,
)
from tests.springs import A, K, Springs, fcc

pytest.importorskip("spglib")


def test_springs_have_the_constants_of_their_lattice_sums():
    """Nearest neighbours on an fcc lattice: C11 = 2k/a, C12 = C44 = k/a."""
    c = elastic_constants(fcc(), Springs(), delta=1e-3)
    unit = K / A / units.GPa
    found = c.independent()
    assert c.system == "cubic"
    assert list(found) == ["C11", "C12", "C44"]
    assert found["C11"] == pytest.approx(2 * unit, rel=1e-4)
    assert found["C12"] == pytest.approx(unit, rel=1e-4)
    assert found["C44"] == pytest.approx(unit, rel=1e-4)
    assert c.moduli()["bulk"] == pytest.approx(4 / 3 * unit, rel=1e-4)
    assert c.asymmetry < 1e-2
    assert c.stable


def turned(atoms: Atoms) -> Atoms:
    copy = atoms.copy()
    copy.rotate(37, (1, 2, 3), rotate_cell=True)
    return copy


def test_constants_are_those_of_the_usual_axes_however_the_crystal_lies():
    straight = elastic_constants(fcc(), Springs(), delta=1e-3).independent()
    oblique = elastic_constants(turned(fcc(cubic=False)), Springs(), delta=1e-3)
    assert oblique.independent() == pytest.approx(straight, rel=1e-4)
    raw = elastic_tensor(turned(fcc()), Springs(), delta=1e-3)
    assert raw[0, 0] != pytest.approx(straight["C11"], rel=0.02)


def test_relaxed_atoms_soften_the_shear_of_silicon():
    """Stillinger-Weber: 151.4, 76.4, 56.4 GPa; 117.2 without relaxation (Balamane et al., PRB 46, 2250)."""
    manybody = pytest.importorskip("matscipy.calculators.manybody")
    from matscipy.calculators.manybody.explicit_forms import StillingerWeber
    from matscipy.calculators.manybody.explicit_forms.stillinger_weber import (
        Stillinger_Weber_PRB_31_5262_Si,
    )

    calculator = manybody.Manybody(**StillingerWeber(Stillinger_Weber_PRB_31_5262_Si))
    silicon = bulk("Si", a=5.431)
    found = elastic_constants(silicon, calculator)
    c = found.independent()
    assert (c["C11"], c["C12"], c["C44"]) == pytest.approx((151.4, 76.4, 56.4), rel=0.02)
    cubic = elastic_constants_cubic(bulk("Si", a=5.431, cubic=True), calculator)
    assert c["C44"] == pytest.approx(cubic["C44"], rel=0.01)
    clamped = elastic_tensor(bulk("Si", a=5.431, cubic=True), calculator, relaxed=False)
    assert clamped[3, 3] == pytest.approx(117.2, rel=0.08)


def test_a_hexagonal_crystal_has_the_curvature_of_its_energy():
    """EMT copper stands in for any hcp metal: ∂²E/∂η² / V by finite differences of the energy, atoms clamped."""
    atoms = bulk("Cu", "hcp", a=2.57, c=4.19)
    tensor = elastic_tensor(atoms, EMT(), delta=2e-3, relaxed=False)

    def energy(strain: np.ndarray) -> float:
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        strained.calc = EMT()
        return strained.get_potential_energy()

    pressure = -np.trace(_with(atoms).get_stress(voigt=False)) / 3 / units.GPa
    for k, (i, j) in enumerate(VOIGT):
        h = 2e-3
        unit = np.zeros((3, 3))
        unit[i, j] = unit[j, i] = 1.0 if i == j else 0.5
        second = (energy(h * unit) - 2 * energy(0 * unit) + energy(-h * unit)) / h**2
        # The crystal is nearly at rest; what its pressure adds is of its own size.
        assert tensor[k, k] == pytest.approx(
            second / atoms.get_volume() / units.GPa, abs=3 * abs(pressure) + 0.02 * tensor[0, 0]
        )
    c = elastic_constants(atoms, EMT(), delta=2e-3)
    assert c.system == "hexagonal"
    assert c.tensor[5, 5] == pytest.approx((c.tensor[0, 0] - c.tensor[0, 1]) / 2, rel=1e-6)
    assert list(c.independent()) == ["C11", "C12", "C13", "C33", "C44"]


def _with(atoms: Atoms) -> Atoms:
    copy = atoms.copy()
    copy.calc = EMT()
    return copy


def test_isotropic_stiffness_gives_back_its_moduli():
    bulk_modulus, shear = 100.0, 40.0
    tensor = np.diag([0.0] * 3 + [shear] * 3)
    tensor[:3, :3] = bulk_modulus - 2 / 3 * shear + 2 * shear * np.eye(3)
    found = Elastic(tensor, "cubic", 0.0).moduli()
    young = 9 * bulk_modulus * shear / (3 * bulk_modulus + shear)
    assert found == pytest.approx(
        {"bulk": 100.0, "shear": 40.0, "Young": young, "Poisson": young / 80 - 1}, rel=1e-12
    )
    tensor[3, 3] = -1
    assert not Elastic(tensor, "triclinic", 0.0).stable
    assert len(Elastic(tensor, "triclinic", 0.0).independent()) == 21


def test_what_has_no_elastic_constants_is_an_error():
    with pytest.raises(DataError, match="those of a crystal"):
        elastic_constants(molecule("N2"), EMT())
    with pytest.raises(ConfigError, match="the strain is 0"):
        elastic_constants(fcc(), Springs(), delta=0.0)
    with pytest.raises(NumericsError, match="no strain causes a stress"):
        elastic_constants(bulk("Ar", a=10 * A), Springs())
    rattled = bulk("Cu", cubic=True) * (2, 1, 1)
    rattled.rattle(0.2, seed=1)
    with pytest.raises(NumericsError, match="did not relax"):
        elastic_constants(rattled, EMT(), max_steps=1)
