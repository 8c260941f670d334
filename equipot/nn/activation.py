"""Activations scaled to unit second moment for standard normal input, as e3nn's `normalize2mom`."""

import torch
from e3nn.math import normalize2mom

SILU = float(normalize2mom(torch.nn.functional.silu).cst)
TANH = float(normalize2mom(torch.tanh).cst)
