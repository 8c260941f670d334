"""Layers from irreps to irreps; each states the irreps it takes and gives. Layout (atom, m, channel)."""
