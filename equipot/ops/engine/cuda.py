"""The compiled kernels on NVIDIA GPUs (csrc/cuda/), called through their C header.

They are compiled on the first use for the paths of the model at hand, by the NVRTC that comes with torch, and kept
below ~/.cache/equipot/cuda. Where they cannot be had, the reference operators serve, after one warning that says why;
EQUIPOT_ENGINE=off asks for these. docs/gpu.md tells more.
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
from equipot.ops.engine import convolution, graph, nodes
from equipot.ops.engine.library import Sized, call, function, library

_VERSION = 3  # EQUIPOT_CUDA_VERSION in engine_cuda.h
_N, _P = ctypes.c_int64, ctypes.c_void_p


class Place(Sized):
    """`equipot_cuda` of engine_cuda.h: a GPU, a stream, scratch memory."""

    _fields_ = (("device", _N), ("stream", _P), ("workspace", _P))


_PLACE = ctypes.POINTER(Place)


@lru_cache
def available(device: int) -> bool:
    """Whether the kernels can serve on this GPU; where they cannot though they are wanted, one warning says why."""
    found = library()
    if found is None:
        return False
    try:
        version = int(found.equipot_cuda_version())
    except AttributeError:
        version = 0
    if version != _VERSION:
        raise EquipotError(
            f"kernels for GPUs of version {version}, expected {_VERSION}; install equipot again"
        )
    try:
        call("CUDA", function("cuda_open", (ctypes.c_char_p,)), packages())
        # Loads a small kernel: an old GPU, an old driver or half an NVRTC show here, not in the middle of a model.
        call("CUDA", function("cuda_probe", (_N,)), device)
    except ValueError as error:
        warnings.warn(
            f"GPU {device} is used without compiled kernels, slowly: {error}; NVRTC comes with torch's builds for CUDA "
            "and with the package nvidia-cuda-nvrtc, and EQUIPOT_NVRTC can name its folder",
            stacklevel=2,
        )
        return False
    return True


def packages() -> bytes:
    """The folder of torch and its neighbours, which the library begins to look for NVRTC from."""
    return os.fsencode(Path(torch.__file__).parent.parent)


# Of buffers on a GPU that the library reads itself: copying waits for the GPU, so it is done once.
_copies: Any = WeakIdKeyDictionary()


def host_copy(tensor: Tensor) -> Tensor:
    """The tensor in the host's memory."""
    if not tensor.is_cuda:
        return tensor
    version = 0 if tensor.is_inference() else tensor._version  # grows when it is written to in place
    known = _copies.get(tensor)
    if known is None or known[0] != version:
        known = _copies[tensor] = (version, tensor.cpu())
    return known[1]


def _queue(tensor: Tensor) -> tuple[int, int]:
    """Number of the tensor's GPU, and its current stream."""
    return tensor.device.index, torch.cuda.current_stream(tensor.device).cuda_stream


def _place(tensor: Tensor, n_bytes: int) -> tuple[Place, Tensor]:
    """Where work on the tensor is to be done, and the scratch memory, to be kept until it has been put there."""
    workspace = torch.empty(n_bytes, dtype=torch.uint8, device=tensor.device)
    device, stream = _queue(tensor)
    return Place(device, stream, workspace.data_ptr()), workspace


def _pointers(tensors: Sequence[Tensor | None]) -> list[int | None]:
    return [None if t is None else t.data_ptr() for t in tensors]


class Convolution(convolution.Convolution):
    """As its parent, with all tensors on one GPU; the paths and their coefficients may lie anywhere.

    The graph is taken as `topology` made it: its indices are not checked.
    """

    @staticmethod
    def _on_host(tensor: Tensor) -> Tensor:
        return host_copy(tensor)

    def _call(self, name: str, *tensors: Tensor | None) -> None:
        problem, n_bytes = ctypes.byref(self.problem), 0
        if name != "forward":
            # The last three are dx, dvectors and dtable.
            wanted = [int(t is not None) for t in tensors[-3:]]
            place, _ = _place(self.x, 0)
            ask = function("cuda_workspace", (ctypes.POINTER(convolution.Problem), _PLACE, *[_N] * 4), _N)
            derivative = 1 if name == "backward" else 2
            n_bytes = call("convolution", ask, problem, ctypes.byref(place), derivative, *wanted)
        place, workspace = _place(self.x, n_bytes)
        arguments = (ctypes.POINTER(convolution.Problem), _PLACE, *[_P] * len(tensors))
        kernels = function(f"cuda_{name}", arguments)
        call("convolution", kernels, problem, ctypes.byref(place), *_pointers(tensors))
        del workspace  # what follows on this stream may have it


class Gating(nodes.Gating):
    """As its parent, with all tensors on one GPU; the blocks may lie anywhere."""

    @staticmethod
    def _on_host(blocks: Tensor) -> Tensor:
        return host_copy(blocks)

    def _call(self, name: str, *tensors: Tensor) -> None:
        place, _ = _place(self.x, 0)
        arguments = (ctypes.POINTER(nodes.GatePlan), _PLACE, *[_P] * (1 + len(tensors)))
        kernels = function(f"cuda_{name}", arguments)
        call("gate", kernels, ctypes.byref(self.plan), ctypes.byref(place), *_pointers((self.x, *tensors)))


class Sorting(graph.Sorting):
    """As its parent, with the edges on a GPU."""

    def _call(self, *pointers: int) -> None:
        place, workspace = _place(self.edges, 4 * (self.n_edges + self.n_atoms + 2))
        kernels = function("cuda_topology", (*[_N] * 3, _PLACE, *[_P] * 5))
        call("graph", kernels, self.n_edges, self.n_centres, self.n_atoms, ctypes.byref(place), *pointers)
        del workspace
