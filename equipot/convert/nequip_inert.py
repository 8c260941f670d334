"""Unpickling without running code: every class and function becomes a record of its arguments.

A pickle names classes and functions and asks the reader to call them. This reader replaces each name by an empty class
and each call by an instance that stores its arguments and its state. So a whole network can be read as a tree of plain
values. Names outside the packages of which networks consist are refused.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

from equipot.errors import ModelFileError

# Top-level packages whose classes and functions a pickle may name; none of their code is run.
_RECORDED = ("torch", "nequip", "e3nn", "numpy")
_PLAIN: dict[tuple[str, str], type] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "slice"): slice,
    ("builtins", "complex"): complex,
}


class Record:
    """A record of an object. A class or function that is named but not called is the class `Record` itself."""

    __slots__ = ("arguments", "state")
    name = ""  # with module, e.g. torch._utils._rebuild_tensor_v2

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> "Record":
        record = object.__new__(cls)
        record.arguments, record.state = arguments, None
        return record

    def __init__(self, *arguments: Any) -> None:
        """Do nothing: `__new__` stores the arguments, as a pickle may create objects without `__init__`."""

    def __setstate__(self, state: Any) -> None:
        self.state = state


# The unpickler in Python: the one in C allocates as much memory as a damaged pickle claims to need.
class _Reader(pickle._Unpickler):
    def __init__(self, file: IO[bytes], storage: Callable[[Any], Any], extensions: tuple[str, ...]) -> None:
        super().__init__(file)
        self.storage, self.recorded = storage, (*_RECORDED, *extensions)
        self.classes: dict[str, type[Record]] = {}

    def find_class(self, module: str, name: str) -> Any:
        module = "builtins" if module == "__builtin__" else module  # its name in old protocols
        if (module, name) in _PLAIN:
            return _PLAIN[module, name]
        if (module, name) == ("builtins", "getattr"):
            return self._attribute
        full = f"{module}.{name}"
        if module.split(".")[0] not in self.recorded:
            raise ModelFileError(
                f"refused, because it asks to load {full}; expected modules of torch, e3nn and nequip, "
                "tensors and plain values"
            )
        return self._named(full)

    def _named(self, full: str) -> type[Record]:
        if full not in self.classes:
            self.classes[full] = type("Record", (Record,), {"name": full, "__slots__": ()})
        return self.classes[full]

    def _attribute(self, owner: Any, name: Any) -> type[Record]:
        """Return the record of a function that is named by its class or module; nothing is looked up."""
        if not (isinstance(owner, type) and issubclass(owner, Record) and isinstance(name, str)):
            raise ModelFileError(
                f"refused, because it asks for an attribute of {type(owner).__name__}; expected functions of torch, "
                "e3nn and nequip, tensors and plain values"
            )
        return self._named(f"{owner.name}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return self.storage(pid)


def load(file: IO[bytes], storage: Callable[[Any], Any], extensions: tuple[str, ...] = ()) -> Any:
    """Return the content of a pickle, with a `Record` for each object that is not a plain value.

    Args:
        file: the pickle.
        storage: the function that replaces a persistent id.
        extensions: further packages whose names may be recorded.

    Raise ModelFileError if the pickle names another package or is damaged.
    """
    try:
        return _Reader(file, storage, extensions).load()
    except ModelFileError:
        raise
    # A damaged or hostile pickle can raise almost any error; none of them is a fault of this program.
    except Exception as error:
        raise ModelFileError(
            f"a pickle in it is damaged ({type(error).__name__}: {str(error)[:100]}); copy it again"
        ) from None
