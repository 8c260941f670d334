"""The program of a network: the list of its operators, with their constants, as plain records.

The runtime (`equipot/runtime`) reads it and runs the operators forwards and backwards. Each module of a network adds
its own operators, so the architecture is described once, by the modules.

Operators work on values: arrays with a row for each atom and a fixed number of columns. An operator has a kind, the
names of the values it reads and writes, and constants. `equipot/runtime/operators.cpp` has the kinds.
"""

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

VERSION = 1
ALIGNMENT = 64  # bytes, of each array


class Program:
    """A program under construction.

    Args:
        dtype: of values and of constants that are multiplied with them.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.header: dict[str, Any] = {"version": VERSION, "dtype": str(dtype).removeprefix("torch.")}
        self.columns: list[int] = []  # of each value
        self.operators: list[dict[str, Any]] = []
        self._arrays: list[dict[str, Any]] = []
        self._data = bytearray()

    def value(self, columns: int) -> int:
        """Return the number of a new value."""
        self.columns.append(int(columns))
        return len(self.columns) - 1

    def real(self, tensor: Tensor) -> int:
        """Store a tensor in the dtype of the values; return the number of the array."""
        return self._store(tensor.detach().cpu().to(self.dtype))

    def double(self, tensor: Tensor) -> int:
        """Store a tensor as float64; return the number of the array."""
        return self._store(tensor.detach().cpu().to(torch.float64))

    def integers(self, tensor: Tensor) -> int:
        """Store a tensor as int64; return the number of the array."""
        return self._store(tensor.detach().cpu().to(torch.int64))

    def add(self, kind: str, **fields: Any) -> None:
        """Add an operator."""
        self.operators.append({"kind": kind, **fields})

    def text(self) -> str:
        """Return everything but the content of the arrays as JSON."""
        return json.dumps(
            {**self.header, "columns": self.columns, "arrays": self._arrays, "operators": self.operators}
        )

    def data(self) -> bytes:
        """Return the content of the arrays, little-endian, one after the other."""
        return bytes(self._data)

    def _store(self, tensor: Tensor) -> int:
        array = np.ascontiguousarray(tensor.numpy())
        self._data += bytes(-len(self._data) % ALIGNMENT)
        entry = {"dtype": array.dtype.name, "shape": list(array.shape), "offset": len(self._data)}
        self._arrays.append(entry)
        self._data += array.astype(array.dtype.newbyteorder("<")).tobytes()
        return len(self._arrays) - 1
