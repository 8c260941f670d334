"""Properties of crystals and liquids that a potential predicts."""
