"""The convolution and its derivatives by the compiled kernels."""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from equipot.native.library import Sized, call, expect, function
from equipot.ops.engine.devices import expect_one_device

_INDICES = ("centre", "neighbour", "rowptr", "transpose_rowptr", "transpose_edges", "paths")


class ConvolutionStruct(Sized):
    """The structure `equipot_convolution` of engine.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("dtype", "threads", "n_in", "n_out", "n_edges")),
        *((name, ctypes.c_void_p) for name in _INDICES[:5]),
        ("n_paths", ctypes.c_int64),
        ("n_coupling", ctypes.c_int64),
        ("paths", ctypes.c_void_p),
        ("coupling", ctypes.c_void_p),
        *(
            (name, ctypes.c_int64)
            for name in ("dim_in", "dim_out", "n_knots", "doubled_knot", "order", "n_weights")
        ),
        ("table", ctypes.c_void_p),
        ("inverse_cutoff", ctypes.c_void_p),
        ("cutoff_per_edge", ctypes.c_int64),
        ("x", ctypes.c_void_p),
        ("edge_vectors", ctypes.c_void_p),
    )


_POINTER = ctypes.POINTER(ConvolutionStruct)


class Convolution:
    """The arguments of a call, checked and in the layout of the kernels; see `ops.convolve` for their shapes.

    constants: graph, paths and coupling, seven tensors.

    Raise ValueError for shapes, types or indices that do not fit together.
    """

    def __init__(
        self,
        x: Tensor,
        vectors: Tensor,
        table: Tensor,
        inverse_cutoff: Tensor,
        constants: Sequence[Tensor],
        doubled_knot: int = 0,
    ) -> None:
        dtype = x.dtype
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"the features are {dtype}; expected float32 or float64")
        reals = [t.contiguous() for t in (x, vectors, table, inverse_cutoff)]
        integers = [t.contiguous() for t in (*constants[:5], self._on_host(constants[5]))]
        coupling = self._on_host(constants[6]).to(torch.float64).contiguous()
        centre, neighbour, rowptr, transpose_rowptr, transpose_edges, paths = integers
        n_edges = vectors.shape[0]
        self.owned = (*reals, *integers, coupling)  # keeps the memory of the pointers below
        for name, tensor in zip(("edge_vectors", "table", "inverse_cutoff"), reals[1:]):
            if tensor.dtype != dtype:
                raise ValueError(f"{name} is {tensor.dtype}; expected {dtype} like the features")
        for name, tensor in zip(_INDICES, integers):
            if tensor.dtype != torch.int64:
                raise ValueError(f"{name} is {tensor.dtype}; expected int64")
        expect_one_device([*reals, *integers[:5]])
        if x.dim() != 2:
            raise ValueError(f"the features have shape {tuple(x.shape)}; expected (n_atoms, columns)")
        expect(vectors.dim() == 2 and vectors.shape[1] == 3, "edge_vectors are not (n_edges, 3)")
        if table.dim() != 3:
            raise ValueError(f"the radial table has shape {tuple(table.shape)}; expected three dimensions")
        expect(paths.dim() == 2 and paths.shape[1] == 8, "paths are not (n_paths, 8)")
        expect(
            inverse_cutoff.numel() in (1, n_edges), "inverse_cutoff is neither one number nor one per edge"
        )
        for name, tensor in zip(_INDICES, (centre, neighbour, transpose_edges)):
            if tensor.numel() != n_edges:
                raise ValueError(f"{name} and edge_vectors differ in length")
        expect(transpose_rowptr.numel() == x.shape[0] + 1, "transpose_rowptr does not fit the features")
        expect(rowptr.numel() > 0, "rowptr is empty")
        self.n_out = rowptr.numel() - 1
        self.dim_out = output_columns(paths)
        self.x, self.vectors, self.table = reals[0], reals[1], reals[2]
        self.problem = ConvolutionStruct(
            dtype.itemsize,
            torch.get_num_threads(),
            x.shape[0],
            self.n_out,
            n_edges,
            *(t.data_ptr() for t in integers[:5]),
            paths.shape[0],
            coupling.numel(),
            paths.data_ptr(),
            coupling.data_ptr(),
            x.shape[1],
            self.dim_out,
            table.shape[0],
            doubled_knot,
            *table.shape[1:],
            reals[2].data_ptr(),
            reals[3].data_ptr(),
            int(inverse_cutoff.numel() != 1),
            reals[0].data_ptr(),
            reals[1].data_ptr(),
        )

    def forward(self) -> Tensor:
        out = self.x.new_empty(self.n_out, self.dim_out)
        self._call("forward", out)
        return out

    def backward(self, grad: Tensor, requests: Sequence[bool]) -> list[Tensor | None]:
        """Return dS/dx, dS/dvectors and dS/dtable from grad = dS/dout; None for those not requested."""
        grad = self._like(grad, (self.n_out, self.dim_out))
        inputs = (self.x, self.vectors, self.table)
        gradients = [torch.empty_like(t) if r else None for t, r in zip(inputs, requests)]
        if any(requests):
            self._call("backward", grad, *gradients)
        return gradients

    def double_backward(
        self, grad: Tensor, ax: Tensor | None, av: Tensor | None, requests: Sequence[bool]
    ) -> list[Tensor | None]:
        """Return derivatives of <ax, dS/dx> + <av, dS/dvectors> by grad, x, vectors, table; None if not requested."""
        grad = self._like(grad, (self.n_out, self.dim_out))
        ax = None if ax is None else self._like(ax, self.x.shape)
        av = None if av is None else self._like(av, self.vectors.shape)
        inputs = (grad, self.x, self.vectors, self.table)
        gradients = [torch.empty_like(t) if r else None for t, r in zip(inputs, requests)]
        if any(requests):
            self._call("second", grad, ax, av, *gradients)
        return gradients

    @staticmethod
    def _on_host(tensor: Tensor) -> Tensor:
        """Return paths or coefficients in host memory, where the library reads them."""
        expect_one_device([tensor], "cpu")
        return tensor

    def _like(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        if tensor.dtype != self.x.dtype or tuple(tensor.shape) != tuple(shape):
            given, expected = f"{tensor.dtype} {tuple(tensor.shape)}", f"{self.x.dtype} {tuple(shape)}"
            raise ValueError(f"a gradient is {given}; expected {expected}")
        expect_one_device([self.x, tensor])
        return tensor.contiguous()

    def _call(self, name: str, *tensors: Tensor | None) -> None:
        kernel = function(name, (_POINTER, *[ctypes.c_void_p] * len(tensors)))
        pointers = [None if t is None else t.data_ptr() for t in tensors]
        call("convolution", kernel, ctypes.byref(self.problem), *pointers)


def output_columns(paths: Tensor) -> int:
    """Return the number of output columns of the paths (n_paths, 8)."""
    return int((paths[:, 3] * (2 * paths[:, 2] + 1)).sum())
