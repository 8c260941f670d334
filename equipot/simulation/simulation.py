"""The run of molecular dynamics: steps, observations, frames, and conditions that stop it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
from ase import Atoms, units
from ase.md.md import MolecularDynamics

from equipot.errors import NumericsError
from equipot.simulation.dynamics import Ensemble, conserved_energy, hidden_state, temperature_of
from equipot.simulation.md_files import MDFiles, MDState, Observation
from equipot.simulation.structures import grades_of, has_stress, pressure_of
from equipot.uncertainty.warning import Extrapolation

HOTTEST = 1e5  # K; no system that a potential describes is hotter


def observe(dynamics: MolecularDynamics, step: int, time_ps: float) -> Observation:
    """Return the present observables of a run."""
    atoms = dynamics.atoms
    potential, kinetic = float(atoms.get_potential_energy()), float(atoms.get_kinetic_energy())
    pressure = volume = None
    if has_stress(atoms):
        stress = atoms.get_stress(voigt=False, include_ideal_gas=True, apply_constraint=False)
        pressure, volume = pressure_of(atoms, stress) / units.GPa, float(atoms.get_volume())
    return Observation(
        step,
        time_ps,
        temperature_of(atoms),
        potential,
        kinetic,
        potential + kinetic,
        conserved_energy(dynamics),
        pressure,
        volume,
        highest_grade(atoms),
    )


def highest_grade(atoms: Atoms) -> float | None:
    """Return the highest extrapolation grade of the last calculation; None if the model has none."""
    grades = grades_of(atoms)
    return None if grades is None else float(grades.max(initial=0.0))


def simulate(
    dynamics: MolecularDynamics,
    n_steps: int,
    *,
    each: Callable[[Observation], object] | None = None,
    each_interval: int = 1,
    first_step: int = 0,
    first_time: float = 0.0,
    keep: Callable[[Observation], object] | None = None,
    keep_interval: int = 1,
    stop_above: float = np.inf,
) -> None:
    """Run molecular dynamics, and stop if it explodes.

    Args:
        dynamics: the result of `integrator`; its atoms move
        n_steps: number of steps
        each, each_interval: a function of the observation, called every `each_interval` steps, at the start of a new
            run (first_step 0) and at the end
        first_step, first_time: step and time (ps) at the start
        keep, keep_interval: a second function, which writes frames; called after `each`, and also when Ctrl-C ends the
            run
        stop_above: extrapolation grade above which the run ends, after a call of `keep`

    Ctrl-C raises KeyboardInterrupt between two steps, after a call of `keep`; a second Ctrl-C raises it at once.
    Raise NumericsError for a temperature that is not finite or above 1e5 K, for a grade above `stop_above`, and when
    the calculator raises it.
    """
    atoms, dt = dynamics.atoms, dynamics.dt / (1000 * units.fs)
    last = first_step + n_steps
    each, keep = each or (lambda observation: None), keep or (lambda observation: None)
    with _interrupts_between_steps() as interrupted:
        if first_step == 0:
            observation = observe(dynamics, 0, first_time)
            each(observation)
            keep(observation)
        for step in range(first_step + 1, last + 1):
            time_ps = first_time + (step - first_step) * dt
            try:
                dynamics.step()  # type: ignore[attr-defined]
            except NumericsError as error:
                raise NumericsError(f"stopped at step {step} ({time_ps:.4g} ps): {error}") from None
            _check(atoms, step, time_ps)
            stop = bool(interrupted)  # read once, so that a frame is always written before the run ends
            above = (highest_grade(atoms) or 0.0) > stop_above
            ends = step == last or stop or above
            observes, keeps = step % each_interval == 0, step % keep_interval == 0
            if not (ends or observes or keeps):
                continue
            observation = observe(dynamics, step, time_ps)
            if observes or ends:
                each(observation)
            if keeps or ends:
                keep(observation)
            if above:
                grades = grades_of(atoms)
                assert grades is not None
                highest = Extrapolation.of(grades, atoms.get_chemical_symbols())
                assert highest is not None
                raise NumericsError(
                    f"stopped after step {step} ({time_ps:.4g} ps), as a grade is above {stop_above:g}: "
                    + highest.sentence()
                )
            if stop:
                raise KeyboardInterrupt(f"stopped after step {step} ({time_ps:.4g} ps)")


def _check(atoms: Atoms, step: int, time_ps: float) -> None:
    temperature = temperature_of(atoms)
    if not temperature < HOTTEST:
        raise NumericsError(
            f"stopped at step {step} ({time_ps:.4g} ps): the temperature is {temperature:.3g} K; shorten --timestep, "
            "relax the structure first, or check that the model was trained on such structures"
        )


@contextmanager
def _interrupts_between_steps() -> Iterator[list[int]]:
    """Yield a list to which Ctrl-C adds an entry instead of ending a step; the second Ctrl-C ends the step."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def catch(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    before = signal.signal(signal.SIGINT, catch)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, before)


class Recorder:
    """A recorder that writes log, frames and state of a run."""

    def __init__(
        self,
        files: MDFiles,
        dynamics: MolecularDynamics,
        ensemble: Ensemble,
        rng: np.random.Generator,
        reference: float | None,
    ) -> None:
        self.files, self.dynamics, self.ensemble, self.rng = files, dynamics, ensemble, rng
        self.reference = reference

    def frame(self, observation: Observation) -> None:
        atoms = self.dynamics.atoms
        state = MDState(
            step=observation.step,
            time_ps=observation.time_ps,
            numbers=atoms.numbers,
            positions=atoms.positions,
            momenta=atoms.get_momenta(),
            cell=atoms.cell.array,
            potential=observation.potential_eV,
            ensemble=self.ensemble.to_dict(),
            random=dict(self.rng.bit_generator.state),
            hidden=hidden_state(self.dynamics),
            reference=self.reference,
        )
        self.files.write_frame(atoms, state)

    def drift(self, observation: Observation) -> float | None:
        """Return the change of the conserved energy since the start of its record (eV/atom); None without one."""
        if observation.conserved_eV is None or self.reference is None:
            return None
        return (observation.conserved_eV - self.reference) / len(self.dynamics.atoms)
