"""Relaxation and molecular dynamics."""
