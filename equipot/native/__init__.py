"""The compiled library (`ops/csrc` and `runtime`): its loading, and its functions of numpy arrays."""

from equipot.native.edges import collect, near, search
from equipot.native.library import available, isa, keep_memory, peak_gfma, threads

__all__ = ["available", "collect", "isa", "keep_memory", "near", "peak_gfma", "search", "threads"]
