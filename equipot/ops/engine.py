"""The compiled kernels (csrc/), called through their C header. Without them the reference operator serves.

The library lies beside this file after installation. The environment variable EQUIPOT_ENGINE switches it off
(`off`) or names another build of it.
"""

import ctypes
import importlib.util
import os
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from equipot.errors import EquipotError

_VERSION = 1  # EQUIPOT_ENGINE_VERSION in engine.h
_INDICES = ("centre", "neighbour", "rowptr", "transpose_rowptr", "transpose_edges", "paths")


class _Problem(ctypes.Structure):
    """`equipot_convolution` of engine.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("dtype", "threads", "n_in", "n_out", "n_edges")),
        *((name, ctypes.c_void_p) for name in _INDICES[:5]),
        ("n_paths", ctypes.c_int64),
        ("n_coupling", ctypes.c_int64),
        ("paths", ctypes.c_void_p),
        ("coupling", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("dim_in", "dim_out", "n_knots", "order", "n_weights")),
        ("table", ctypes.c_void_p),
        ("inverse_cutoff", ctypes.c_void_p),
        ("cutoff_per_edge", ctypes.c_int64),
        ("x", ctypes.c_void_p),
        ("edge_vectors", ctypes.c_void_p),
    ]


class _Map(ctypes.Structure):
    """`equipot_linear` of engine.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("dtype", "threads", "n", "dim_in", "dim_out")),
        ("n_species", ctypes.c_int64),
        ("n_weights", ctypes.c_int64),
        ("species", ctypes.c_void_p),
        ("n_blocks", ctypes.c_int64),
        ("blocks", ctypes.c_void_p),
    ]


class _GatePlan(ctypes.Structure):
    """`equipot_gating` of engine.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("dtype", "threads", "n", "dim_in", "dim_out", "n_blocks")),
        ("blocks", ctypes.c_void_p),
        ("silu", ctypes.c_double),
        ("tanh", ctypes.c_double),
    ]


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The library; None where it is switched off or was not built (then with one warning)."""
    wish = os.environ.get("EQUIPOT_ENGINE", "")
    if wish == "off":
        return None
    if wish:
        file = Path(wish)
    else:
        spec = importlib.util.find_spec("equipot.ops._engine")
        if spec is None or spec.origin is None:
            warnings.warn(
                "equipot was installed without its compiled kernels, so everything works but slowly; "
                "install a C++ compiler (g++ 11 or newer) and equipot again",
                stacklevel=2,
            )
            return None
        file = Path(spec.origin)
    try:
        found = ctypes.CDLL(str(file))
        version = int(found.equipot_engine_version())
    except (OSError, AttributeError) as error:
        raise EquipotError(f"{file}: the compiled kernels cannot be loaded: {error}") from None
    if version != _VERSION:
        raise EquipotError(
            f"{file}: kernels of version {version}, expected {_VERSION}; install equipot again"
        )
    for name, n_pointers in (("forward", 1), ("backward", 4), ("second", 7)):
        function = getattr(found, f"equipot_{name}")
        pointers = [ctypes.c_void_p] * n_pointers
        function.argtypes = [ctypes.POINTER(_Problem), *pointers, ctypes.c_char_p, ctypes.c_size_t]
    p, text = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_size_t)
    found.equipot_linear_apply.argtypes = [ctypes.POINTER(_Map), p, p, ctypes.c_int, p, *text]
    found.equipot_linear_weights.argtypes = [ctypes.POINTER(_Map), p, p, p, *text]
    for name, n_pointers in (("gate", 2), ("gate_backward", 3), ("gate_second", 5)):
        getattr(found, f"equipot_{name}").argtypes = [ctypes.POINTER(_GatePlan), *[p] * n_pointers, *text]
    n = ctypes.c_int64
    found.equipot_topology.argtypes = [n, n, n, p, p, p, p, p, *text]
    found.equipot_collect.argtypes = [n, n, n, p, p, p, p, p, p, p, *text]
    found.equipot_near.argtypes = [n, n, p, p, p, p, p, p, n, p, p, p, *text]
    found.equipot_near.restype = n
    found.equipot_isa.restype = ctypes.c_char_p
    found.equipot_peak_gfma.restype = ctypes.c_double
    found.equipot_peak_gfma.argtypes = [ctypes.c_int64, ctypes.c_int64]
    return found


def available() -> bool:
    """Whether the compiled kernels serve."""
    return library() is not None


def isa() -> str:
    """The instructions in use: avx512, avx2, portable, or none without the library."""
    found = library()
    return "none" if found is None else found.equipot_isa().decode()


def peak_gfma(dtype: torch.dtype, threads: int) -> float:
    """Measured fused multiply-adds per second, in 1e9, of so many threads; EquipotError without the library."""
    return float(_loaded().equipot_peak_gfma(dtype.itemsize, threads))


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Let the process keep the memory it frees, for the next step of the same size.

    Given back after every step, its pages would be cleared and mapped anew each time, which doubles the time of
    a step of a large system. A setting of glibc's malloc; EQUIPOT_KEEP_MEMORY=off leaves it alone.
    """
    if available() and os.environ.get("EQUIPOT_KEEP_MEMORY") != "off":
        _loaded().equipot_keep_memory()


class Convolution:
    """One call's arguments, checked and laid out as the kernels want them; see `ops.convolve` for their shapes.

    Raises ValueError where shapes, types or indices do not fit together.
    """

    def __init__(
        self, x: Tensor, vectors: Tensor, table: Tensor, inverse_cutoff: Tensor, rest: Sequence[Tensor]
    ) -> None:
        dtype = x.dtype
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"the features are {dtype}; expected float32 or float64")
        reals = [t.contiguous() for t in (x, vectors, table, inverse_cutoff)]
        integers = [t.contiguous() for t in rest[:6]]
        coupling = rest[6].to(torch.float64).contiguous()
        centre, neighbour, rowptr, transpose_rowptr, transpose_edges, paths = integers
        n_edges = vectors.shape[0]
        self.kept = (*reals, *integers, coupling)
        for name, tensor in zip(("edge_vectors", "table", "inverse_cutoff"), reals[1:]):
            _expect(tensor.dtype == dtype, f"{name} is {tensor.dtype}; expected {dtype} like the features")
        for name, tensor in zip(_INDICES, integers):
            _expect(tensor.dtype == torch.int64, f"{name} is {tensor.dtype}; expected int64")
        _expect(all(t.device.type == "cpu" for t in self.kept), "a tensor is not on the CPU")
        _expect(x.dim() == 2, f"the features have shape {tuple(x.shape)}; expected (n_atoms, columns)")
        _expect(vectors.dim() == 2 and vectors.shape[1] == 3, "edge_vectors are not (n_edges, 3)")
        _expect(
            table.dim() == 3, f"the radial table has shape {tuple(table.shape)}; expected three dimensions"
        )
        _expect(paths.dim() == 2 and paths.shape[1] == 8, "paths are not (n_paths, 8)")
        _expect(
            inverse_cutoff.numel() in (1, n_edges), "inverse_cutoff is neither one number nor one per edge"
        )
        for name, tensor in zip(_INDICES, (centre, neighbour, transpose_edges)):
            _expect(tensor.numel() == n_edges, f"{name} and edge_vectors differ in length")
        _expect(transpose_rowptr.numel() == x.shape[0] + 1, "transpose_rowptr does not fit the features")
        _expect(rowptr.numel() > 0, "rowptr is empty")
        self.n_out = rowptr.numel() - 1
        self.dim_out = output_columns(paths)
        self.x, self.vectors, self.table = reals[0], reals[1], reals[2]
        self.problem = _Problem(
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
            *table.shape,
            reals[2].data_ptr(),
            reals[3].data_ptr(),
            int(inverse_cutoff.numel() != 1),
            reals[0].data_ptr(),
            reals[1].data_ptr(),
        )

    def forward(self) -> Tensor:
        out = self.x.new_empty(self.n_out, self.dim_out)
        self._call(_loaded().equipot_forward, out)
        return out

    def backward(self, grad: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
        """dS/dx, dS/dvectors, dS/dtable from grad = dS/dout; None where not wanted."""
        grad = self._like(grad, (self.n_out, self.dim_out))
        found = [
            torch.empty_like(t) if w else None for t, w in zip((self.x, self.vectors, self.table), wanted)
        ]
        if any(wanted):
            self._call(_loaded().equipot_backward, grad, *found)
        return found

    def second(
        self, grad: Tensor, ax: Tensor | None, av: Tensor | None, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """Derivatives of <ax, dS/dx> + <av, dS/dvectors> by grad, x, vectors, table; None where not wanted."""
        grad = self._like(grad, (self.n_out, self.dim_out))
        ax = None if ax is None else self._like(ax, self.x.shape)
        av = None if av is None else self._like(av, self.vectors.shape)
        of = (grad, self.x, self.vectors, self.table)
        found = [torch.empty_like(t) if w else None for t, w in zip(of, wanted)]
        if any(wanted):
            self._call(_loaded().equipot_second, grad, ax, av, *found)
        return found

    def _like(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        _expect(
            tensor.dtype == self.x.dtype and tuple(tensor.shape) == tuple(shape),
            f"a gradient is {tensor.dtype} {tuple(tensor.shape)}; expected {self.x.dtype} {tuple(shape)}",
        )
        return tensor.contiguous()

    def _call(self, function: Callable[..., int], *tensors: Tensor | None) -> None:
        _call("convolution", function, self.problem, *(None if t is None else t.data_ptr() for t in tensors))


class LinearMap:
    """Linear maps of blocks of a feature's columns, see `ops.linear`; ValueError where shapes do not fit."""

    def __init__(
        self,
        dtype: torch.dtype,
        n: int,
        dims: tuple[int, int],
        shape: Sequence[int],
        species: Tensor,
        blocks: Tensor,
    ) -> None:
        _expect(
            dtype in (torch.float32, torch.float64), f"the features are {dtype}; expected float32 or float64"
        )
        _expect(
            blocks.dtype == torch.int64 and blocks.shape[1:] == (6,), "blocks are not (n_blocks, 6) int64"
        )
        by_species = shape[0] > 1
        if by_species:
            fits = species.dtype == torch.int64 and species.shape == (n,)
            _expect(fits, f"species are {species.dtype} {tuple(species.shape)}; expected int64 ({n},)")
        self.n, self.dims, self.shape, self.dtype = n, dims, tuple(shape), dtype
        self.kept = (species.contiguous(), blocks.contiguous())
        self.map = _Map(
            dtype.itemsize,
            torch.get_num_threads(),
            n,
            *dims,
            *shape,
            self.kept[0].data_ptr() if by_species else None,
            blocks.shape[0],
            self.kept[1].data_ptr(),
        )

    def apply(self, x: Tensor, weight: Tensor, transposed: bool) -> Tensor:
        """(n, dim_in) to (n, dim_out); transposed: the other way, with the transposed matrices."""
        x, weight = self._like(x, (self.n, self.dims[transposed])), self._like(weight, self.shape)
        out = x.new_empty(self.n, self.dims[not transposed])
        pointers = (x.data_ptr(), weight.data_ptr(), int(transposed), out.data_ptr())
        _call("linear map", _loaded().equipot_linear_apply, self.map, *pointers)
        return out

    def weights(self, x: Tensor, grad: Tensor) -> Tensor:
        """dS/dweight from x (n, dim_in) and grad = dS/dout (n, dim_out)."""
        x, grad = self._like(x, (self.n, self.dims[0])), self._like(grad, (self.n, self.dims[1]))
        out = x.new_empty(self.shape)
        pointers = (x.data_ptr(), grad.data_ptr(), out.data_ptr())
        _call("linear map", _loaded().equipot_linear_weights, self.map, *pointers)
        return out

    def _like(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        fits = tensor.dtype == self.dtype and tuple(tensor.shape) == tuple(shape)
        _expect(
            fits, f"a tensor is {tensor.dtype} {tuple(tensor.shape)}; expected {self.dtype} {tuple(shape)}"
        )
        return tensor.contiguous()


class Gating:
    """The gate nonlinearity, see `ops.gate`; ValueError where shapes do not fit."""

    def __init__(self, x: Tensor, blocks: Tensor, dim_out: int, silu: float, tanh: float) -> None:
        _expect(
            x.dtype in (torch.float32, torch.float64),
            f"the features are {x.dtype}; expected float32 or float64",
        )
        _expect(x.dim() == 2, f"the features have shape {tuple(x.shape)}; expected (n_atoms, columns)")
        _expect(
            blocks.dtype == torch.int64 and blocks.shape[1:] == (6,), "blocks are not (n_blocks, 6) int64"
        )
        self.x, self.blocks, self.out_shape = x.contiguous(), blocks.contiguous(), (x.shape[0], dim_out)
        sizes = (x.dtype.itemsize, torch.get_num_threads(), *x.shape, dim_out, blocks.shape[0])
        self.plan = _GatePlan(*sizes, self.blocks.data_ptr(), silu, tanh)

    def forward(self) -> Tensor:
        out = self.x.new_empty(self.out_shape)
        self._call(_loaded().equipot_gate, out)
        return out

    def backward(self, grad: Tensor) -> Tensor:
        """dS/dx from grad = dS/dout."""
        dx = torch.empty_like(self.x)
        self._call(_loaded().equipot_gate_backward, self._like(grad, self.out_shape), dx)
        return dx

    def second(self, grad: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of <change, dS/dx> with respect to grad and x."""
        grad, change = self._like(grad, self.out_shape), self._like(change, self.x.shape)
        dgrad, dx = torch.empty_like(grad), torch.empty_like(self.x)
        self._call(_loaded().equipot_gate_second, grad, change, dgrad, dx)
        return dgrad, dx

    def _like(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        fits = tensor.dtype == self.x.dtype and tuple(tensor.shape) == tuple(shape)
        _expect(
            fits,
            f"a gradient is {tensor.dtype} {tuple(tensor.shape)}; expected {self.x.dtype} {tuple(shape)}",
        )
        return tensor.contiguous()

    def _call(self, function: Callable[..., int], *tensors: Tensor) -> None:
        _call("gate", function, self.plan, self.x.data_ptr(), *(t.data_ptr() for t in tensors))


def topology(edge_index: Tensor, n_centres: int, n_atoms: int) -> tuple[Tensor, Tensor, Tensor]:
    """rowptr, transpose_rowptr, transpose_edges of `ops.topology.Topology`; RuntimeError for a wrong graph."""
    fits = edge_index.dtype == torch.int64 and edge_index.dim() == 2 and edge_index.shape[0] == 2
    _expect(fits, f"edge_index is {edge_index.dtype} {tuple(edge_index.shape)}; expected int64 (2, n_edges)")
    edges = edge_index.contiguous()
    n_edges = edges.shape[1]
    sizes = (n_centres + 1, n_atoms + 1, n_edges)
    found = tuple(torch.empty(size, dtype=torch.int64) for size in sizes)
    start = edges.data_ptr()
    message = ctypes.create_string_buffer(256)
    pointers = (start, start + 8 * n_edges, *(t.data_ptr() for t in found))
    if _loaded().equipot_topology(n_edges, n_centres, n_atoms, *pointers, message, 256) != 0:
        raise RuntimeError(message.value.decode())
    return found  # type: ignore[return-value]


def near(
    positions: Tensor, edge_index: Tensor, shifts: Tensor, cell: Tensor, limit_squared: Tensor
) -> tuple[Tensor, Tensor]:
    """The edges with |r_ij|² < limit_squared, and r_ij = r_j - r_i + shifts · cell.

    positions (n_atoms, 3), shifts (n_edges, 3), cell (3, 3), limit_squared (1,) or (n_edges,): float64.
    """
    kept = [t.contiguous() for t in (edge_index, positions, shifts, cell, limit_squared)]
    n_edges, n_atoms = edge_index.shape[1], positions.shape[0]
    _expect(kept[0].dtype == torch.int64, f"edge_index is {kept[0].dtype}; expected int64")
    _expect(
        all(t.dtype == torch.float64 for t in kept[1:]), "positions, shifts, cell or limits are not float64"
    )
    shapes = [tuple(t.shape) for t in kept[1:4]]
    _expect(
        shapes == [(n_atoms, 3), (n_edges, 3), (3, 3)], f"positions, shifts and cell have shapes {shapes}"
    )
    _expect(kept[4].numel() in (1, n_edges), "limits are neither one number nor one per edge")
    centre, neighbour = torch.empty(2, n_edges, dtype=torch.int64)
    vectors = torch.empty(n_edges, 3, dtype=torch.float64)
    edges, *reals = (t.data_ptr() for t in kept)
    arguments = (reals[0], edges, edges + 8 * n_edges, *reals[1:], int(kept[4].numel() != 1))
    message = ctypes.create_string_buffer(256)
    out = (centre.data_ptr(), neighbour.data_ptr(), vectors.data_ptr())
    found = _loaded().equipot_near(n_edges, n_atoms, *arguments, *out, message, 256)
    if found < 0:
        raise ValueError(message.value.decode())
    return torch.stack([centre[:found], neighbour[:found]]), vectors[:found]


def collect(
    edge_gradient: Tensor, edge_vectors: Tensor, edge_index: Tensor, graph_of_atom: Tensor, n_graphs: int
) -> tuple[Tensor, Tensor]:
    """Forces (n_atoms, 3) and symmetric virials (n_graphs, 3, 3) from dE/dr_ij; float64, see `derivatives`."""
    kept = [t.contiguous() for t in (edge_index, graph_of_atom, edge_vectors, edge_gradient)]
    n_edges, n_atoms = edge_index.shape[1], graph_of_atom.shape[0]
    _expect(all(t.dtype == torch.int64 for t in kept[:2]), "indices are not int64")
    _expect(all(t.dtype == torch.float64 for t in kept[2:]), "edge vectors or gradients are not float64")
    _expect(all(t.shape == (n_edges, 3) for t in kept[2:]), "edge vectors or gradients are not (n_edges, 3)")
    forces = torch.empty(n_atoms, 3, dtype=torch.float64)
    virial = torch.empty(n_graphs, 3, 3, dtype=torch.float64)
    start = kept[0].data_ptr()
    pointers = (start, start + 8 * n_edges, *(t.data_ptr() for t in (*kept[1:], forces, virial)))
    message = ctypes.create_string_buffer(256)
    if _loaded().equipot_collect(n_edges, n_atoms, n_graphs, *pointers, message, 256) != 0:
        raise ValueError(message.value.decode())
    return forces, virial


def _call(
    what: str, function: Callable[..., int], arguments: ctypes.Structure, *pointers: int | None
) -> None:
    message = ctypes.create_string_buffer(256)
    if function(ctypes.byref(arguments), *pointers, message, 256) != 0:
        raise ValueError(f"{what}: {message.value.decode()}")


def output_columns(paths: Tensor) -> int:
    """Columns that the paths (n_paths, 8) write."""
    return int((paths[:, 3] * (2 * paths[:, 2] + 1)).sum())


def _expect(good: bool, sentence: str) -> None:
    if not good:
        raise ValueError(sentence)


def _loaded() -> ctypes.CDLL:
    found = library()
    if found is None:
        raise EquipotError("the compiled kernels are switched off or not installed")
    return found
