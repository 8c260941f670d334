"""Comparison of predictions with labels: errors, tables and plots."""
