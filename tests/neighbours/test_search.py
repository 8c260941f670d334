"""The search where positions lie against `neighbour_list`: on the CPU, and on a GPU where there is one."""

import functools
import importlib.util
import itertools
import warnings

import numpy as np
import pytest
import torch

from equipot import native
from equipot.errors import DataError
from equipot.neighbours import VerletList, neighbour_list, search, verlet
from equipot.neighbours.arrays import on_host
from equipot.neighbours.search import Search, on_device, search_for
from tests.models import random_atoms

PERIODICITIES = list(itertools.product([False, True], repeat=3))
INSTALLED = importlib.util.find_spec("nvalchemiops") is not None
CPU = torch.device("cpu")


def every_pair(positions, cell, pbc, cutoff):
    """`Pairs` without a library and without thought: all atoms, in all images that the cutoff can reach."""
    heights = 1 / torch.linalg.inv(cell).norm(dim=0)
    reach = [int(torch.ceil(cutoff / h)) + 1 if p else 0 for h, p in zip(heights, pbc)]
    n = len(positions)
    found = []
    for image in itertools.product(*(range(-k, k + 1) for k in reach)):
        shift = torch.tensor(image, dtype=torch.float64)
        r = positions[None] - positions[:, None] + shift @ cell
        i, j = torch.nonzero(r.norm(dim=2) < cutoff, as_tuple=True)
        found.append((i, j, torch.tensor(image).expand(len(i), 3)))
    i, j, shifts = (torch.cat(parts) for parts in zip(*found))
    mixed = torch.randperm(len(i), generator=torch.Generator().manual_seed(n))
    return i[mixed], j[mixed], shifts[mixed]


library = pytest.param(
    "library",
    CPU,
    marks=pytest.mark.skipif(not INSTALLED, reason="nvalchemi-toolkit-ops is not installed (equipot[gpu])"),
)
gpu = pytest.param(
    "library",
    torch.device("cuda"),
    marks=pytest.mark.skipif(
        not (INSTALLED and torch.cuda.is_available()),
        reason="torch sees no GPU, or nvalchemi-toolkit-ops is not installed (equipot[gpu])",
    ),
)
SEARCHES = [("every pair", CPU), library, gpu]


def finder(pairs):
    return functools.partial(on_device, pairs=every_pair if pairs == "every pair" else None)


def same_as_neighbour_list(pairs, device, positions, cell, pbc, cutoff, **types):
    positions, cell = np.array(positions, dtype=float).reshape(-1, 3), np.array(cell, dtype=float)
    pbc = np.array(pbc, dtype=bool)
    expected, shifts, _ = neighbour_list(positions, cell, pbc, cutoff, **types)
    there = torch.from_numpy(positions).to(device)
    found = finder(pairs)(there, cell, pbc, cutoff, *types.values())
    assert all(t.dtype == torch.int64 and t.device.type == device.type for t in found)
    # Order included.
    np.testing.assert_array_equal(found[0].cpu(), expected)
    np.testing.assert_array_equal(found[1].cpu(), shifts)
    return expected.shape[1]


@pytest.mark.parametrize(("pairs", "device"), SEARCHES)
@pytest.mark.parametrize("pbc", PERIODICITIES)
def test_pairs_and_their_order_are_those_of_neighbour_list(pairs, device, pbc):
    rng = np.random.default_rng(sum(pbc))
    for n, size in ((1, 4.0), (2, 2.0), (9, 4.0), (40, 9.0)):
        cell = size * (np.eye(3) + rng.uniform(-0.35, 0.35, (3, 3)))
        if n == 9:
            cell = cell[[1, 0, 2]]  # left-handed
        positions = (
            rng.uniform(-2, 3, (n, 3)) @ cell
        )  # unwrapped, and outside of the cell where nothing is periodic
        cell[~np.array(pbc)] *= rng.integers(0, 2)  # what is not periodic may be zero
        same_as_neighbour_list(pairs, device, positions, cell, pbc, 3.3)


@pytest.mark.parametrize(("pairs", "device"), SEARCHES)
def test_a_cell_much_smaller_than_the_cutoff_has_all_its_images(pairs, device):
    for pbc in ((True, True, True), (True, False, False), (False, True, True)):
        cell = [[1.1, 0, 0], [0.4, 1.3, 0], [-0.2, 0.3, 0.9]]
        assert same_as_neighbour_list(pairs, device, [[0.3, 0.2, 0.1]], cell, pbc, 4.0) >= 6
        same_as_neighbour_list(pairs, device, [[0.3, 0.2, 0.1], [7.0, -3.0, 0.4]], cell, pbc, 2.0)


@pytest.mark.parametrize(("pairs", "device"), SEARCHES)
def test_a_pair_at_the_cutoff_is_none_and_two_atoms_in_one_place_are_neighbours(pairs, device):
    cubic = 3.0 * np.eye(3)
    assert same_as_neighbour_list(pairs, device, [[0.5, 0.5, 0.5]], cubic, [True] * 3, 3.0) == 0
    assert same_as_neighbour_list(pairs, device, [[0.5, 0.5, 0.5]], cubic, [True] * 3, 3.0001) == 6
    twice = [[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]
    assert same_as_neighbour_list(pairs, device, twice, cubic, [False] * 3, 1.0) == 2


@pytest.mark.parametrize(("pairs", "device"), SEARCHES)
def test_no_atoms_no_neighbours_and_atoms_far_apart_are_searched(pairs, device):
    none, some = [False] * 3, [True, False, False]
    far = [[0.0, 0, 0], [1e7, 0, 0], [1e7, 1.0, 0]]
    assert same_as_neighbour_list(pairs, device, far, np.zeros((3, 3)), none, 3.0) == 2
    assert same_as_neighbour_list(pairs, device, far, np.diag([8.0, 0, 0]), some, 3.0) == 6
    assert same_as_neighbour_list(pairs, device, far[:2], np.zeros((3, 3)), none, 3.0) == 0
    assert same_as_neighbour_list(pairs, device, [], np.eye(3), [True] * 3, 3.0) == 0


def test_the_box_of_atoms_far_apart_is_small_and_holds_them_without_new_neighbours():
    """Otherwise a library's linked cells would be nearly all empty, or all atoms in one."""
    asked = []

    def pairs(positions, cell, pbc, cutoff):
        found = every_pair(positions, cell, pbc, cutoff)
        asked.append((positions @ torch.linalg.inv(cell), cell, int((found[0] != found[1]).sum())))
        return found

    far = torch.tensor([[0.0, 0, 0], [1e7, 0, 0], [1e7, 1.0, -1e5]], dtype=torch.float64)
    for pbc in (np.zeros(3, dtype=bool), np.array([False, True, False])):
        on_device(far, np.diag([0, 8.0, 0]), pbc, 3.0, pairs=pairs)
        inside, cell, n_pairs = asked.pop()
        assert cell.norm(dim=1).max() <= 5 * 3.0
        assert n_pairs == 0
        within = inside[:, torch.from_numpy(~pbc)]
        assert ((within > 0.01) & (within < 0.99)).all()


@pytest.mark.parametrize(("pairs", "device"), SEARCHES)
def test_pair_cutoffs_shorten_the_search(pairs, device):
    atoms = random_atoms(12)
    types = (atoms.numbers == 8).astype(np.int64)
    limits = np.array([[3.0, 2.2], [2.2, 1.7]])
    cell = atoms.cell.array
    few = same_as_neighbour_list(
        pairs, device, atoms.positions, cell, atoms.pbc, 3.0, species=types, pair_cutoffs=limits
    )
    assert 0 < few < same_as_neighbour_list(pairs, device, atoms.positions, cell, atoms.pbc, 3.0)


@pytest.mark.parametrize(("pairs", "device"), [library, gpu])
def test_a_crowd_in_a_large_box_has_more_neighbours_than_the_density_says(pairs, device):
    rng = np.random.default_rng(3)
    crowd = np.concatenate([rng.normal(0, 0.4, (120, 3)), rng.uniform(0, 60, (30, 3))])
    assert same_as_neighbour_list(pairs, device, crowd, 60 * np.eye(3), [True] * 3, 3.0) > 100 * 119


@pytest.mark.parametrize(
    ("positions", "cell", "cutoff"),
    [
        ([[np.nan, 0, 0]], np.eye(3), 3.0),
        ([[0, 0, 0]], np.diag([1.0, np.inf, 1]), 3.0),
        ([[0, 0, 0]], np.diag([1.0, 1, 0]), 3.0),
        ([[0, 0, 0]], np.eye(3), 0.0),
    ],
)
def test_what_cannot_be_searched_is_the_sentence_of_neighbour_list(positions, cell, cutoff):
    positions, pbc = np.array(positions, dtype=float), np.ones(3, dtype=bool)
    with pytest.raises(DataError) as expected:
        neighbour_list(positions, cell, pbc, cutoff)
    with pytest.raises(DataError) as found:
        on_device(torch.from_numpy(positions), cell, pbc, cutoff, pairs=every_pair)
    assert str(found.value) == str(expected.value)


def walk(atoms, steps=80):
    """Configurations in which atoms and cell move, wrap and drift."""
    rng = np.random.default_rng(7)
    for step in range(steps):
        yield atoms
        atoms.positions += rng.normal(0, 0.02, atoms.positions.shape)
        if step % 3 == 0:
            strain = np.eye(3) + rng.normal(0, 0.003, (3, 3))
            atoms.set_cell(atoms.cell.array @ strain, scale_atoms=step % 2 == 0)
        if step % 10 == 5:
            atoms.wrap()
        if step % 25 == 10:
            atoms.positions += rng.normal(0, 3, 3)


def stay_together(monkeypatch, one, other, pbc):
    """Both lists over a walk; `other` filters by torch."""
    compiled = native.available
    atoms = random_atoms(12, pbc=pbc)
    species = (atoms.numbers == 8).astype(np.int64)
    for a in walk(atoms):
        arguments = (a.positions, a.cell.array, a.pbc, species)
        monkeypatch.setattr(native, "available", compiled)
        edges, vectors = one.update(*arguments)
        monkeypatch.setattr(native, "available", lambda: False)
        other_edges, other_vectors = other.update(*arguments)
        np.testing.assert_array_equal(on_host(other_edges), edges)
        np.testing.assert_allclose(on_host(other_vectors), vectors, rtol=0, atol=1e-12)
    assert one.n_searches == other.n_searches
    assert 2 < one.n_searches < 60


@pytest.mark.parametrize(("pairs", "device"), SEARCHES)
@pytest.mark.parametrize("pbc", [True, False, (True, True, False), (False, True, False)])
@pytest.mark.parametrize("limits", [None, np.array([[3.0, 2.2], [2.2, 1.7]])])
def test_a_list_kept_as_on_a_gpu_is_the_list_of_the_cpu(monkeypatch, pairs, device, pbc, limits):
    monkeypatch.setattr(verlet, "CHUNK", 29)  # edges in several chunks
    usual = VerletList(3.0, 0.6, limits)
    other = VerletList(3.0, 0.6, limits, device, Search("device", finder(pairs)))
    stay_together(monkeypatch, usual, other, pbc)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_a_list_on_a_gpu_is_the_list_of_the_cpu_with_whatever_searches_there(monkeypatch):
    stay_together(monkeypatch, VerletList(3.0, 0.6), VerletList(3.0, 0.6, device=torch.device("cuda")), True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.skipif(not INSTALLED, reason="nvalchemi-toolkit-ops is not installed (equipot[gpu])")
def test_on_a_gpu_the_library_searches_where_it_is_installed():
    assert "nvalchemi-toolkit-ops" in search_for(torch.device("cuda")).name


def test_on_the_cpu_matscipy_searches():
    assert search_for(None) == search_for(CPU) == Search("matscipy on the CPU", search.on_cpu)
    assert VerletList(3.0, 0.5).search.name == "matscipy on the CPU"


def test_where_memory_is_short_matscipy_searches_instead(monkeypatch):
    atoms = random_atoms(8)
    arguments = (torch.from_numpy(atoms.positions), atoms.cell.array, atoms.pbc, 3.0)

    def too_large(*arguments):
        raise torch.OutOfMemoryError("no room for the table")

    monkeypatch.setattr(search, "pairs_of_nvalchemi", too_large)
    found = search.on_gpu(*arguments)
    expected = neighbour_list(atoms.positions, *arguments[1:])
    for ours, theirs in zip(found, expected):
        np.testing.assert_array_equal(ours, theirs)


def fails(*arguments):
    raise RuntimeError("no such kernel")


def finds_nothing(positions, cell, pbc, cutoff):
    return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3).long()


@pytest.mark.parametrize(("broken", "why"), [(fails, "no such kernel"), (finds_nothing, "wrong neighbours")])
def test_a_library_that_does_not_work_is_one_warning_and_is_not_asked_again(monkeypatch, broken, why):
    search._nvalchemi_works.cache_clear()
    monkeypatch.setattr(search.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(search, "pairs_of_nvalchemi", broken)
    with pytest.warns(RuntimeWarning, match=f"does not work on cpu .*{why}.* searched on the CPU"):
        assert not search._nvalchemi_works(CPU)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not search._nvalchemi_works(CPU)
    search._nvalchemi_works.cache_clear()


def test_a_library_that_is_missing_is_no_warning(monkeypatch):
    search._nvalchemi_works.cache_clear()
    monkeypatch.setattr(search.importlib.util, "find_spec", lambda name: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not search._nvalchemi_works(CPU)
    search._nvalchemi_works.cache_clear()
