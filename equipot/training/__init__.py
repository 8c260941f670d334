"""The training of a potential: loss, metrics, Lightning module, callbacks, and the run from config to model file."""
