"""Ensembles of molecular dynamics with ASE's integrators, at the temperature of the real degrees of freedom.

If the total momentum is conserved, three of the 3N degrees of freedom carry no heat. ASE's Nosé-Hoover chains count all
3N. So they get a corrected temperature here, with which the others have the temperature of the ensemble. This matters
in small cells: with 8 atoms the difference is 14 %.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import MTKNPT, IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet

from equipot.errors import ConfigError, DataError

ENSEMBLES = ("nve", "nvt", "npt")
DEPENDS_ON = {
    "nve": ("name", "timestep"),
    "nvt": ("name", "timestep", "temperature", "thermostat", "thermostat_time"),
    "npt": ("name", "timestep", "temperature", "pressure", "thermostat_time", "barostat_time", "cell"),
}
THERMOSTATS = ("bussi", "langevin", "nose-hoover")
# Attributes of ASE's integrators that change from step to step. A run that restores them continues exactly.
CHAINS = {
    "": ("_p_eps", "_eps", "_volume0", "_cell0", "_p_g", "transferred_energy"),
    "_thermostat": ("_eta", "_p_eta"),
    "_barostat": ("_xi", "_p_xi"),
}


@dataclass(frozen=True)
class Ensemble:
    """An ensemble: the quantities that a run holds constant, and the method."""

    name: str  # "nve", "nvt" or "npt"
    timestep: float = 1.0  # fs
    temperature: float | None = None  # K; for nve the initial temperature
    pressure: float = 0.0  # GPa
    thermostat: str = "bussi"  # for nvt; npt has Nosé-Hoover chains (Martyna, Tobias and Klein)
    thermostat_time: float = 100.0  # fs
    barostat_time: float = 1000.0  # fs
    cell: str = "isotropic"  # for npt: "isotropic" or "full"

    def __post_init__(self) -> None:
        if self.name not in ENSEMBLES:
            raise ConfigError(f"the ensemble is '{self.name}'; expected one of {', '.join(ENSEMBLES)}")
        if self.thermostat not in THERMOSTATS:
            raise ConfigError(
                f"the thermostat is '{self.thermostat}'; expected one of {', '.join(THERMOSTATS)}"
            )
        if self.cell not in ("isotropic", "full"):
            raise ConfigError(f"the cell is '{self.cell}'; expected isotropic or full")
        for name in ("timestep", "thermostat_time", "barostat_time"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ConfigError(f"the {name.replace('_', ' ')} is {value:g} fs; expected a positive time")
        if self.temperature is None and self.name != "nve":
            raise ConfigError(f"{self.name} needs a temperature; give --temperature in K")
        low = 0.0 if self.name == "nve" else 1e-6
        if self.temperature is not None and not low <= self.temperature < np.inf:
            raise ConfigError(f"the temperature is {self.temperature:g} K; expected a positive number")
        if not np.isfinite(self.pressure):
            raise ConfigError(f"the pressure is {self.pressure} GPa; expected a number")

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters that the ensemble depends on; nve has neither a temperature nor a thermostat."""
        return {key: value for key, value in asdict(self).items() if key in DEPENDS_ON[self.name]}


def set_velocities(atoms: Atoms, temperature: float, rng: np.random.Generator) -> None:
    """Set momenta of the Maxwell-Boltzmann distribution at exactly this temperature (K), without a total momentum.

    Fixed atoms stay at rest. The total momentum is not removed if atoms are fixed.
    """
    width = np.sqrt(units.kB * temperature * atoms.get_masses())
    atoms.set_momenta(width[:, None] * rng.standard_normal((len(atoms), 3)))
    if _drifts(atoms):
        atoms.set_velocities(atoms.get_velocities() - atoms.get_momenta().sum(0) / atoms.get_masses().sum())
    present = temperature_of(atoms)
    if present > 0:
        atoms.set_momenta(atoms.get_momenta() * np.sqrt(temperature / present))


def degrees_of_freedom(atoms: Atoms) -> int:
    """Return the number of degrees of freedom that carry heat: 3N - 3; 3 for one atom; less with fixed atoms."""
    if _drifts(atoms):
        return 3 * len(atoms) - 3
    return int(atoms.get_number_of_degrees_of_freedom())


def _drifts(atoms: Atoms) -> bool:
    """Return whether the total momentum is conserved, so that a drift would never end."""
    return len(atoms) > 1 and all(isinstance(c, FixCom) for c in atoms.constraints)


def temperature_of(atoms: Atoms) -> float:
    """Return the present temperature in K; 0 if no atom can move."""
    freedom = degrees_of_freedom(atoms)
    return 2 * float(atoms.get_kinetic_energy()) / (freedom * units.kB) if freedom else 0.0


def integrator(atoms: Atoms, ensemble: Ensemble, rng: np.random.Generator) -> MolecularDynamics:
    """Return ASE's integrator of an ensemble, for atoms with calculator and momenta.

    With a random thermostat, the atoms get a constraint that fixes the centre of mass. Raise DataError for atoms that
    do not suit the ensemble: none can move, no volume, fixed atoms under pressure.
    """
    dt, freedom = ensemble.timestep * units.fs, degrees_of_freedom(atoms)
    if ensemble.name == "nve":
        return VelocityVerlet(atoms, dt)
    assert ensemble.temperature is not None
    if freedom <= 0:
        raise DataError("no atom can move, so the system has no temperature; use nve")
    tau = ensemble.thermostat_time * units.fs
    # ASE's chains control twice the kinetic energy to 3N kT.
    chain_temperature = ensemble.temperature * freedom / (3 * len(atoms))
    if ensemble.name == "npt":
        return _constant_pressure(atoms, ensemble, chain_temperature, tau)
    if ensemble.thermostat == "nose-hoover":
        return NoseHooverChainNVT(atoms, dt, temperature_K=chain_temperature, tdamp=tau)
    if _drifts(atoms):
        # Random forces give the system a total momentum, and random rescaling makes a drift of rounding errors grow.
        atoms.set_constraint(FixCom())
    if ensemble.thermostat == "langevin":
        return Langevin(atoms, dt, temperature_K=ensemble.temperature, friction=1 / tau, fixcm=False, rng=rng)
    if atoms.get_kinetic_energy() < 1e-12:
        raise DataError(
            "the atoms are at rest, and rescaling velocities cannot set them in motion; leave --keep-velocities out"
        )
    return Bussi(atoms, dt, temperature_K=ensemble.temperature, taut=tau, rng=rng)


def _constant_pressure(
    atoms: Atoms, ensemble: Ensemble, chain_temperature: float, tau: float
) -> MolecularDynamics:
    if not atoms.pbc.all():
        # ASE's barostats strain all three directions, so they would compress the vacuum and every atom of a layer.
        raise DataError(
            "npt needs a structure that is periodic in all three directions; use nvt, for a layer after "
            "`equipot relax --cell full`"
        )
    if atoms.constraints:
        raise DataError("npt moves all atoms with the cell and cannot hold some fixed; use nvt")
    if "stress" not in atoms.calc.implemented_properties:
        raise DataError("npt needs a calculator with stress; use nvt")
    kind = IsotropicMTKNPT if ensemble.cell == "isotropic" else MTKNPT
    return kind(
        atoms,
        ensemble.timestep * units.fs,
        temperature_K=chain_temperature,
        pressure_au=ensemble.pressure * units.GPa,
        tdamp=tau,
        pdamp=ensemble.barostat_time * units.fs,
    )


def conserved_energy(dynamics: MolecularDynamics) -> float | None:
    """Return the energy that exact dynamics would conserve (eV); None for Langevin, which conserves none."""
    atoms = dynamics.atoms
    if isinstance(dynamics, Langevin):
        return None
    if hasattr(dynamics, "get_conserved_energy"):
        return float(dynamics.get_conserved_energy())
    total = float(atoms.get_potential_energy() + atoms.get_kinetic_energy())
    return total - getattr(dynamics, "transferred_energy", 0.0)


def hidden_state(dynamics: MolecularDynamics) -> dict[str, np.ndarray]:
    """Return the variables of thermostat and barostat, by name."""
    state = {}
    for part, names in CHAINS.items():
        owner = getattr(dynamics, part, None) if part else dynamics
        for name in names:
            if owner is not None and hasattr(owner, name):
                state[f"{part}.{name}".strip(".")] = np.array(getattr(owner, name), dtype=np.float64)
    return state


def set_hidden_state(dynamics: MolecularDynamics, state: dict[str, np.ndarray]) -> bool:
    """Restore the result of `hidden_state`; return False, without a change, if it fits another integrator."""
    present = hidden_state(dynamics)
    if {k: v.shape for k, v in present.items()} != {k: np.shape(v) for k, v in state.items()}:
        return False
    for key, value in state.items():
        part, _, name = key.rpartition(".")
        owner = getattr(dynamics, part) if part else dynamics
        setattr(owner, name, float(value) if value.ndim == 0 else np.array(value))
    return True
