"""Ensembles of molecular dynamics by ASE's integrators, with the temperature of the freedom that atoms really have.

Where the total momentum is conserved three of the 3N degrees of freedom carry no heat. ASE's chains count all of them;
here they are told a temperature that gives the remaining ones what was asked for, which matters in small cells: with
8 atoms the difference is 14 %.
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
# Attributes of ASE's chains that change from step to step; with these a run continues as if it had not stopped.
CHAINS = {
    "": ("_p_eps", "_eps", "_volume0", "_cell0", "_p_g", "transferred_energy"),
    "_thermostat": ("_eta", "_p_eta"),
    "_barostat": ("_xi", "_p_xi"),
}


@dataclass(frozen=True)
class Ensemble:
    """What is held constant, and how."""

    name: str  # "nve", "nvt" or "npt"
    timestep: float = 1.0  # fs
    temperature: float | None = None  # K; of nve, that of the start
    pressure: float = 0.0  # GPa
    thermostat: str = "bussi"  # of nvt; npt has Nosé-Hoover chains (Martyna, Tobias and Klein)
    thermostat_time: float = 100.0  # fs
    barostat_time: float = 1000.0  # fs
    cell: str = "isotropic"  # of npt: "isotropic" or "full"

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
        """What this ensemble depends on: of nve, neither the temperature of its start nor a thermostat."""
        return {key: value for key, value in asdict(self).items() if key in DEPENDS_ON[self.name]}


def set_velocities(atoms: Atoms, temperature: float, rng: np.random.Generator) -> None:
    """Momenta of the Maxwell-Boltzmann distribution at exactly this temperature (K), without a drift of the whole.

    Fixed atoms stay at rest; where some are, the others may drift.
    """
    width = np.sqrt(units.kB * temperature * atoms.get_masses())
    atoms.set_momenta(width[:, None] * rng.standard_normal((len(atoms), 3)))
    if _drifts(atoms):
        atoms.set_velocities(atoms.get_velocities() - atoms.get_momenta().sum(0) / atoms.get_masses().sum())
    present = temperature_of(atoms)
    if present > 0:
        atoms.set_momenta(atoms.get_momenta() * np.sqrt(temperature / present))


def degrees_of_freedom(atoms: Atoms) -> int:
    """Those that share the heat: 3N - 3, or what the fixed atoms leave; of one atom alone 3."""
    if _drifts(atoms):
        return 3 * len(atoms) - 3
    return int(atoms.get_number_of_degrees_of_freedom())


def _drifts(atoms: Atoms) -> bool:
    """Whether the total momentum is conserved, so that a drift would last for ever."""
    return len(atoms) > 1 and all(isinstance(c, FixCom) for c in atoms.constraints)


def temperature_of(atoms: Atoms) -> float:
    """Present temperature in K; 0 where nothing can move."""
    freedom = degrees_of_freedom(atoms)
    return 2 * float(atoms.get_kinetic_energy()) / (freedom * units.kB) if freedom else 0.0


def integrator(atoms: Atoms, ensemble: Ensemble, rng: np.random.Generator) -> MolecularDynamics:
    """ASE's integrator of an ensemble, for atoms with calculator and momenta.

    Random thermostats get a constraint that keeps the centre of mass; nothing else of the atoms is changed. Raises
    DataError for what the ensemble cannot have: no heat at all, no volume, fixed atoms under pressure.
    """
    dt, freedom = ensemble.timestep * units.fs, degrees_of_freedom(atoms)
    if ensemble.name == "nve":
        return VelocityVerlet(atoms, dt)
    assert ensemble.temperature is not None
    if freedom <= 0:
        raise DataError("no atom can move, so there is no temperature to hold; use nve")
    tau = ensemble.thermostat_time * units.fs
    # A chain of ASE's aims at 3N kT of twice the kinetic energy.
    told = ensemble.temperature * freedom / (3 * len(atoms))
    if ensemble.name == "npt":
        return _constant_pressure(atoms, ensemble, told, tau)
    if ensemble.thermostat == "nose-hoover":
        return NoseHooverChainNVT(atoms, dt, temperature_K=told, tdamp=tau)
    if _drifts(atoms):
        # Random forces push the whole; random rescaling makes a drift of rounding errors grow.
        atoms.set_constraint(FixCom())
    if ensemble.thermostat == "langevin":
        return Langevin(atoms, dt, temperature_K=ensemble.temperature, friction=1 / tau, fixcm=False, rng=rng)
    if atoms.get_kinetic_energy() < 1e-12:
        raise DataError(
            "the atoms are at rest, and rescaling velocities cannot set them in motion; leave --keep-velocities out"
        )
    return Bussi(atoms, dt, temperature_K=ensemble.temperature, taut=tau, rng=rng)


def _constant_pressure(atoms: Atoms, ensemble: Ensemble, told: float, tau: float) -> MolecularDynamics:
    if not atoms.pbc.all():
        raise DataError("npt needs a structure that is periodic in all three directions; use nvt")
    if atoms.constraints:
        raise DataError("npt moves all atoms with the cell and cannot hold some fixed; use nvt")
    if "stress" not in atoms.calc.implemented_properties:
        raise DataError("npt needs a calculator with stress; use nvt")
    kind = IsotropicMTKNPT if ensemble.cell == "isotropic" else MTKNPT
    return kind(
        atoms,
        ensemble.timestep * units.fs,
        temperature_K=told,
        pressure_au=ensemble.pressure * units.GPa,
        tdamp=tau,
        pdamp=ensemble.barostat_time * units.fs,
    )


def conserved_energy(dynamics: MolecularDynamics) -> float | None:
    """What the exact equations of motion would keep constant (eV); None where there is no such energy (Langevin)."""
    atoms = dynamics.atoms
    if isinstance(dynamics, Langevin):
        return None
    if hasattr(dynamics, "get_conserved_energy"):
        return float(dynamics.get_conserved_energy())
    total = float(atoms.get_potential_energy() + atoms.get_kinetic_energy())
    return total - getattr(dynamics, "transferred_energy", 0.0)


def hidden_state(dynamics: MolecularDynamics) -> dict[str, np.ndarray]:
    """Variables of thermostat and barostat, by name; positions, momenta and cell are the atoms' own."""
    found = {}
    for part, names in CHAINS.items():
        owner = getattr(dynamics, part, None) if part else dynamics
        for name in names:
            if owner is not None and hasattr(owner, name):
                found[f"{part}.{name}".strip(".")] = np.array(getattr(owner, name), dtype=np.float64)
    return found


def set_hidden_state(dynamics: MolecularDynamics, state: dict[str, np.ndarray]) -> bool:
    """Put back what `hidden_state` gave; False, and nothing is changed, where it belongs to another integrator."""
    present = hidden_state(dynamics)
    if {k: v.shape for k, v in present.items()} != {k: np.shape(v) for k, v in state.items()}:
        return False
    for key, value in state.items():
        part, _, name = key.rpartition(".")
        owner = getattr(dynamics, part) if part else dynamics
        setattr(owner, name, float(value) if value.ndim == 0 else np.array(value))
    return True
