"""Phonons and elastic constants of universal models beside published values, and the time of a step."""
