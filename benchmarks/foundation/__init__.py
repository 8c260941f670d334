"""Converted SevenNet models beside SevenNet's own calculator."""
