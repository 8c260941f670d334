"""Kernels of a step on a GPU beside what the GPU can do."""
