"""Test errors of equipot and nequip after the same time of training."""
