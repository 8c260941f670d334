"""Leaving elements out changes nothing for those that stay."""

import pytest
import torch
from torch import nn

from equipot.config import InitConfig
from equipot.errors import ConfigError
from equipot.network import variants
from equipot.network.derivatives import predict
from equipot.network.layer import Layer, freezable, layers_of
from equipot.network.potential import Potential
from equipot.network.variants import with_elements
from equipot.training.optimizer import MuonAdamW
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
        (["Si", "Si"], "expected at least one, each once"),
        ([], "the elements are none"),
    ],
)
def test_elements_it_cannot_keep_are_one_sentence(names, sentence):
    with pytest.raises(ConfigError, match=sentence):
        with_elements(make_potential(), names)


class PerSpeciesBias(Layer):
    """A layer with a tensor by species that nothing else knows of."""

    part = "readout"

    def __init__(self, n_species: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.arange(1.0, 1.0 + n_species, dtype=torch.float64))

    def matrices(self):
        return {}


class WithBias(Potential):
    def __init__(self, spec, seed=0):
        super().__init__(spec, seed)
        self.bias = PerSpeciesBias(len(spec.type_names))

    def forward(self, inputs):
        outputs = super().forward(inputs)
        return {"energies": outputs["energies"] + self.bias.shift[inputs.species]}


def test_a_new_tensor_by_species_is_found_without_being_listed(monkeypatch):
    whole = WithBias(make_potential().spec)
    monkeypatch.setattr(variants, "Potential", WithBias)
    atoms = random_atoms(5)
    swapped = with_elements(whole, ["O", "Si"])
    assert swapped.bias.shift.tolist() == [2.0, 1.0]
    a, b = (predict(p, model_input(p, atoms)) for p in (whole, swapped))
    torch.testing.assert_close(a.atomic_energies, b.atomic_energies, atol=1e-13, rtol=0)


def test_a_parameter_outside_of_the_stated_layers_is_an_error():
    potential = make_potential()
    potential.extra = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"extra\.weight, extra\.bias: the module must be a Layer"):
        list(layers_of(potential))
    with pytest.raises(TypeError, match=r"extra\.weight"):
        MuonAdamW(potential, lr=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_belongs_to_one_part_that_can_be_frozen(kind):
    potential = make_potential(**KINDS[kind])
    kinds = {k: v for k, v in freezable(potential).items() if not k.startswith("layers.")}
    counted = sorted(id(p) for parameters in kinds.values() for p in parameters)
    assert counted == sorted(id(p) for p in potential.parameters())


def test_the_manual_of_freeze_names_every_part():
    parts = {part for kind in KINDS.values() for part in freezable(make_potential(**kind))}
    manual = InitConfig.model_fields["freeze"].description
    assert all(part in manual for part in parts if not part.startswith("layers."))
