"""The terminal output of a molecular dynamics run: a progress bar, about twenty rows and a summary."""

import math
import time
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from equipot.cli.simulation import bar, begin, clock

if TYPE_CHECKING:
    from equipot.simulation.dynamics import Ensemble
    from equipot.simulation.md_files import Observation
    from equipot.simulation.simulation import Recorder

ROWS = 20
HEADER = (
    f"{'time ps':>9} {'T K':>8} {'energy eV/atom':>15} {'drift meV/atom':>15} "
    f"{'P GPa':>8} {'V Å³':>10} {'ns/day':>7}"
)


class Display:
    """A progress bar and table of a run. It also writes each observation to the log file."""

    def __init__(
        self,
        console: Console,
        recorder: "Recorder",
        model: str,
        ensemble: "Ensemble",
        first_step: int,
        last_step: int,
    ) -> None:
        self.console, self.recorder, self.ensemble = console, recorder, ensemble
        self.first_step, self.last_step = first_step, last_step
        self.atoms = recorder.dynamics.atoms
        self.observations: list[Observation] = []
        self._printed_fraction = -math.inf
        console.print(
            f"{ensemble.name}, {len(self.atoms)} atoms, {model}: "
            f"steps {first_step} to {last_step} of {ensemble.timestep:g} fs",
            markup=False,
            soft_wrap=True,
        )
        console.print(HEADER, style="bold", markup=False, soft_wrap=True)
        self._bar = bar(console)

    def __enter__(self) -> "Display":
        self._bar.start()
        self._task = begin(self._bar, self.ensemble.name, self.last_step, self.first_step)
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._started
        self._bar.stop()

    def row(self, now: "Observation") -> None:
        """Write an observation to the log, update the bar and print a row after each twentieth of the run."""
        self.recorder.files.write_row(now)
        self.observations.append(now)
        rate = self._rate(now.step)
        drift = self.recorder.drift(now)
        n = len(self.atoms)
        message = (
            f"{rate:.3g} steps/s, {self._ns_per_day(rate):.3g} ns/day, {now.temperature_K:.0f} K, "
            f"{now.total_eV / n:.4f} eV/atom" + ("" if drift is None else f", drift {1000 * drift:+.2g} meV")
        )
        self._bar.update(self._task, completed=now.step, message=message)
        fraction = (now.step - self.first_step) / max(self.last_step - self.first_step, 1)
        if fraction - self._printed_fraction < 1 / ROWS and fraction < 1:
            return
        self._printed_fraction = fraction
        self.console.print(
            f"{now.time_ps:>9.4g} {now.temperature_K:>8.1f} {now.total_eV / n:>15.6f} "
            f"{'–' if drift is None else format(1000 * drift, '.4f'):>15} "
            f"{'–' if now.pressure_GPa is None else format(now.pressure_GPa, '.3f'):>8} "
            f"{'–' if now.volume_A3 is None else format(now.volume_A3, '.2f'):>10} "
            f"{'–' if rate == 0 else format(self._ns_per_day(rate), '.3g'):>7}",
            markup=False,
            soft_wrap=True,
        )

    def _rate(self, step: int) -> float:
        """Return the number of steps per second since the start of the display."""
        return (step - self.first_step) / max(time.monotonic() - self._started, 1e-9)

    def _ns_per_day(self, rate: float) -> float:
        return rate * self.ensemble.timestep * 1e-6 * 86400

    def summary(self) -> None:
        """Print the speed and the means over the second half of the run.

        The first half is left out, because a run that starts from a crystal at rest must first reach equilibrium.
        """
        n, steps = len(self.atoms), self.last_step - self.first_step
        second_half = self.observations[len(self.observations) // 2 :]
        table = Table(
            title=f"{self.ensemble.name}, {n} atoms, {steps} steps",
            caption="± is the standard deviation over time, not the uncertainty of the mean",
            title_justify="left",
            caption_justify="left",
            show_header=False,
        )
        table.add_column()
        table.add_column(justify="right")

        def mean(name: str, title: str, digits: int) -> None:
            values = np.array([getattr(o, name) for o in second_half], dtype=np.float64)
            if not np.isnan(values).any():
                table.add_row(title, f"{values.mean():.{digits}f} ± {values.std():.{digits}f}")

        mean("temperature_K", "temperature, second half (K)", 1)
        mean("pressure_GPa", "pressure, second half (GPa)", 3)
        if self.ensemble.name == "npt":
            mean("volume_A3", "volume, second half (Å³)", 2)
        drift = self.recorder.drift(self.observations[-1])
        table.add_row("energy drift (meV/atom)", "–" if drift is None else f"{1000 * drift:+.2g}")
        rate = steps / max(self.seconds, 1e-9)
        table.add_row("speed", f"{rate:.3g} steps/s, {self._ns_per_day(rate):.3g} ns/day")
        table.add_row(
            "time per step and atom (µs)", f"{1e6 / rate / n:{'.3g' if 1e6 / rate / n < 1000 else '.0f'}}"
        )
        table.add_row("wall time", clock(self.seconds))
        self.console.print(table)
