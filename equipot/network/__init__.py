"""The network: layers that map features of one irreps to another. Feature layout: (atom, m, channel)."""
