"""Running molecular dynamics: steps, observations, frames, and what stops it."""

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
from equipot.simulation.structures import has_stress

HOTTEST = 1e5  # K; nothing solid, liquid or gaseous that a potential describes is hotter


def observe(dynamics: MolecularDynamics, step: int, time_ps: float) -> Observation:
    """The present values of a run."""
    atoms = dynamics.atoms
    potential, kinetic = float(atoms.get_potential_energy()), float(atoms.get_kinetic_energy())
    pressure = volume = None
    if has_stress(atoms):
        stress = atoms.get_stress(voigt=False, include_ideal_gas=True, apply_constraint=False)
        pressure, volume = -float(np.trace(stress)) / 3 / units.GPa, float(atoms.get_volume())
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
    )


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
) -> None:
    """Run, and stop where it makes no sense to go on.

    Args:
        dynamics: from `integrator`; its atoms move
        n_steps: of this run
        each, each_interval: called with what is observed, also at the beginning of a new run (first_step 0) and at its
            end
        first_step, first_time: of the beginning; ps
        keep, keep_interval: likewise, for writing frames; called after `each`, and also when Ctrl-C ends the run

    Ctrl-C takes effect between steps, as a KeyboardInterrupt after `keep` was called; a second one at once.
    Raises NumericsError for a temperature that is not finite or above 1e5 K, and for what the calculator refuses.
    """
    atoms, dt = dynamics.atoms, dynamics.dt / (1000 * units.fs)
    last = first_step + n_steps
    each, keep = each or (lambda seen: None), keep or (lambda seen: None)
    with _interrupts_between_steps() as interrupted:
        if first_step == 0:
            seen = observe(dynamics, 0, first_time)
            each(seen)
            keep(seen)
        for step in range(first_step + 1, last + 1):
            time_ps = first_time + (step - first_step) * dt
            try:
                dynamics.step()  # type: ignore[attr-defined]
            except NumericsError as error:
                raise NumericsError(f"stopped at step {step} ({time_ps:.4g} ps): {error}") from None
            _check(atoms, step, time_ps)
            stop = bool(interrupted)  # looked at once: a frame is always kept before the run is left
            ends = step == last or stop
            due, kept = step % each_interval == 0, step % keep_interval == 0
            if not (ends or due or kept):
                continue
            seen = observe(dynamics, step, time_ps)
            if due or ends:
                each(seen)
            if kept or ends:
                keep(seen)
            if stop:
                raise KeyboardInterrupt(f"stopped after step {step} ({time_ps:.4g} ps)")


def _check(atoms: Atoms, step: int, time_ps: float) -> None:
    temperature = temperature_of(atoms)
    if not temperature < HOTTEST:
        raise NumericsError(
            f"stopped at step {step} ({time_ps:.4g} ps): the temperature is {temperature:.3g} K; shorten --timestep, "
            "relax the structure first, or look whether the model was trained on such structures"
        )


@contextmanager
def _interrupts_between_steps() -> Iterator[list[int]]:
    """A list that Ctrl-C fills instead of breaking into a step; the second Ctrl-C breaks in."""
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
    """Writes log and frames of a run, with all that continuing it needs."""

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

    def frame(self, seen: Observation) -> None:
        atoms = self.dynamics.atoms
        state = MDState(
            step=seen.step,
            time_ps=seen.time_ps,
            numbers=atoms.numbers,
            positions=atoms.positions,
            momenta=atoms.get_momenta(),
            cell=atoms.cell.array,
            potential=seen.potential_eV,
            ensemble=self.ensemble.to_dict(),
            random=dict(self.rng.bit_generator.state),
            hidden=hidden_state(self.dynamics),
            reference=self.reference,
        )
        self.files.write_frame(atoms, state)

    def drift(self, seen: Observation) -> float | None:
        """How far the conserved energy is from where it was (eV/atom)."""
        if seen.conserved_eV is None or self.reference is None:
            return None
        return (seen.conserved_eV - self.reference) / len(self.dynamics.atoms)
