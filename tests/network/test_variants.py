"""Leaving elements out changes nothing for those that stay."""

import pytest
import torch

from equipot.errors import ConfigError
from equipot.network.derivatives import predict
from equipot.network.variants import with_elements
from tests.models import KINDS, make_potential, model_input, random_atoms


@pytest.mark.parametrize("kept", [("Si", "O", "Al"), ("O", "Si"), ("O",)])
@pytest.mark.parametrize("kind", ["natural", "extras", "foreign"])
def test_the_numbers_of_the_elements_that_stay_are_the_same(kind, kept):
    whole = make_potential(seed=2, species=("Si", "Al", "O"), **KINDS[kind])
    part = with_elements(whole, kept)
    assert part.type_names == list(kept)
    atoms = random_atoms(7, seed=1, species=kept)
    a, b = (predict(p, model_input(p, atoms, whole.cutoff)) for p in (whole, part))
    torch.testing.assert_close(a.atomic_energies, b.atomic_energies, atol=1e-13, rtol=0)
    torch.testing.assert_close(a.forces, b.forces, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["Si", "H"], "does not know H; it knows Si, O"),
        (["Si", "Si"], "expected each once"),
        ([], "none were given"),
    ],
)
def test_elements_it_cannot_keep_are_one_sentence(names, sentence):
    with pytest.raises(ConfigError, match=sentence):
        with_elements(make_potential(), names)
