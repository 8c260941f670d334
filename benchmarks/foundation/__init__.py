"""Converted models beside the calculators of their own packages."""
