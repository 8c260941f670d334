"""What a person sees of a molecular dynamics run: a bar, some twenty rows, a summary."""

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
    """Writes the log's rows too: it sees all of them."""

    def __init__(
        self, console: Console, recorder: "Recorder", model: str, ensemble: "Ensemble", done: int, last: int
    ) -> None:
        self.console, self.recorder, self.ensemble = console, recorder, ensemble
        self.done, self.last = done, last
        self.atoms = recorder.dynamics.atoms
        self.seen: list[Observation] = []
        self._printed = -math.inf
        what = f"{ensemble.name}, {len(self.atoms)} atoms, {model}"
        console.print(
            f"{what}: steps {done} to {last} of {ensemble.timestep:g} fs", markup=False, soft_wrap=True
        )
        console.print(HEADER, style="bold", markup=False, soft_wrap=True)
        self._bar = bar(console)

    def __enter__(self) -> "Display":
        self._bar.start()
        self._task = begin(self._bar, self.ensemble.name, self.last, self.done)
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._started
        self._bar.stop()

    def row(self, seen: "Observation") -> None:
        """Log, bar, and now and then a line."""
        self.recorder.files.write_row(seen)
        self.seen.append(seen)
        rate = self._rate(seen.step)
        drift = self.recorder.drift(seen)
        n = len(self.atoms)
        said = (
            f"{rate:.3g} steps/s, {self._ns_per_day(rate):.3g} ns/day, {seen.temperature_K:.0f} K, "
            f"{seen.total_eV / n:.4f} eV/atom" + ("" if drift is None else f", drift {1000 * drift:+.2g} meV")
        )
        self._bar.update(self._task, completed=seen.step, said=said)
        share = (seen.step - self.done) / max(self.last - self.done, 1)
        if share - self._printed < 1 / ROWS and share < 1:
            return
        self._printed = share
        self.console.print(
            f"{seen.time_ps:>9.4g} {seen.temperature_K:>8.1f} {seen.total_eV / n:>15.6f} "
            f"{'–' if drift is None else format(1000 * drift, '.4f'):>15} "
            f"{'–' if seen.pressure_GPa is None else format(seen.pressure_GPa, '.3f'):>8} "
            f"{'–' if seen.volume_A3 is None else format(seen.volume_A3, '.2f'):>10} "
            f"{'–' if rate == 0 else format(self._ns_per_day(rate), '.3g'):>7}",
            markup=False,
            soft_wrap=True,
        )

    def _rate(self, step: int) -> float:
        """Steps per second of this run."""
        return (step - self.done) / max(time.monotonic() - self._started, 1e-9)

    def _ns_per_day(self, rate: float) -> float:
        return rate * self.ensemble.timestep * 1e-6 * 86400

    def summary(self) -> None:
        """Means of the second half, in which a start from a crystal at rest has spread its energy, and the speed."""
        n, steps = len(self.atoms), self.last - self.done
        half = self.seen[len(self.seen) // 2 :]
        table = Table(
            title=f"{self.ensemble.name}, {n} atoms, {steps} steps", title_justify="left", show_header=False
        )
        table.add_column()
        table.add_column(justify="right")

        def mean(name: str, title: str, digits: int) -> None:
            values = np.array([getattr(seen, name) for seen in half], dtype=np.float64)
            if not np.isnan(values).any():
                table.add_row(title, f"{values.mean():.{digits}f} ± {values.std():.{digits}f}")

        mean("temperature_K", "temperature, second half (K)", 1)
        mean("pressure_GPa", "pressure, second half (GPa)", 3)
        if self.ensemble.name == "npt":
            mean("volume_A3", "volume, second half (Å³)", 2)
        drift = self.recorder.drift(self.seen[-1])
        table.add_row("energy drift (meV/atom)", "–" if drift is None else f"{1000 * drift:+.2g}")
        rate = steps / max(self.seconds, 1e-9)
        table.add_row("speed", f"{rate:.3g} steps/s, {self._ns_per_day(rate):.3g} ns/day")
        table.add_row(
            "time per step and atom (µs)", f"{1e6 / rate / n:{'.3g' if 1e6 / rate / n < 1000 else '.0f'}}"
        )
        table.add_row("wall time", clock(self.seconds))
        self.console.print(table)
