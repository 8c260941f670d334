"""NequIP's models (nequip 0.7 to 0.19): Lightning checkpoints and packages, read without nequip.

Nothing in either is run: see `pickles` and `nequip_inert`.
"""

from pathlib import Path

from equipot.convert import nequip_checkpoint, nequip_package
from equipot.convert.nequip_weights import potential
from equipot.convert.pickles import read_checkpoint
from equipot.errors import ModelFileError
from equipot.network.potential import Potential


def is_nequip(path: Path) -> bool:
    """Whether a file is a checkpoint or a package of nequip, by what it holds."""
    if nequip_package.is_package(path) or nequip_package.is_compiled(path):
        return True
    try:
        return nequip_checkpoint.is_checkpoint(read_checkpoint(path))
    except ModelFileError:
        return False


def read_nequip(path: Path) -> Potential:
    """A float64 potential with a model's weights, of a checkpoint those that nequip evaluates.

    Its radial splines are provisional. Energies eV, lengths Å, as the model was trained.

    Raises:
        ModelFileError: the file is damaged, asks for code to be run, or is of a network that equipot does
            not have.
    """
    if nequip_package.is_compiled(path):
        raise ModelFileError(
            f"{path}: a compiled model, which no longer says what it is made of; give the checkpoint or the "
            "package that it was compiled from"
        )
    package = nequip_package.is_package(path)
    found = {} if package else read_checkpoint(path)
    try:
        if package:
            description, state = nequip_package.read_package(path)
        elif nequip_checkpoint.is_checkpoint(found):
            description, state = nequip_checkpoint.read(found)
        else:
            raise ModelFileError("neither a checkpoint nor a package of nequip")
        return potential(description, state)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path}: not as nequip 0.7 to 0.19 writes it ({type(error).__name__}: {str(error)[:100]})"
        ) from None
