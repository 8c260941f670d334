"""Vibrations of a molecule: harmonic frequencies, and the density of states from the velocities of a simulation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.vibrations import VibrationsData

PER_CM = 1e15 / 2.99792458e10  # 1/cm per 1/fs
DISPLACEMENT = 0.005  # Å


def harmonic(atoms: Atoms, calculator: Any) -> np.ndarray:
    """Return the frequencies of a relaxed molecule in 1/cm, without translations and rotations.

    The Hessian is the central difference of the forces.
    """
    n = len(atoms)
    moved = atoms.copy()
    moved.calc = calculator
    hessian = np.zeros((3 * n, 3 * n))
    for k in range(3 * n):
        forces = []
        for sign in (1, -1):
            moved.positions = atoms.positions
            moved.positions[k // 3, k % 3] += sign * DISPLACEMENT
            forces.append(moved.get_forces().ravel())
        hessian[k] = (forces[1] - forces[0]) / (2 * DISPLACEMENT)
    hessian = (hessian + hessian.T) / 2
    frequencies = VibrationsData.from_2d(atoms, hessian).get_frequencies()
    # Imaginary ones count as negative. The motions of the whole molecule have the smallest sizes.
    signed = np.where(
        np.abs(frequencies.imag) > frequencies.real, -np.abs(frequencies.imag), frequencies.real
    )
    linear = atoms.get_moments_of_inertia()[0] < 1e-3
    return np.sort(signed[np.argsort(np.abs(signed))[5 if linear else 6 :]])


def density_of_states(
    runs: Sequence[np.ndarray], interval: float, masses: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return wave numbers in 1/cm and the vibrational density of states, with an integral of 1.

    It is the Fourier transform of the autocorrelation of the velocities, weighted by mass. By the theorem of Wiener and
    Khinchin this is the square of the transform of the velocities. A Hann window smooths it.

    Args:
        runs: velocities of each run, Shape: (n_frames, n_atoms, 3).
        interval: fs between two frames.
        masses: Shape: (n_atoms,).
    """
    spectra = []
    for velocities in runs:
        window = np.hanning(len(velocities))[:, None, None]
        transform = np.fft.rfft(window * velocities, axis=0)
        spectra.append((masses[:, None] * np.abs(transform) ** 2).sum(axis=(1, 2)))
    density = np.mean(spectra, axis=0)
    wave_numbers = np.fft.rfftfreq(len(runs[0]), interval) * PER_CM
    return wave_numbers, density / (density.sum() * (wave_numbers[1] - wave_numbers[0]))


def mean_wave_number(wave_numbers: np.ndarray, density: np.ndarray, low: float, high: float) -> float:
    """Return the mean wave number of a band that lies between two limits (1/cm)."""
    band = (wave_numbers > low) & (wave_numbers < high)
    return float(np.average(wave_numbers[band], weights=density[band]))
