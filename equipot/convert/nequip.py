"""Models of NequIP (nequip 0.7 to 0.19): Lightning checkpoints and packages, read without nequip.

No code in them is run: see `pickles` and `nequip_inert`.
"""

from pathlib import Path

from equipot.convert import nequip_checkpoint, nequip_package
from equipot.convert.nequip_weights import potential
from equipot.convert.pickles import read_checkpoint
from equipot.errors import ModelFileError
from equipot.network.potential import Potential


def is_nequip(path: Path) -> bool:
    """Return whether the content of a file is a checkpoint or a package of nequip."""
    if nequip_package.is_package(path) or nequip_package.is_compiled(path):
        return True
    try:
        return nequip_checkpoint.is_checkpoint(read_checkpoint(path))
    except ModelFileError:
        return False


def read_nequip(path: Path) -> Potential:
    """Return a float64 potential with the weights of a model, for a checkpoint the weights that nequip evaluates.

    Its radial splines are provisional. Energies are in eV and lengths in Å, as in the training of the model.

    Raises:
        ModelFileError: the file is damaged, asks to run code, or holds a network that equipot does not have.
    """
    if nequip_package.is_compiled(path):
        raise ModelFileError(
            f"{path}: a compiled model, which does not contain its architecture; give the checkpoint or the "
            "package from which it was compiled"
        )
    package = nequip_package.is_package(path)
    checkpoint = {} if package else read_checkpoint(path)
    try:
        if package:
            description, state = nequip_package.read_package(path)
        elif nequip_checkpoint.is_checkpoint(checkpoint):
            description, state = nequip_checkpoint.read(checkpoint)
        else:
            raise ModelFileError("neither a checkpoint nor a package of nequip")
        return potential(description, state)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path}: not as nequip 0.7 to 0.19 writes it ({type(error).__name__}: {str(error)[:100]})"
        ) from None
