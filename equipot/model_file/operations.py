"""The TorchScript operators that a model file may call.

TorchScript has operators that read and write files, and its modules can have a method that runs while they are loaded.
A model needs arithmetic on tensors only. A file that calls anything else is refused before torch opens it.
"""

import ast
import zipfile
from functools import lru_cache

import torch

from equipot.errors import ModelFileError

ALLOWED = frozenset(
    [
        "RaiseException",
        "__contains__",
        "__getitem__",
        "__len__",
        "_set_item",
        "add",
        "add_",
        "addcmul",
        "annotate",
        "any",
        "append",
        "arange",
        "argsort",
        "bincount",
        "bmm",
        "bool",
        "cat",
        "clamp",
        "contiguous",
        "convolve",
        "detach",
        "device",
        "div",
        "dtype",
        "eq",
        "exp",
        "flatten",
        "float",
        "floor",
        "format",
        "gate",
        "ge",
        "gelu",
        "gt",
        "index_add",
        "index_select",
        "int",
        "keys",
        "len",
        "linear",
        "lt",
        "matmul",
        "max",
        "min",
        "mul",
        "narrow",
        "ne",
        "neg",
        "new_zeros",
        "numel",
        "ones_like",
        "pad",
        "pow",
        "range",
        "relu",
        "reshape",
        "rsqrt",
        "searchsorted",
        "select",
        "sigmoid",
        "silu",
        "silu_",
        "size",
        "slice",
        "softplus",
        "sort",
        "split",
        "sqrt",
        "square",
        "squeeze",
        "stack",
        "sub",
        "sum",
        "tanh",
        "to",
        "tolist",
        "topology",
        "transpose",
        "unchecked_cast",
        "uninitialized",
        "unsqueeze",
        "view",
        "zeros",
        "zeros_like",
    ]
)


@lru_cache
def _operators() -> frozenset[str]:
    """Return the base names of all operators that torch has registered."""
    names = (schema.name for schema in torch._C._jit_get_all_schemas())
    return frozenset(name.split("::")[-1] for name in names)


def refuse_foreign_operations(archive: zipfile.ZipFile, where: str) -> None:
    """Raise ModelFileError when the code in a TorchScript archive calls an operator that no model needs."""
    for name in archive.namelist():
        if not name.endswith(".py"):
            continue
        try:
            tree = ast.parse(archive.read(name))
        except (SyntaxError, ValueError):
            raise ModelFileError(
                f"{where}: damaged, as '{name}' in it is not TorchScript; export it again"
            ) from None
        for node in ast.walk(tree):
            used = ""
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                used = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                if used in ALLOWED or used not in _operators():
                    continue
            elif isinstance(node, ast.FunctionDef) and node.name.startswith("__"):
                used = node.name
            if used and used not in ALLOWED:
                raise ModelFileError(f"{where}: its network calls '{used}', which no model needs; refused")
