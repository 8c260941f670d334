"""The thermal conductivity from the fluctuations of the heat flux (Green and Kubo)."""

from dataclasses import dataclass

import numpy as np

BOLTZMANN = 8.617333262e-5  # eV/K
SI = 1602.176634  # W/(m K) per eV/(ps Å K)


@dataclass(frozen=True)
class GreenKubo:
    """Means over independent estimates, and their standard errors, as functions of the length of the correlation."""

    times: np.ndarray  # Shape: (n,), ps
    correlation: np.ndarray  # Shape: (n,), of the flux, 1 at time 0
    running: np.ndarray  # Shape: (n_estimates, n), integrals up to each time, W/(m K)

    @property
    def mean(self) -> np.ndarray:
        """Shape: (n,), W/(m K)."""
        return self.running.mean(axis=0)

    @property
    def error(self) -> np.ndarray:
        """Shape: (n,), the standard error of the mean, W/(m K)."""
        return self.running.std(axis=0, ddof=1) / np.sqrt(len(self.running))


def autocorrelation(series: np.ndarray, n: int) -> np.ndarray:
    """Return the mean product of values that are 0, 1, …, n - 1 samples apart.

    series: Shape: (n_samples,), n at most n_samples. It is padded with zeros, so its end does not meet its beginning.
    """
    size = len(series)
    spectrum = np.fft.rfft(series, 2 * size)
    return np.fft.irfft(spectrum * spectrum.conj())[:n] / (size - np.arange(n))


def green_kubo(
    fluxes: list[np.ndarray], interval: float, volume: float, temperature: float, longest: float
) -> GreenKubo:
    """Return kappa = 1 / (V k T²) times the integral of <J(0) J(t)>, J being the flux times the volume.

    Args:
        fluxes: of each run, Shape: (n_samples, 3), eV Å/ps. Runs and directions of a cubic crystal are independent.
        interval: ps between two samples.
        volume: Å³.
        temperature: K.
        longest: ps, the longest correlation.
    """
    n = min(round(longest / interval) + 1, *(len(flux) for flux in fluxes))
    correlations = np.array([autocorrelation(component, n) for flux in fluxes for component in flux.T])
    steps = (correlations[:, 1:] + correlations[:, :-1]) / 2 * interval
    integrals = np.concatenate([np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)], axis=1)
    mean = correlations.mean(axis=0)
    return GreenKubo(
        np.arange(n) * interval, mean / mean[0], SI * integrals / (volume * BOLTZMANN * temperature**2)
    )
