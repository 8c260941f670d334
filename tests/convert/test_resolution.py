"""Splines chosen for a tolerance keep it, on other structures too; cheaper ones are not passed by."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.data import covalent_radii

from equipot.convert.resolution import CANDIDATES, choose_resolution
from equipot.errors import ModelFileError
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec
from tests.models import KINDS, make_potential, model_input

SPECIES = ("Si", "O", "H", "Cs")
TOLERANCES = [1e-2, 1e-4, 1e-6]


def _potential(**changes: Any) -> Potential:
    return make_potential(seed=4, species=SPECIES, **{**KINDS["foreign"], **changes})


def _exact(potential: Potential) -> Potential:
    """With splines far finer than any candidate, and with knots at the onset of the envelope."""
    spec = PotentialSpec.from_dict({**potential.spec.to_dict(), "spline_order": 3, "n_knots": 8001})
    fine = Potential(spec)
    fine.load_state_dict(potential.state_dict())
    return fine


def _random_cluster(rng: np.random.Generator) -> Atoms:
    """Atoms at random, no two closer than 0.75 of their covalent radii's sum; about 3 Å apart."""
    atoms = Atoms()
    while len(atoms) < 10:
        symbol, place = rng.choice(SPECIES), rng.uniform(0, 6.5, 3)
        new = Atoms(symbol, [place])
        reach = 0.75 * (covalent_radii[atoms.numbers] + covalent_radii[new.numbers])
        if (np.linalg.norm(atoms.positions - place, axis=1) > reach).all():
            atoms += new
    return atoms


def _largest_difference(a: Potential, b: Potential, structures: list[Atoms]) -> float:
    """Of a force component, eV/Å."""
    worst = 0.0
    for atoms in structures:
        inputs = model_input(a, atoms)
        worst = max(worst, float((predict(a, inputs).forces - predict(b, inputs).forces).abs().max()))
    return worst


@pytest.mark.parametrize("envelope", ["xplor", "polynomial"])
@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_forces_of_random_clusters_are_moved_by_less_than_the_tolerance(
    tolerance: float, envelope: str
) -> None:
    potential = _potential(envelope=envelope)
    chosen, resolution = choose_resolution(potential, tolerance)
    rng = np.random.default_rng(8)
    structures = [_random_cluster(rng) for _ in range(12)]
    assert resolution.difference <= tolerance
    assert _largest_difference(chosen, _exact(potential), structures) <= tolerance


def test_the_weights_stay_and_only_the_knots_change() -> None:
    potential = _potential()
    chosen, resolution = choose_resolution(potential, 1e-4)
    changed = {
        name for name, value in chosen.spec.to_dict().items() if value != potential.spec.to_dict()[name]
    }
    assert changed <= {"spline_order", "n_knots"}
    assert (chosen.spec.spline_order, chosen.spec.n_knots) == (resolution.spline_order, resolution.n_knots)
    for name, value in potential.state_dict().items():
        torch.testing.assert_close(chosen.state_dict()[name], value, rtol=0, atol=0)


def test_a_wider_tolerance_never_costs_more() -> None:
    costs = []
    for tolerance in sorted(TOLERANCES):
        _, resolution = choose_resolution(_potential(envelope="polynomial"), tolerance)
        costs.append(CANDIDATES.index((resolution.spline_order, resolution.n_knots - 1)))
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


def test_there_is_a_knot_where_the_envelope_sets_in() -> None:
    for onset in (0.9, 0.75, 5 / 6):
        chosen, resolution = choose_resolution(_potential(xplor_onset=onset), 1e-3)
        place = onset * (resolution.n_knots - 1)
        assert place == pytest.approx(round(place), abs=1e-9)
        assert chosen.spec.xplor_onset == onset


def test_a_network_too_wild_for_any_spline_is_one_sentence() -> None:
    wild = {**KINDS["foreign"]["spec"], "frequencies": [0.3, 2.9, 4000.0]}  # type: ignore[dict-item]
    with pytest.raises(
        ModelFileError, match=r"still change forces by \S+ eV/Å; give a larger tolerance"
    ) as found:
        choose_resolution(_potential(spec=wild), 1e-5)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("tolerance", [1e-8, 0.0, -1.0, math.nan])
def test_a_tolerance_that_cannot_be_verified_is_refused(tolerance: float) -> None:
    with pytest.raises(ModelFileError, match="eV/Å; expected 1e-07 or more"):
        choose_resolution(_potential(), tolerance)
