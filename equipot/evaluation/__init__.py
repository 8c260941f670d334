"""Predictions beside labels: errors, tables, plots."""
