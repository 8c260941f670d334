"""Test error against the number of training frames."""
