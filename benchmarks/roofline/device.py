"""Peaks of a GPU: bytes per second from and to its memory, fused multiply-adds per second."""

from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.command import BenchmarkError

# Fused multiply-adds that a multiprocessor begins per clock, (float32, float64), by compute capability: CUDA C++
# Programming Guide, "Arithmetic Instructions". Tensor cores are left out: neither equipot's kernels nor torch's
# products in float32 use them unless TF32 is asked for.
LANES = {
    (7, 0): (64, 32),
    (7, 5): (64, 2),
    (8, 0): (64, 32),
    (8, 6): (128, 2),
    (8, 7): (128, 2),
    (8, 9): (128, 2),
    (9, 0): (128, 64),
    (10, 0): (128, 64),
    (12, 0): (128, 2),
}


class UnknownPeakError(BenchmarkError):
    """Neither torch, NVML nor the table here gives a figure that a peak needs."""


@dataclass(frozen=True)
class Peaks:
    """Peak rates of a GPU, and in words what they were computed from."""

    bytes_per_second: float
    fma_per_second: float
    assumed: str


def peaks(
    capability: tuple[int, int],
    multiprocessors: int,
    clock_khz: float,
    memory_clock_khz: float,
    bus_bits: int,
    double: bool,
) -> Peaks:
    """Compute the peaks from the highest clocks; memory moves two bits per line and clock of the driver.

    Raises UnknownPeakError for a compute capability that is not in `LANES`.
    """
    if capability not in LANES:
        raise UnknownPeakError(
            f"compute capability {capability[0]}.{capability[1]} is not in the table of multiply-adds per clock; give "
            "--peak-tfma"
        )
    lanes = LANES[capability][double]
    bandwidth = 2 * memory_clock_khz * 1e3 * bus_bits / 8
    assumed = (
        f"{multiprocessors} multiprocessors × {lanes} multiply-adds × {clock_khz / 1e6:.3f} GHz; "
        f"2 × {memory_clock_khz / 1e6:.3f} GHz × {bus_bits} bits of memory bus; the highest clocks, which a "
        "GPU under load need not keep"
    )
    return Peaks(bandwidth, multiprocessors * lanes * clock_khz * 1e3, assumed)


def peaks_of(device: torch.device, double: bool) -> Peaks:
    """Compute the peaks of a GPU from the clocks that torch or NVML reports; raise UnknownPeakError if neither does."""
    properties = torch.cuda.get_device_properties(device)
    clocks = _clocks_of_torch(properties) or _clocks_of_nvml(device)
    if clocks is None:
        raise UnknownPeakError(
            "this torch does not report the GPU's clocks and bus width: pip install nvidia-ml-py, or give "
            "--peak-gb and --peak-tfma"
        )
    return peaks((properties.major, properties.minor), properties.multi_processor_count, *clocks, double)


def _clocks_of_torch(properties: Any) -> tuple[float, float, int] | None:
    names = ("clock_rate", "memory_clock_rate", "memory_bus_width")
    values = tuple(getattr(properties, name, 0) for name in names)
    return values if all(values) else None


def _clocks_of_nvml(device: torch.device) -> tuple[float, float, int] | None:
    """Read clocks in MHz by the GPU's UUID, since CUDA_VISIBLE_DEVICES may renumber GPUs."""
    try:
        import pynvml

        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid.encode())
        clock = pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM)
        memory = pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_MEM)
        return 1e3 * clock, 1e3 * memory, pynvml.nvmlDeviceGetMemoryBusWidth(handle)
    except Exception:  # not installed, not allowed, or without that number: the options give it
        return None
