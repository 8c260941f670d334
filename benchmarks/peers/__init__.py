"""Processes that run equipot and its peers for `speed.py`, one environment each."""
