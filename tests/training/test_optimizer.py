"""The optimizer against one matrix at a time, the singular value decomposition, and torch's Muon and AdamW."""

import copy
import math

import pytest
import torch

from equipot.training.optimizer import COEFFICIENTS, STEPS, MuonAdamW, matrix_views, orthogonalize
from tests.models import KINDS, make_potential

REST_OF = ("embedding", "read", "layers.0.bias", "layers.1.bias")


@pytest.fixture(params=["gaps", "foreign", "norms"])
def potential(request):
    return make_potential(3, ("Cu", "Ni", "Al"), **KINDS[request.param])


def gradients(potential, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for p in potential.parameters():
        p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)


def moved(potential, **options):
    """(before, after) of one step with gradients of our own."""
    before = copy.deepcopy(potential)
    gradients(potential)
    MuonAdamW(potential, **options).step()
    return dict(before.named_parameters()), dict(potential.named_parameters())


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (8, 64), (48, 48)])
def test_orthogonalised_matrices_keep_their_singular_vectors_and_get_singular_values_near_one(shape):
    x = torch.randn(5, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    values = u.mT @ orthogonalize(x) @ vh.mT  # diagonal where the singular vectors are the same
    diagonal = values.diagonal(dim1=1, dim2=2)
    assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-9
    well = torch.linalg.svdvals(x) > 0.1 * x.norm(dim=(1, 2))[:, None]
    assert diagonal[well].min() > 0.5
    assert diagonal.max() < 1.3


def test_zeros_stay_zeros():
    assert torch.equal(orthogonalize(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


def test_matrices_cover_all_but_embedding_and_readout(potential):
    cuts = matrix_views(potential)
    for name, parameter in potential.named_parameters():
        if name.startswith(REST_OF):
            assert name not in cuts
        else:
            assert sum(cut(parameter).numel() for cut in cuts[name]) == parameter.numel()


def test_every_matrix_moves_by_the_rate_along_its_own_orthogonalised_gradient(potential):
    before, after = moved(potential, lr=0.1)
    for name, cuts in matrix_views(potential).items():
        for cut in cuts:
            change = cut(after[name].detach()) - cut(before[name].detach())
            for one, gradient in zip(change, cut(after[name].grad)):
                wide = gradient.T if gradient.shape[0] > gradient.shape[1] else gradient
                direction = orthogonalize(wide[None])[0]
                direction = direction.T if gradient.shape[0] > gradient.shape[1] else direction
                expected = -0.1 * math.sqrt(max(1, one.shape[1] / one.shape[0])) * direction
                torch.testing.assert_close(one, expected, rtol=1e-3, atol=1e-5)


def test_matrices_move_over_many_steps_as_with_muon_of_torch(potential, monkeypatch):
    # Torch rounds to bfloat16 before it orthogonalises; without that, what is left is rounding of float64.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    potential = potential.double()
    cuts = matrix_views(potential)
    initial = dict(copy.deepcopy(potential).named_parameters())
    # Torch's matrices are (n_out, n_in).
    places = [(name, cut, k) for name in cuts for cut in cuts[name] for k in range(len(cut(initial[name])))]
    theirs = [torch.nn.Parameter(cut(initial[name])[k].detach().mT.clone()) for name, cut, k in places]
    options = {"lr": 0.1, "weight_decay": 0.2, "momentum": 0.8}
    muon = torch.optim.Muon(theirs, nesterov=True, ns_coefficients=COEFFICIENTS, ns_steps=STEPS, **options)
    ours = MuonAdamW(potential, **options)
    parameters = dict(potential.named_parameters())
    for step in range(4):
        gradients(potential, step)
        for matrix, (name, cut, k) in zip(theirs, places):
            matrix.grad = cut(parameters[name].grad)[k].mT.clone()
        ours.step(), muon.step()
    assert theirs
    for matrix, (name, cut, k) in zip(theirs, places):
        torch.testing.assert_close(cut(parameters[name])[k].mT, matrix, rtol=1e-9, atol=1e-11)


def test_embedding_and_readout_move_as_with_adamw(potential):
    reference = copy.deepcopy(potential)
    rest = [p for n, p in reference.named_parameters() if n.startswith(REST_OF)]
    ours, theirs = MuonAdamW(potential, lr=0.1), torch.optim.AdamW(rest, lr=0.1, weight_decay=0.0)
    for k in range(4):
        gradients(potential, k), gradients(reference, k)
        ours.step(), theirs.step()
    found = [p for n, p in potential.named_parameters() if n.startswith(REST_OF)]
    for a, b in zip(found, rest):
        torch.testing.assert_close(a, b)


def test_the_matrices_of_an_element_without_frames_rest(potential):
    optimizer = MuonAdamW(potential, lr=0.1, weight_decay=0.1)
    gradients(potential)
    optimizer.step()
    before = copy.deepcopy(potential)
    gradients(potential, seed=1)
    of_elements = [p for n, p in potential.named_parameters() if "self_connection" in n and len(p) == 3]
    for p in of_elements:
        p.grad[1] = 0.0
    optimizer.step()
    then = [p for n, p in before.named_parameters() if "self_connection" in n and len(p) == 3]
    assert of_elements
    for a, b in zip(of_elements, then):
        assert torch.equal(a[1], b[1])
        assert not torch.equal(a[0], b[0])


def test_weight_decay_shrinks_matrices_by_rate_times_decay(potential):
    without = copy.deepcopy(potential)
    before, after = moved(potential, lr=0.1, weight_decay=0.5)
    _, plain = moved(without, lr=0.1)
    for name in matrix_views(potential):
        torch.testing.assert_close(after[name], plain[name] - 0.05 * before[name], rtol=1e-4, atol=1e-6)


def test_frozen_parameters_do_not_move(potential):
    potential.layers[1].requires_grad_(False)
    before, after = moved(potential, lr=0.1)
    frozen = [n for n in before if n.startswith("layers.1.")]
    assert frozen
    assert all(torch.equal(before[n], after[n]) for n in frozen)
    assert not torch.equal(before["layers.0.linear_out.weight"], after["layers.0.linear_out.weight"])


def test_a_saved_state_goes_on_to_the_same_bits(potential, tmp_path):
    optimizer = MuonAdamW(potential, lr=0.1)
    for k in range(3):
        gradients(potential, k)
        optimizer.step()
    twin = copy.deepcopy(potential)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    second = MuonAdamW(twin, lr=0.7)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for k in range(3, 5):
        gradients(potential, k), gradients(twin, k)
        optimizer.step(), second.step()
    for a, b in zip(potential.parameters(), twin.parameters()):
        assert torch.equal(a, b)
