"""Labelled sets of structures for training: checks, split, statistics, graphs and batches."""
