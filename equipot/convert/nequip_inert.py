"""Unpickling without running anything: every class and function becomes a record of what it was given.

A pickle names classes and functions and asks for them to be called. Here a name gives an empty class of ours,
a call gives an instance that keeps its arguments, and state is kept beside them, so a whole network can be read
as a tree of plain values. Names outside the packages that networks are made of are refused.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

from equipot.errors import ModelFileError

# Beginnings of module names whose classes and functions may be named: none of their code is run.
_RECORDED = ("torch", "nequip", "e3nn", "numpy")
_PLAIN: dict[tuple[str, str], type] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "slice"): slice,
    ("builtins", "complex"): complex,
}


class Record:
    """An object, or a class or function that was named and not called: then the class itself."""

    __slots__ = ("arguments", "state")
    name = ""  # with module, e.g. torch._utils._rebuild_tensor_v2

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> "Record":
        record = object.__new__(cls)
        record.arguments, record.state = arguments, None
        return record

    def __init__(self, *arguments: Any) -> None:
        """Arguments are kept by `__new__`, which is all that some objects are made by."""

    def __setstate__(self, state: Any) -> None:
        self.state = state


# The one written in Python, because the other allocates as much memory as a damaged pickle says.
class _Reader(pickle._Unpickler):
    def __init__(self, file: IO[bytes], storage: Callable[[Any], Any], extensions: tuple[str, ...]) -> None:
        super().__init__(file)
        self.storage, self.recorded = storage, (*_RECORDED, *extensions)
        self.made: dict[str, type[Record]] = {}

    def find_class(self, module: str, name: str) -> Any:
        module = "builtins" if module == "__builtin__" else module  # as old protocols call it
        if (module, name) in _PLAIN:
            return _PLAIN[module, name]
        if (module, name) == ("builtins", "getattr"):
            return self._attribute
        full = f"{module}.{name}"
        if module.split(".")[0] not in self.recorded:
            raise ModelFileError(
                f"refused, because it asks for {full} to be loaded; expected modules of torch, e3nn and nequip, "
                "tensors and plain values"
            )
        return self._named(full)

    def _named(self, full: str) -> type[Record]:
        if full not in self.made:
            self.made[full] = type("Record", (Record,), {"name": full, "__slots__": ()})
        return self.made[full]

    def _attribute(self, owner: Any, name: Any) -> type[Record]:
        """A function that is named by the class it belongs to, as torch.tanh is; nothing is looked up."""
        if not (isinstance(owner, type) and issubclass(owner, Record) and isinstance(name, str)):
            raise ModelFileError(
                f"refused, because it asks for an attribute of {type(owner).__name__}; expected functions of torch, "
                "e3nn and nequip, tensors and plain values"
            )
        return self._named(f"{owner.name}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return self.storage(pid)


def load(file: IO[bytes], storage: Callable[[Any], Any], extensions: tuple[str, ...] = ()) -> Any:
    """What a pickle holds, with a `Record` for every object that is not a plain value.

    Args:
        storage: from a persistent id to what stands in its place.
        extensions: further packages whose names may be recorded.

    Raises ModelFileError when another package is named, or the pickle is damaged.
    """
    try:
        return _Reader(file, storage, extensions).load()
    except ModelFileError:
        raise
    # A damaged or hostile pickle can end in almost any error; none of it is a fault of this program.
    except Exception as error:
        raise ModelFileError(
            f"a pickle in it is damaged ({type(error).__name__}: {str(error)[:100]}); copy it again"
        ) from None
