"""Errors against a plain recomputation, frame by frame, through the calculator."""

import io
import json

import ase.io
import numpy as np
import pytest
import torch
from rich.console import Console

from equipot.calculators import EquipotCalculator
from equipot.errors import DataError, NumericsError, UnknownSpeciesError
from equipot.evaluation.evaluation import evaluate, evaluate_and_write
from equipot.model_file import load_model, write_model
from equipot.neighbours import PairCutoffs
from equipot.structures import Frame
from tests.models import KINDS, make_potential, random_atoms


@pytest.fixture(scope="module")
def potential():
    return make_potential(seed=3, **KINDS["extras"])


@pytest.fixture(scope="module")
def model(potential, tmp_path_factory):
    return load_model(write_model(tmp_path_factory.mktemp("m") / "model.pt", potential, verify=False))


def make_frame(seed, n=5, pbc=True, group="bulk", labels="efs"):
    rng = np.random.default_rng(100 + seed)
    atoms = random_atoms(n, seed=seed, pbc=pbc)
    stress = rng.normal(0, 0.02, (3, 3))
    values = {
        "energy": rng.normal(-2 * n, 1, ()),
        "forces": rng.normal(0, 1, (n, 3)),
        "stress": stress + stress.T,
    }
    return Frame(
        numbers=atoms.numbers.astype(np.int64),
        positions=atoms.positions,
        cell=atoms.cell.array,
        pbc=np.array(atoms.pbc),
        labels={name: value for name, value in values.items() if name[0] in labels},
        config_type=group,
        source=f"made#{seed}",
        energy_key="energy" if seed % 2 else "free_energy",
    )


@pytest.fixture
def frames():
    slab = (True, True, False)
    return [
        make_frame(0),
        make_frame(1, n=3),
        make_frame(2, pbc=slab, group="slab"),
        make_frame(7, pbc=False, group="box", labels="s"),  # a stress label without a volume
        make_frame(3, labels="f", group="slab", pbc=slab),
        make_frame(4, labels="e"),
        make_frame(5, n=1, pbc=False, group="atom", labels="ef"),
        make_frame(6, labels=""),
    ]


def expected(model, frames, element=None):
    """Differences by label, one frame at a time."""
    found = {"energy": [], "forces": [], "stress": []}
    for frame in frames:
        atoms = frame.to_atoms()
        atoms.calc = EquipotCalculator(model, skin=0.0)
        if frame.energy is not None:
            found["energy"].append((atoms.get_potential_energy() - frame.energy) / len(frame))
        if frame.forces is not None:
            mask = np.ones(len(frame), bool) if element is None else atoms.symbols == element
            found["forces"].extend((atoms.get_forces() - frame.forces)[mask].ravel())
        if frame.stress is not None and atoms.pbc.any():
            found["stress"].extend((atoms.get_stress(voigt=False) - frame.stress).ravel())
    return {name: np.array(values) for name, values in found.items()}


def agree(errors, differences):
    if len(differences) == 0:
        assert errors is None
        return
    assert errors.count == len(differences)
    assert errors.mae == pytest.approx(np.abs(differences).mean(), rel=1e-10)
    assert errors.rmse == pytest.approx(np.sqrt(np.square(differences).mean()), rel=1e-10)


@pytest.mark.parametrize("batch_edges", [1, 150, 10**6])
def test_errors_equal_a_recomputation(model, frames, batch_edges):
    errors = evaluate(model, frames, batch_edges=batch_edges).errors
    for label, differences in expected(model, frames).items():
        agree(errors[label], differences)
    assert set(errors.groups) == {"atom", "box", "bulk", "slab"}
    for group, found in errors.groups.items():
        for label, differences in expected(model, [f for f in frames if f.config_type == group]).items():
            agree(found[label], differences)
    for element, of_element in errors.forces_by_species.items():
        agree(of_element, expected(model, frames, element)["forces"])


def test_the_trainable_potential_and_the_model_file_agree(potential, model, frames):
    eager, file = evaluate(potential, frames), evaluate(model, frames)
    for a, b in zip(eager.predictions, file.predictions):
        assert a["energy"] == pytest.approx(b["energy"], abs=1e-10)
        np.testing.assert_allclose(a["forces"], b["forces"], atol=1e-10)

    class Wrapped(torch.nn.Module):
        def forward(self, inputs):
            return potential(inputs)

    wrapped = evaluate(Wrapped(), frames, cutoffs=potential.spec.cutoffs)
    assert wrapped.errors["forces"].mae == pytest.approx(eager.errors["forces"].mae, abs=1e-12)


def test_the_files_say_what_the_evaluation_says(model, frames, tmp_path):
    text = io.StringIO()
    evaluation = evaluate_and_write(
        model, frames, tmp_path / "out", files=["made"], console=Console(file=text, width=150)
    )
    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert values["forces"]["rmse"] == evaluation.errors["forces"].rmse
    assert values["groups"]["atom"]["stress"] is None
    assert values["energy_keys"] == {"energy": 2, "free_energy": 3}
    assert values["stresses_without_volume"] == 1
    predictions = ase.io.read(tmp_path / "out" / "predictions.extxyz", ":")
    assert len(predictions) == len(frames)
    for atoms, frame, predicted in zip(predictions, frames, evaluation.predictions):
        assert atoms.get_potential_energy() == pytest.approx(predicted["energy"], abs=1e-7)
        np.testing.assert_allclose(atoms.get_forces(), predicted["forces"], atol=1e-7)
        assert atoms.info["config_type"] == frame.config_type
        assert ("reference_energy" in atoms.info) == (frame.energy is not None)
        assert ("reference_forces" in atoms.arrays) == (frame.forces is not None)
        if frame.stress is not None:
            voigt = frame.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
            np.testing.assert_allclose(atoms.info["reference_stress"], voigt, atol=1e-7)
        assert ("stress" in atoms.calc.results) == bool(frame.pbc.any())
    printed = text.getvalue()
    assert f"{1000 * evaluation.errors['forces'].rmse:.0f}" in printed
    assert "free_energy (3 frames)" in printed
    assert "The stress of 1 frame was not compared" in printed


def test_no_frames_and_frames_without_labels_or_atoms_are_fine(model, tmp_path):
    empty = Frame(np.zeros(0, np.int64), np.zeros((0, 3)), np.eye(3), np.zeros(3, bool))
    for number, frames in enumerate(([], [make_frame(0, labels="")], [empty, make_frame(1)])):
        evaluation = evaluate_and_write(model, frames, tmp_path / str(number))
        assert len(evaluation.predictions) == len(frames)
    assert evaluation.errors["forces"].count == 15
    values = json.loads((tmp_path / "1" / "evaluation.json").read_text())
    assert values["energy_per_atom"] is values["forces"] is values["stress"] is None


def test_an_unknown_element_is_an_error_before_the_model_runs(model, frames):
    class Never(torch.nn.Module):
        def forward(self, *_):
            raise AssertionError("the model ran")

    with pytest.raises(UnknownSpeciesError, match=r"made#0 holds (O|Si)"):
        evaluate(Never(), frames, cutoffs=PairCutoffs.from_config(["Ge"], 3.0))
    frames[-1].numbers[0] = 32
    with pytest.raises(UnknownSpeciesError, match=r"made#6 holds Ge, but the model knows only Si, O"):
        evaluate(Never(), frames, cutoffs=PairCutoffs.from_config(["Si", "O"], 3.0))


def test_labels_and_predictions_that_are_not_finite_are_errors(model, frames):
    frames[1].forces[0, 0] = np.nan
    with pytest.raises(DataError, match=r"made#1: the label forces is not finite"):
        evaluate(model, frames)

    class Broken(torch.nn.Module):
        def forward(self, inputs):
            nan = inputs.edge_vectors.sum() * float("nan")
            return {"energies": torch.zeros(len(inputs.species), dtype=torch.float64) + nan}

    with pytest.raises(NumericsError, match=r"made#0: the prediction of energy is not finite"):
        evaluate(Broken(), frames[:1], cutoffs=PairCutoffs.from_config(["Si", "O"], 4.0))


def test_a_large_set_is_drawn_with_thinned_points(model, frames, tmp_path, monkeypatch, figures):
    import equipot.evaluation.parity as parity

    monkeypatch.setattr(parity, "MOST_POINTS", 5)
    evaluate_and_write(model, frames, tmp_path)
    assert (tmp_path / "parity.png").stat().st_size > 5000
