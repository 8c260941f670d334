import json
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from rich.console import Console

from equipot.data.graph import graph_from_frame
from equipot.data.statistics import Statistics, compute_statistics
from equipot.errors import ConfigError, DataError
from equipot.species import SpeciesMap
from equipot.structures import frame_from_atoms

E0 = {"H": -13.0, "O": -430.0, "Si": -104.0}


def frames_of(formulas, energies=None):
    """Open chains of atoms 1 Å apart whose energies are sums of E0."""
    frames = []
    for k, formula in enumerate(formulas):
        atoms = Atoms(formula)
        atoms.positions[:, 0] = np.arange(len(atoms))
        energy = sum(E0[s] for s in atoms.symbols)
        frames.append(frame_from_atoms(atoms).relabelled(energy=energy if energies is None else energies[k]))
    return frames


def statistics(frames, names=None, e0="auto", cutoff=1.5):
    species = SpeciesMap(names) if names else SpeciesMap.of_numbers(f.numbers for f in frames)
    return compute_statistics([graph_from_frame(f, species, cutoff) for f in frames], species, e0)


def test_least_squares_finds_the_energies_that_made_the_set():
    found = statistics(frames_of(["H2O", "O2", "H2", "SiH4", "SiO2", "H2O2"]))
    assert found.e0 == pytest.approx(E0, abs=1e-8)
    assert set(found.e0_source.values()) == {"least squares"}
    assert found.energy_std == pytest.approx(0.0, abs=1e-9)


def test_isolated_atoms_are_taken_and_the_rest_is_fitted():
    bound = frames_of(["H2O", "O2", "H2", "H2O2"])
    bound = [f.relabelled(energy=f.energy - 3.0 * len(f)) for f in bound]
    found = statistics([*frames_of(["H"]), *bound])
    assert found.e0["H"] == -13.0
    assert found.e0_source["H"] == "isolated atom"
    assert found.e0_source["O"] == "least squares"
    # With H at its free energy, O alone takes the binding: fit by hand over energies per atom.
    x = np.array([1 / 3, 1.0, 0.0, 0.5])
    y = np.array([f.energy / len(f) for f in bound]) - (1 - x) * -13.0
    assert found.e0["O"] == pytest.approx(x @ y / (x @ x))


def test_of_several_isolated_atoms_the_lowest_counts():
    found = statistics(frames_of(["H", "H", "H"], energies=[-12.0, -13.5, -13.0]))
    assert found.e0 == {"H": -13.5}
    assert found.e0_source == {"H": "isolated atom, lowest of 3"}


def test_fit_ignores_isolated_atoms_as_a_source_and_isolated_insists_on_them():
    frames = [*frames_of(["H"]), *frames_of(["H2O", "O2"])]
    assert statistics(frames, e0="fit").e0_source == {"H": "least squares", "O": "least squares"}
    with pytest.raises(DataError, match="isolated-atom frame with an energy of O"):
        statistics(frames, e0="isolated")


def test_given_energies_are_taken_and_an_incomplete_mapping_is_an_error():
    frames = frames_of(["H2O"])
    assert statistics(frames, e0={"H": -1.0, "O": -2.0}).e0 == {"H": -1.0, "O": -2.0}
    with pytest.raises(ConfigError, match="no energy for O"):
        statistics(frames, e0={"H": -1.0})


@pytest.mark.parametrize(
    ("formulas", "reason"),
    [
        (["H2O"] * 4, "one composition"),
        (["H2O", "H2O2"] * 2, None),
        (["SiO2", "SiO2H2"], "fewer compositions than elements"),
        (["SiO2", "SiO2H2", "Si2O4H2"], "compositions are collinear"),
    ],
)
def test_compositions_that_do_not_determine_the_elements_are_solved_and_said_so(formulas, reason):
    frames = frames_of(formulas)
    found = statistics(frames)
    # Whatever the degeneracy, the energies of the compositions that are there are reproduced.
    assert found.energy_std == pytest.approx(0.0, abs=1e-6)
    sources = set(found.e0_source.values())
    if reason is None:
        assert sources == {"least squares"}
    else:
        assert f"least squares, minimum norm: {reason}" in sources
    mean = np.mean([f.energy / len(f) for f in frames])
    assert all(np.isfinite(v) and abs(v - mean) < 500 for v in found.e0.values())


def test_one_composition_puts_all_elements_at_the_mean_energy_per_atom():
    found = statistics(frames_of(["H2O"] * 3, energies=[-30.0, -33.0, -36.0]))
    assert found.e0 == pytest.approx({"H": -11.0, "O": -11.0})


def test_an_element_that_never_occurs_is_said_to_be_absent():
    found = statistics(frames_of(["H2", "H3"]), names=["H", "Si"])
    assert found.e0_source == {"H": "least squares", "Si": "mean energy per atom: element not in the set"}
    assert found.e0["H"] == pytest.approx(-13.0)


def test_scales_and_neighbours_are_those_of_the_arrays(strained_trajectory):
    found = statistics(strained_trajectory, cutoff=4.0)
    forces = np.concatenate([f.forces for f in strained_trajectory])
    stress = np.stack([f.stress for f in strained_trajectory])
    energies = np.array([f.energy / len(f) for f in strained_trajectory])
    assert found.rms_force == pytest.approx(np.sqrt((forces**2).mean()))
    assert found.rms_stress == pytest.approx(np.sqrt((stress**2).mean()))
    assert found.energy_std == pytest.approx(energies.std())
    assert (found.scale, found.scale_source) == (found.rms_force, "rms force")
    distances = [_distances(f) for f in strained_trajectory]
    assert found.average_neighbours == pytest.approx(np.mean([(d < 4.0).sum() / 4 for d in distances]))
    assert found.minimum_distance == pytest.approx(min(d.min() for d in distances))
    assert (found.n_frames, found.n_atoms, found.n_energies, found.n_forces, found.n_stresses) == (
        16,
        64,
        16,
        16,
        16,
    )


def _distances(frame):
    images = np.stack(np.meshgrid(*[range(-2, 3)] * 3), -1).reshape(-1, 3) @ frame.cell
    d = np.array([np.linalg.norm(a - b - images, axis=1) for a in frame.positions for b in frame.positions])
    return d[d > 1e-9]


def test_neighbours_are_counted_by_the_centres_element():
    found = statistics(frames_of(["OH2"]))  # a chain O-H-H with 1 Å between
    assert found.average_neighbours_of == {"H": 1.5, "O": 1.0}
    assert found.atoms_of == {"H": 2, "O": 1}


def test_without_forces_the_spread_of_energies_is_the_scale_and_without_that_one():
    spread = statistics(frames_of(["H2", "H2"], energies=[-2.0, -4.0]))
    assert (spread.rms_force, spread.scale) == (None, pytest.approx(0.5))
    assert "no forces" in spread.scale_source
    flat = statistics(frames_of(["H2"]))
    assert flat.scale == 1.0
    assert "neither" in flat.scale_source
    still = [f.relabelled(forces=np.zeros((2, 3))) for f in frames_of(["H2", "H2"], energies=[-2.0, -4.0])]
    assert statistics(still).scale == pytest.approx(0.5)


def test_a_set_of_nothing_and_of_lone_atoms_has_statistics():
    nothing = compute_statistics([], SpeciesMap(["H"]))
    assert (nothing.e0, nothing.energy_std, nothing.minimum_distance, nothing.average_neighbours) == (
        {"H": 0.0},
        None,
        None,
        0,
    )
    lone = statistics(frames_of(["H"]))
    assert (lone.energy_std, lone.scale) == (0.0, 1.0)


def test_statistics_survive_json_and_print(strained_trajectory):
    found = statistics(strained_trajectory)
    assert Statistics.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    console = Console(record=True, width=120)
    console.print(found.table())
    assert "least squares" in console.export_text()


def test_the_volumes_are_those_of_crystals_and_stresses_those_of_layers_too(trajectory):
    layer = replace(
        trajectory[1], pbc=np.array([True, True, False]), cell=np.diag([1, 1, 3]) @ trajectory[1].cell
    )
    molecule = replace(trajectory[2], pbc=np.zeros(3, dtype=bool))
    species = SpeciesMap(["Cu"])
    graphs = [graph_from_frame(f, species, 4.0) for f in (trajectory[0], layer, molecule)]
    statistics = compute_statistics(graphs, species)
    volume = trajectory[0].volume / len(trajectory[0])
    assert statistics.volumes == pytest.approx([volume, volume])
    assert statistics.n_stresses == 2
