"""Compiles all kernels of one layer with NVRTC for one architecture; run by test_cuda_compile.py in its own process.

    python -m tests.ops.cuda_report <irreps in> <irreps wanted> <l_max> <bytes of a number> <order> <architecture>

Prints NVRTC's and ptxas's messages.
"""

import ctypes
import sys

from equipot.irreps import Irreps
from equipot.native.library import call, function
from equipot.ops import ConvolutionPaths
from equipot.ops.engine.convolution import ConvolutionStruct, output_columns
from equipot.ops.engine.cuda import packages


def report(irreps: str, wanted: str, l_max: int, size: int, order: int, architecture: int) -> str:
    paths = ConvolutionPaths(Irreps(irreps), Irreps(wanted), l_max)
    rows, coupling = paths.plan()
    problem = ConvolutionStruct(dtype=size, threads=1, n_knots=128, order=order, n_weights=paths.n_weights)
    problem.n_paths, problem.paths = rows.shape[0], rows.data_ptr()
    problem.n_coupling, problem.coupling = coupling.numel(), coupling.data_ptr()
    problem.dim_in, problem.dim_out = paths.irreps_in.dim, output_columns(rows)
    text = ctypes.create_string_buffer(1 << 20)
    pointer, number = ctypes.POINTER(ConvolutionStruct), ctypes.c_int64
    kernels = function("cuda_report", (pointer, number, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t))
    call(
        "CUDA",
        kernels,
        ctypes.byref(problem),
        architecture,
        packages(),
        text,
        len(text),
    )
    return text.value.decode()


if __name__ == "__main__":
    print(report(*sys.argv[1:3], *map(int, sys.argv[3:])))
