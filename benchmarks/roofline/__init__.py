"""What the kernels of a step must move and multiply, and what a GPU can, for `gpu_roofline.py`."""
