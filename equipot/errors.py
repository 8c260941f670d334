"""The errors of equipot. Each has a sentence for the user with the fault, the expected input and the remedy.

The command line prints only this sentence and exits with code 1. In Python, the class tells the kind of the fault.
"""


class EquipotError(Exception):
    """The base class of all errors that the user's input causes."""


class ConfigError(EquipotError):
    """A config key, an option or a value that cannot be used."""


class DataError(EquipotError):
    """A structure, a label or a file of structures that cannot be used."""


class ModelFileError(EquipotError):
    """A model file that is damaged or has another version, or a file that is not a model file."""


class UnknownSpeciesError(EquipotError):
    """A structure with an element that the model does not know."""


class NumericsError(EquipotError):
    """A prediction, position or loss that is not finite, or a calculation that did not converge."""
