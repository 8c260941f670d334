"""The files of a molecular dynamics run: a trajectory and a log to read, and a state to continue from.

Extended XYZ has eight decimals, which is too few to continue a run exactly. So a state is written after every frame. It
holds all numbers of the atoms and the integrator exactly, the random state, and the lengths of trajectory and log. A
continued run cuts both files to these lengths, which removes incomplete output of a killed program.
"""

import json
import os
import zipfile
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms

from equipot.errors import DataError
from equipot.simulation.structures import append_frame, snapshot

VERSION = 1


@dataclass(frozen=True)
class Observation:
    """A row of the log; a quantity that the run does not have is None."""

    step: int
    time_ps: float
    temperature_K: float
    potential_eV: float
    kinetic_eV: float
    total_eV: float
    conserved_eV: float | None
    pressure_GPa: float | None  # along the periodic directions, including the kinetic part
    volume_A3: float | None
    gamma: float | None  # the highest extrapolation grade


COLUMNS = tuple(f.name for f in fields(Observation))


@dataclass(frozen=True)
class MDState:
    """The state of a run: everything that its next step depends on."""

    step: int
    time_ps: float
    numbers: np.ndarray  # Shape: (n_atoms,)
    positions: np.ndarray  # Shape: (n_atoms, 3), Å
    momenta: np.ndarray  # Shape: (n_atoms, 3), ASE's unit
    cell: np.ndarray  # Shape: (3, 3), Å
    potential: float  # eV; a continued run compares it, to detect another model
    ensemble: dict[str, Any]
    random: dict[str, Any]  # state of numpy's generator
    hidden: dict[str, np.ndarray]  # variables of thermostat and barostat
    reference: float | None  # eV, the conserved energy at the start of its record
    trajectory_bytes: int = 0
    log_bytes: int = 0

    def put_into(self, atoms: Atoms) -> None:
        """Set positions, cell and momenta of atoms. Raise DataError if the elements or their order differ."""
        if not np.array_equal(atoms.numbers, self.numbers):
            raise DataError(
                f"the run to continue has {len(self.numbers)} atoms, and STRUCTURE (with --repeat) has {len(atoms)} or "
                "other elements; give the STRUCTURE and --repeat that the run was begun with"
            )
        atoms.set_cell(self.cell)
        atoms.positions = self.positions
        atoms.arrays["momenta"] = self.momenta.copy()


class MDFiles:
    """The trajectory FILE.extxyz, log FILE.csv and state FILE.state.npz of a run, as a context manager."""

    def __init__(self, trajectory: Path) -> None:
        self.trajectory = trajectory
        self.log = trajectory.with_suffix(".csv")
        self.state = trajectory.with_suffix(".state.npz")
        self._frames: IO[str] | None = None
        self._rows: IO[str] | None = None

    def open_new(self) -> "MDFiles":
        self.state.unlink(missing_ok=True)
        self._frames = self.trajectory.open("w", encoding="utf-8")
        self._rows = self.log.open("w", encoding="utf-8")
        self._row(",".join(COLUMNS))
        return self

    def open_again(self, state: MDState | None) -> "MDFiles":
        """Open the files to append; cut them to the lengths of a state first. Raise DataError for shorter files."""
        if state is not None:
            self._cut(self.trajectory, state.trajectory_bytes)
            self._cut(self.log, state.log_bytes)
        begun = self.log.exists()
        self._frames = self.trajectory.open("a", encoding="utf-8")
        self._rows = self.log.open("a", encoding="utf-8")
        if not begun:
            self._row(",".join(COLUMNS))
        return self

    def _cut(self, path: Path, length: int) -> None:
        if (path.stat().st_size if path.exists() else 0) < length:
            raise DataError(
                f"{path}: is shorter than it was when {self.state} was written; start a new run with --overwrite"
            )
        os.truncate(path, length)

    def __enter__(self) -> "MDFiles":
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._frames, self._rows):
            if file is not None:
                with suppress(OSError):  # the write to a full disk has raised already
                    file.close()

    def write_row(self, observation: Observation) -> None:
        values = (getattr(observation, name) for name in COLUMNS)
        self._row(
            ",".join("" if v is None else str(v) if isinstance(v, int) else f"{v:.10g}" for v in values)
        )

    def _row(self, line: str) -> None:
        assert self._rows is not None
        try:
            self._rows.write(line + "\n")
            self._rows.flush()
        except OSError as error:
            error.filename = error.filename or str(self.log)
            raise

    def write_frame(self, atoms: Atoms, state: MDState) -> None:
        """Append a frame, then replace the state. Raise OSError with the name of the file, e.g. for a full disk."""
        assert self._frames is not None
        assert self._rows is not None
        frame = snapshot(atoms, step=state.step, time_ps=round(state.time_ps, 9))
        append_frame(self._frames, self.trajectory, frame)
        lengths = [os.fstat(file.fileno()).st_size for file in (self._frames, self._rows)]
        _write_state(self.state, state, *lengths)


def _write_state(path: Path, state: MDState, trajectory_bytes: int, log_bytes: int) -> None:
    plain = {
        "version": VERSION,
        "step": state.step,
        "time_ps": state.time_ps,
        "potential": state.potential,
        "ensemble": state.ensemble,
        "random": state.random,
        "reference": state.reference,
        "trajectory_bytes": trajectory_bytes,
        "log_bytes": log_bytes,
    }
    arrays = {name: getattr(state, name) for name in ("numbers", "positions", "momenta", "cell")}
    arrays |= {f"hidden/{name}": value for name, value in state.hidden.items()}
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            np.savez(file, plain=np.array(json.dumps(plain)), **arrays)
        new.replace(path)  # atomic: the file holds the old state or the new one
    except OSError as error:
        error.filename = error.filename or str(path)
        new.unlink(missing_ok=True)
        raise


def read_state(path: Path) -> MDState:
    """Return a state that `write_frame` wrote. Raise DataError if it is damaged or from a newer equipot."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        plain = json.loads(str(arrays.pop("plain")))
        version = plain.pop("version")
        if version > VERSION:
            raise DataError(
                f"{path}: has version {version}, but this equipot reads up to {VERSION}; install a newer equipot"
            )
        hidden = {name.removeprefix("hidden/"): arrays.pop(name) for name in list(arrays) if "/" in name}
        state = MDState(**plain, **arrays, hidden=hidden)
        _check(state)
        return state
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: is damaged ({error or type(error).__name__}); delete it to continue from the last frame"
        ) from None


def _check(state: MDState) -> None:
    """Raise ValueError or TypeError for values that no run can have, as the file may come from anywhere."""
    n = len(state.numbers)
    for name, shape in (("numbers", (n,)), ("positions", (n, 3)), ("momenta", (n, 3)), ("cell", (3, 3))):
        values = getattr(state, name)
        if values.shape != shape or not np.isfinite(values).all():
            raise ValueError(f"its {name} are not {shape} finite numbers")
    if not (isinstance(state.step, int) and state.step >= 0 and np.isfinite(state.time_ps)):
        raise ValueError("its step is not a number of steps")
    if not (
        isinstance(state.ensemble, dict) and np.isfinite([state.potential, state.reference or 0.0]).all()
    ):
        raise ValueError("its ensemble or energy is missing")
    np.random.default_rng().bit_generator.state = state.random
