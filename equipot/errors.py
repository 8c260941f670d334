"""Errors that carry one sentence for the user: what was found, what was expected, what to do.

The command line prints the sentence alone and exits with 1; in Python the class says which room raised it.
"""


class EquipotError(Exception):
    """Base of all errors caused by what the user gave to equipot."""


class ConfigError(EquipotError):
    """A configuration key or value that cannot be used."""


class DataError(EquipotError):
    """A labelled structure, or a file of them, that cannot be used."""


class ModelFileError(EquipotError):
    """A model file that is damaged, of another version, or not a model file."""


class UnknownSpeciesError(EquipotError):
    """A structure holds an element that the model was not built for."""


class NumericsError(EquipotError):
    """A prediction or a loss is not finite."""
