"""The functions of equipot.h for Python."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equipot.errors import ModelFileError
from equipot.native.library import Sized, function_of

if TYPE_CHECKING:
    from equipot.network.program import Program

_N, _P = ctypes.c_int64, ctypes.c_void_p
_SENTENCE = 256  # bytes

Exchange = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, _N)
Member = ctypes.CFUNCTYPE(ctypes.c_int, _P, _N)


class DescriptionStruct(Sized):
    """The structure `equipot_description` of equipot.h."""

    _fields_ = (
        ("dtype", _N),
        ("n_species", _N),
        ("type_names", ctypes.POINTER(ctypes.c_char_p)),
        ("cutoff", ctypes.c_double),
        ("pair_cutoffs", ctypes.POINTER(ctypes.c_double)),
        ("n_exchanges", _N),
        ("widest_exchange", _N),
        ("n_outputs", _N),
        ("output_names", ctypes.POINTER(ctypes.c_char_p)),
        ("n_members", _N),
        ("n_deviation", _N),
    )


class EvaluationStruct(Sized):
    """The structure `equipot_evaluation` of equipot.h."""

    _fields_ = (
        *((name, _N) for name in ("threads", "n_centres", "n_atoms", "n_edges")),
        *((name, _P) for name in ("species", "centre", "neighbour", "edge_vectors", "positions")),
        ("fill_ghosts", Exchange),
        ("collect_ghosts", Exchange),
        ("caller", _P),
        *((name, _P) for name in ("energies", "edge_gradient", "edge_moments", "outputs", "deviation")),
        ("member", Member),
        ("member_gradient", _P),
    )


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation; float64."""

    energies: NDArray[np.float64]  # (n_atoms,) eV
    edge_gradient: NDArray[np.float64] | None  # (n_edges, 3) eV/Å, dE/dr_ij
    edge_moments: NDArray[np.float64] | None  # (3, n_edges, 3) eV, see equipot.h
    outputs: dict[str, NDArray[np.float64]]  # (n_atoms,) of each further output
    deviation: NDArray[np.float64] | None = None  # (n_deviation,) eV, see equipot.h


class RuntimeModel:
    """A model of the runtime. It may be used by several threads at once.

    Raises:
        ModelFileError: the file or the program cannot be used.
    """

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle
        self._close = function_of("equipot_close", (_P,), None)
        description = DescriptionStruct()
        self._call("describe", (_P, _P), handle, ctypes.byref(description))
        n = description.n_species
        self.dtype = {4: "float32", 8: "float64"}[description.dtype]
        self.type_names = [description.type_names[k].decode() for k in range(n)]
        self.cutoff = float(description.cutoff)
        self.pair_cutoffs = np.ctypeslib.as_array(description.pair_cutoffs, (n, n)).copy()
        self.n_exchanges = int(description.n_exchanges)
        self.outputs = [description.output_names[k].decode() for k in range(description.n_outputs)]
        self.n_members = int(description.n_members)
        self.n_deviation = int(description.n_deviation)

    @classmethod
    def from_file(cls, path: str | Path) -> "RuntimeModel":
        """Read a model file."""
        return cls(_open(str(path), "open", (ctypes.c_char_p,), str(path).encode()))

    @classmethod
    def from_program(cls, program: "Program") -> "RuntimeModel":
        """Make a model of a program."""
        text, data = program.text().encode(), program.data()
        types = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
        return cls(_open("the network", "open_program", types, text, len(text), data, len(data)))

    def evaluate(
        self,
        species: NDArray[np.int64],
        edge_index: NDArray[np.int64],
        edge_vectors: NDArray[np.float64],
        threads: int = 1,
        gradient: bool = True,
        positions: NDArray[np.float64] | None = None,
        deviation: bool = False,
        member: Callable[[int, NDArray[np.float64]], None] | None = None,
    ) -> Evaluation:
        """Return energies and their derivatives.

        Args:
            species: (n_atoms,) index into the type names.
            edge_index: (2, n_edges), row 0 the centre, ascending; row 1 the neighbour.
            edge_vectors: (n_edges, 3) Å, r_ij = r_j - r_i.
            threads: at most; the result does not depend on it.
            gradient: compute dE/dr_ij.
            positions: (n_atoms, 3) Å; compute moments, too.
            deviation: compute the vector whose length is the standard deviation of the energy.
            member: called for each member k of the committee with k and d(E_k - E)/dr_ij, (n_edges, 3) eV/Å, which is
                overwritten afterwards.

        Raises:
            ValueError: shapes, indices or the order of the edges are wrong, or there are no members.
        """
        species = np.ascontiguousarray(species, dtype=np.int64)
        edges = np.asarray(edge_index, dtype=np.int64)
        vectors = np.ascontiguousarray(edge_vectors, dtype=np.float64)
        n_atoms, n_edges = len(species), len(vectors)
        if edges.shape != (2, n_edges) or vectors.shape != (n_edges, 3):
            raise ValueError(f"edge_index and edge_vectors have shapes {edges.shape} and {vectors.shape}")
        if positions is not None:
            positions = np.ascontiguousarray(positions, dtype=np.float64)
            if positions.shape != (n_atoms, 3):
                raise ValueError(f"positions have shape {positions.shape}; expected ({n_atoms}, 3)")
        energies = np.empty(n_atoms)
        differentiates = gradient or positions is not None or member is not None
        edge_gradient = np.empty((n_edges, 3)) if differentiates else None
        moments = None if positions is None else np.empty((3, n_edges, 3))
        centre, neighbour = (np.ascontiguousarray(row) for row in edges)
        outputs = {name: np.empty(n_atoms) for name in self.outputs}
        pointers = (_P * len(outputs))(*map(_address, outputs.values()))
        arrays = (species, centre, neighbour, vectors, positions)
        vector = np.empty(self.n_deviation) if deviation else None
        of_member = None if member is None else np.empty((n_edges, 3))
        raised: list[BaseException] = []

        def call(_caller: int | None, k: int) -> int:
            assert member is not None
            assert of_member is not None
            try:
                member(k, of_member)
            except BaseException as error:  # C cannot pass it on
                raised.append(error)
            return len(raised)

        given = EvaluationStruct(
            threads,
            n_atoms,
            n_atoms,
            n_edges,
            *map(_address, arrays),
            Exchange(),
            Exchange(),
            None,
            *map(_address, (energies, edge_gradient, moments)),
            ctypes.addressof(pointers) if outputs else None,
            _address(vector),
            Member() if member is None else Member(call),
            _address(of_member),
        )
        try:
            self._call("evaluate", (_P, _P), self._handle, ctypes.byref(given))
        except ValueError:
            if raised:
                raise raised[0] from None
            raise
        return Evaluation(energies, edge_gradient, moments, outputs, vector)

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            self._close(handle)

    @staticmethod
    def _call(name: str, types: tuple[Any, ...], *arguments: Any) -> None:
        message = ctypes.create_string_buffer(_SENTENCE)
        call = function_of(f"equipot_{name}", (*types, ctypes.c_char_p, ctypes.c_size_t), ctypes.c_int)
        if call(*arguments, message, _SENTENCE) != 0:
            raise ValueError(message.value.decode())


def _open(what: str, name: str, types: tuple[Any, ...], *arguments: Any) -> int:
    message = ctypes.create_string_buffer(_SENTENCE)
    call = function_of(f"equipot_{name}", (*types, ctypes.c_char_p, ctypes.c_size_t), _P)
    handle = call(*arguments, message, _SENTENCE)
    if not handle:
        raise ModelFileError(f"{what}: {message.value.decode()}")
    return int(handle)


def _address(array: NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data
