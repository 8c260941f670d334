"""One thread: test structures are small, and two OpenMP programs on one machine starve each other."""

import os

import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start
torch.set_num_threads(1)
