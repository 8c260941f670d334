"""Operators on the features of single atoms, by the compiled kernels: linear maps and the gate."""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from equipot.native.library import Sized, call, expect, function
from equipot.ops.engine.devices import expect_one_device


class LinearStruct(Sized):
    """The structure `equipot_linear` of engine.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("dtype", "threads", "n", "dim_in", "dim_out")),
        ("n_species", ctypes.c_int64),
        ("n_weights", ctypes.c_int64),
        ("species", ctypes.c_void_p),
        ("n_blocks", ctypes.c_int64),
        ("blocks", ctypes.c_void_p),
    )


class GatingStruct(Sized):
    """The structure `equipot_gating` of engine.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("dtype", "threads", "n", "dim_in", "dim_out", "n_blocks")),
        ("blocks", ctypes.c_void_p),
        ("silu", ctypes.c_double),
        ("tanh", ctypes.c_double),
    )


_P = ctypes.c_void_p
_LINEAR, _GATING = ctypes.POINTER(LinearStruct), ctypes.POINTER(GatingStruct)


class LinearMap:
    """The linear maps of a feature's blocks, see `ops.linear`; raise ValueError for shapes that do not fit."""

    def __init__(
        self,
        dtype: torch.dtype,
        n: int,
        dims: tuple[int, int],
        shape: Sequence[int],
        species: Tensor,
        blocks: Tensor,
    ) -> None:
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"the features are {dtype}; expected float32 or float64")
        expect(blocks.dtype == torch.int64 and blocks.shape[1:] == (6,), "blocks are not (n_blocks, 6) int64")
        by_species = shape[0] > 1
        if by_species and (species.dtype != torch.int64 or species.shape != (n,)):
            raise ValueError(f"species are {species.dtype} {tuple(species.shape)}; expected int64 ({n},)")
        expect_one_device([*([species] if by_species else []), blocks], "cpu")
        self.n, self.dims, self.shape, self.dtype = n, dims, tuple(shape), dtype
        self.owned = (species.contiguous(), blocks.contiguous())  # keeps the memory of the pointers below
        self.map = LinearStruct(
            dtype.itemsize,
            torch.get_num_threads(),
            n,
            *dims,
            *shape,
            self.owned[0].data_ptr() if by_species else None,
            blocks.shape[0],
            self.owned[1].data_ptr(),
        )

    def apply(self, x: Tensor, weight: Tensor, transposed: bool) -> Tensor:
        """Map (n, dim_in) to (n, dim_out); if transposed, (n, dim_out) to (n, dim_in) with the transposed matrices."""
        x, weight = self._like(x, (self.n, self.dims[transposed])), self._like(weight, self.shape)
        out = x.new_empty(self.n, self.dims[not transposed])
        kernel = function("linear_apply", (_LINEAR, _P, _P, ctypes.c_int, _P))
        pointers = (x.data_ptr(), weight.data_ptr(), int(transposed), out.data_ptr())
        call("linear map", kernel, ctypes.byref(self.map), *pointers)
        return out

    def weights(self, x: Tensor, grad: Tensor) -> Tensor:
        """Return dS/dweight from x (n, dim_in) and grad = dS/dout (n, dim_out)."""
        x, grad = self._like(x, (self.n, self.dims[0])), self._like(grad, (self.n, self.dims[1]))
        out = x.new_empty(self.shape)
        kernel = function("linear_weights", (_LINEAR, _P, _P, _P))
        call("linear map", kernel, ctypes.byref(self.map), *(t.data_ptr() for t in (x, grad, out)))
        return out

    def _like(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        if tensor.dtype != self.dtype or tuple(tensor.shape) != tuple(shape):
            given, expected = f"{tensor.dtype} {tuple(tensor.shape)}", f"{self.dtype} {tuple(shape)}"
            raise ValueError(f"a tensor is {given}; expected {expected}")
        expect_one_device([tensor], "cpu")
        return tensor.contiguous()


class Gating:
    """The gate, see `ops.gate`; raise ValueError for shapes that do not fit."""

    def __init__(self, x: Tensor, blocks: Tensor, dim_out: int, silu: float, tanh: float) -> None:
        expect(
            x.dtype in (torch.float32, torch.float64),
            f"the features are {x.dtype}; expected float32 or float64",
        )
        expect(x.dim() == 2, f"the features have shape {tuple(x.shape)}; expected (n_atoms, columns)")
        expect(blocks.dtype == torch.int64 and blocks.shape[1:] == (6,), "blocks are not (n_blocks, 6) int64")
        self.x, self.out_shape = x.contiguous(), (x.shape[0], dim_out)
        self.blocks = self._on_host(blocks).contiguous()
        sizes = (x.dtype.itemsize, torch.get_num_threads(), *x.shape, dim_out, blocks.shape[0])
        self.plan = GatingStruct(*sizes, self.blocks.data_ptr(), silu, tanh)

    def forward(self) -> Tensor:
        out = self.x.new_empty(self.out_shape)
        self._call("gate", out)
        return out

    def backward(self, grad: Tensor) -> Tensor:
        """Return dS/dx from grad = dS/dout."""
        dx = torch.empty_like(self.x)
        self._call("gate_backward", self._like(grad, self.out_shape), dx)
        return dx

    def double_backward(self, grad: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradients of <change, dS/dx> with respect to grad and x."""
        grad, change = self._like(grad, self.out_shape), self._like(change, self.x.shape)
        dgrad, dx = torch.empty_like(grad), torch.empty_like(self.x)
        self._call("gate_second", grad, change, dgrad, dx)
        return dgrad, dx

    @staticmethod
    def _on_host(blocks: Tensor) -> Tensor:
        expect_one_device([blocks], "cpu")
        return blocks

    def _like(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        fits = tensor.dtype == self.x.dtype and tuple(tensor.shape) == tuple(shape)
        expect(
            fits,
            f"a gradient is {tensor.dtype} {tuple(tensor.shape)}; expected {self.x.dtype} {tuple(shape)}",
        )
        expect_one_device([self.x, tensor])
        return tensor.contiguous()

    def _call(self, name: str, *tensors: Tensor) -> None:
        kernel = function(name, (_GATING, _P, *[_P] * len(tensors)))
        pointers = (self.x.data_ptr(), *(t.data_ptr() for t in tensors))
        call("gate", kernel, ctypes.byref(self.plan), *pointers)
