"""The speed of a model file on this machine: time by part, and the share of the processor's peak."""
