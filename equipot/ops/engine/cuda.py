"""The compiled kernels on NVIDIA GPUs (csrc/cuda/), called through their C header.

NVRTC, which comes with torch, compiles them at first use for the paths of the model. They are cached below
~/.cache/equipot/cuda. If that fails, one warning gives the reason and the reference operators are used.
EQUIPOT_ENGINE=off selects the reference operators. See docs/gpu.md.
"""

import ctypes
import os
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from equipot.errors import EquipotError
from equipot.native.library import Sized, call, function, library
from equipot.ops.engine import convolution, graph, nodes

_VERSION = 3  # EQUIPOT_CUDA_VERSION in engine_cuda.h
_N, _P = ctypes.c_int64, ctypes.c_void_p


class CudaStruct(Sized):
    """The structure `equipot_cuda` of engine_cuda.h: a GPU, a stream, scratch memory."""

    _fields_ = (("device", _N), ("stream", _P), ("workspace", _P))


_CUDA = ctypes.POINTER(CudaStruct)


@lru_cache
def available(device: int) -> bool:
    """Return whether the kernels run on this GPU; if they are enabled and fail, one warning gives the reason."""
    kernels = library()
    if kernels is None:
        return False
    try:
        version = int(kernels.equipot_cuda_version())
    except AttributeError:
        version = 0
    if version != _VERSION:
        raise EquipotError(
            f"kernels for GPUs of version {version}, expected {_VERSION}; install equipot again"
        )
    try:
        call("CUDA", function("cuda_open", (ctypes.c_char_p,)), packages())
        # Loads a small kernel, so that an old GPU, an old driver or an incomplete NVRTC fails here, not during a model.
        call("CUDA", function("cuda_probe", (_N,)), device)
    except ValueError as error:
        warnings.warn(
            f"GPU {device} is used without compiled kernels, which is slow: {error}; NVRTC comes with torch's builds "
            "for CUDA and with the package nvidia-cuda-nvrtc, and EQUIPOT_NVRTC can name its folder",
            stacklevel=2,
        )
        return False
    return True


def packages() -> bytes:
    """Return the folder of the installed packages, where the library begins its search for NVRTC."""
    return os.fsencode(Path(torch.__file__).parent.parent)


# Host copies of GPU buffers that the library reads. A copy waits for the GPU, so each is made once.
_copies: Any = WeakIdKeyDictionary()


def host_copy(tensor: Tensor) -> Tensor:
    """Return the tensor in host memory."""
    if not tensor.is_cuda:
        return tensor
    version = 0 if tensor.is_inference() else tensor._version  # grows with each write in context
    known = _copies.get(tensor)
    if known is None or known[0] != version:
        known = _copies[tensor] = (version, tensor.cpu())
    return known[1]


def _queue(tensor: Tensor) -> tuple[int, int]:
    """Return the number of the tensor's GPU, and its current stream."""
    return tensor.device.index, torch.cuda.current_stream(tensor.device).cuda_stream


def _context(tensor: Tensor, n_bytes: int) -> tuple[CudaStruct, Tensor]:
    """Return GPU, stream and scratch memory for work on the tensor, and the owner of that memory.

    The caller keeps the owner until the work is in the queue of the stream.
    """
    workspace = torch.empty(n_bytes, dtype=torch.uint8, device=tensor.device)
    device, stream = _queue(tensor)
    return CudaStruct(device, stream, workspace.data_ptr()), workspace


def _pointers(tensors: Sequence[Tensor | None]) -> list[int | None]:
    return [None if t is None else t.data_ptr() for t in tensors]


class Convolution(convolution.Convolution):
    """The convolution with all tensors on one GPU; paths and coefficients may be on any device.

    The indices of the graph are not checked, as `topology` has made them.
    """

    @staticmethod
    def _on_host(tensor: Tensor) -> Tensor:
        return host_copy(tensor)

    def _call(self, name: str, *tensors: Tensor | None) -> None:
        problem, n_bytes = ctypes.byref(self.problem), 0
        if name != "forward":
            # The last three are dx, dvectors and dtable.
            requests = [int(t is not None) for t in tensors[-3:]]
            context, _ = _context(self.x, 0)
            size = function(
                "cuda_workspace", (ctypes.POINTER(convolution.ConvolutionStruct), _CUDA, *[_N] * 4), _N
            )
            derivative = 1 if name == "backward" else 2
            n_bytes = call("convolution", size, problem, ctypes.byref(context), derivative, *requests)
        context, workspace = _context(self.x, n_bytes)
        arguments = (ctypes.POINTER(convolution.ConvolutionStruct), _CUDA, *[_P] * len(tensors))
        kernels = function(f"cuda_{name}", arguments)
        call("convolution", kernels, problem, ctypes.byref(context), *_pointers(tensors))
        del workspace  # later work on this stream may use it


class Gating(nodes.Gating):
    """The gate with all tensors on one GPU; the blocks may be on any device."""

    @staticmethod
    def _on_host(blocks: Tensor) -> Tensor:
        return host_copy(blocks)

    def _call(self, name: str, *tensors: Tensor) -> None:
        context, _ = _context(self.x, 0)
        arguments = (ctypes.POINTER(nodes.GatingStruct), _CUDA, *[_P] * (1 + len(tensors)))
        kernels = function(f"cuda_{name}", arguments)
        call("gate", kernels, ctypes.byref(self.plan), ctypes.byref(context), *_pointers((self.x, *tensors)))


class Sorting(graph.Sorting):
    """The sorted views of an edge list on a GPU."""

    def _call(self, *pointers: int) -> None:
        context, workspace = _context(self.edges, 4 * (self.n_edges + self.n_atoms + 2))
        kernels = function("cuda_topology", (*[_N] * 3, _CUDA, *[_P] * 5))
        call("graph", kernels, self.n_edges, self.n_centres, self.n_atoms, ctypes.byref(context), *pointers)
        del workspace
