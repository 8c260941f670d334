"""The runtime gives torch's numbers for a converted model of each family; its oracle's own are in tests/convert."""

import numpy as np
import pytest

from equipot.convert.nequip import read_nequip
from equipot.convert.nequix import read_nequix
from equipot.network.derivatives import predict
from equipot.runtime import RuntimeModel
from tests.convert.test_golden import NEQUIP, NEQUIX, SEVENNET, sevennet_of
from tests.models import model_input, random_atoms


def potential_of(file):
    readers = {".nqx": read_nequix, ".npz": sevennet_of}
    return readers.get(file.suffix, read_nequip)(file)


@pytest.mark.parametrize("file", [*SEVENNET, *NEQUIP, *NEQUIX], ids=lambda file: file.name)
def test_a_converted_model_has_the_numbers_that_it_has_with_torch(file):
    potential = potential_of(file).double()
    atoms = random_atoms(7, seed=4, species=tuple(potential.type_names[:3]))
    inputs = model_input(potential, atoms)
    result = RuntimeModel.from_program(potential.program()).evaluate(*(t.numpy() for t in inputs[:3]))
    expected = predict(potential, inputs)
    tolerance = 1e-12 if potential.spec.dtype == "float64" else 1e-5
    for a, b in ((expected.atomic_energies, result.energies), (expected.edge_gradient, result.edge_gradient)):
        np.testing.assert_allclose(b, a.numpy(), rtol=0, atol=tolerance * max(1.0, float(a.abs().max())))
