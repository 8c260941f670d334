"""Extrapolation grades against their definition, and on unlike structures."""

import numpy as np
import pytest
import torch
from ase import Atoms

from equipot.data.graph import graph_from_frame
from equipot.errors import DataError
from equipot.model_file import load_model, load_potential, write_model
from equipot.network.variants import with_elements, with_precision, without_uncertainty
from equipot.ops import topology
from equipot.quantities import GAMMA
from equipot.species import SpeciesMap
from equipot.structures import frame_from_atoms
from equipot.uncertainty import grade
from equipot.uncertainty.grade import RIDGE, fit_grade
from tests.models import make_potential, model_input, random_atoms


def graphs_of(potential, frames):
    species = SpeciesMap(potential.type_names)
    return [graph_from_frame(frame_from_atoms(a), species, potential.spec.cutoffs) for a in frames]


@pytest.fixture(scope="module")
def frames():
    return [random_atoms(8, seed=k) for k in range(30)]


@pytest.fixture(scope="module")
def graded(frames):
    plain = make_potential(seed=3, dtype="float64")
    return fit_grade(plain, graphs_of(plain, frames)).potential


def features_of(potential, atoms):
    inputs = model_input(potential, atoms)
    n = len(atoms)
    with torch.no_grad():
        return potential.last_features(
            inputs, topology(inputs.edge_index, n, n)
        ).numpy(), inputs.species.numpy()


def distance(x, mean, inverse):
    return np.sqrt(np.einsum("na,ab,nb->n", x - mean, inverse, x - mean))


def test_a_grade_is_the_mahalanobis_distance_in_units_of_the_farthest_training_atom(graded, frames):
    pairs = [features_of(graded, a) for a in frames]
    h, species = np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])
    d = h.shape[1]
    for k in (0, 1):
        own = h[species == k]
        assert len(own) >= 3 * d
        covariance = np.cov(own.T, bias=True)
        covariance += RIDGE * np.trace(covariance) / d * np.eye(d)
        mean, inverse = own.mean(0), np.linalg.inv(covariance)
        farthest = distance(own, mean, inverse).max()
        for atoms in (frames[0], random_atoms(8, seed=99)):
            inputs = model_input(graded, atoms)
            grades = graded(inputs)[GAMMA].detach().numpy()
            mine = inputs.species.numpy() == k
            expected = distance(features_of(graded, atoms)[0][mine], mean, inverse) / farthest
            np.testing.assert_allclose(grades[mine], expected, rtol=1e-8)


def test_training_atoms_have_at_most_one_and_squeezed_ones_more(graded, frames):
    grades = np.concatenate([graded(model_input(graded, a))[GAMMA].detach().numpy() for a in frames])
    assert grades.max() == pytest.approx(1.0, abs=1e-9)
    squeezed = frames[0].copy()
    squeezed.set_cell(squeezed.cell * 0.8, scale_atoms=True)
    assert graded(model_input(graded, squeezed))[GAMMA].max() > 2


def test_energies_and_forces_stay_what_they_are(graded, frames):
    plain = without_uncertainty(graded)
    assert plain.spec.grade is False
    a, b = (p(model_input(graded, frames[0]))["energies"] for p in (graded, plain))
    assert torch.equal(a, b)


def test_runtime_and_torchscript_give_the_same_grades(tmp_path, graded, frames):
    for dtype, tolerance in (("float64", 1e-10), ("float32", 1e-3)):
        path = write_model(tmp_path / f"{dtype}.pt", with_precision(graded, dtype), verify=False)
        expected = graded(model_input(graded, frames[3]))[GAMMA].detach().numpy()
        for engine in ("runtime", "torch"):
            from equipot.calculators import EquipotCalculator

            atoms = frames[3].copy()
            atoms.calc = EquipotCalculator(path, engine=engine)
            atoms.get_forces()
            np.testing.assert_allclose(atoms.calc.outputs[GAMMA], expected, rtol=tolerance)
        again = load_potential(path)
        assert again.spec.grade
        torch.testing.assert_close(again.grade.factor, with_precision(graded, dtype).grade.factor)
        assert load_model(path).sizes == load_model(path, engine_name="torch").sizes


def test_an_element_without_training_atoms_has_an_infinite_grade(frames):
    plain = make_potential(seed=3)
    only_silicon = [Atoms("Si8", a.positions, cell=a.cell, pbc=True) for a in frames]
    fit = fit_grade(plain, graphs_of(plain, only_silicon))
    assert fit.atoms == {"Si": 240, "O": 0}
    inputs = model_input(plain, random_atoms(8, seed=1))
    grades = fit.potential(inputs)[GAMMA]
    assert torch.isfinite(grades).tolist() == (inputs.species == 0).tolist()
    alone = with_elements(fit.potential, ["Si"])
    atoms = only_silicon[0]
    torch.testing.assert_close(
        alone(model_input(alone, atoms))[GAMMA], fit.potential(model_input(plain, atoms))[GAMMA]
    )


def test_frames_are_read_until_enough_atoms_or_time(frames, monkeypatch):
    plain = make_potential(seed=3)
    rare = [Atoms("Si8", a.positions, cell=a.cell, pbc=True) for a in frames]
    graphs = graphs_of(plain, [*rare[:20], *frames[:2], *rare[20:]])
    assert fit_grade(plain, graphs).frames == 32
    monkeypatch.setattr(grade, "FEWEST", 40)
    fit = fit_grade(plain, graphs, seconds=0.0)
    assert fit.atoms["Si"] >= 40
    assert 0 < fit.atoms["O"] < 40  # of all frames with oxygen
    assert fit.frames == 7
    monkeypatch.setattr(grade, "MOST", 80)
    assert fit_grade(plain, graphs).frames == 12


def test_what_cannot_be_fitted_is_a_sentence():
    plain = make_potential(seed=3)
    few = graphs_of(plain, [random_atoms(3)])
    with pytest.raises(DataError, match=r"atoms with neighbours are too few for extrapolation grades"):
        fit_grade(plain, few)
    with pytest.raises(DataError, match="0 atoms with neighbours are too few"):
        fit_grade(plain, [])
    with pytest.raises(DataError, match="all atoms of an element have the same surroundings"):
        fit_grade(plain, graphs_of(plain, [Atoms("Si", cell=[2.3] * 3, pbc=True)] * 40))
