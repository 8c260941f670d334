"""The interactive page has equipot's harmonics and coupling coefficients, and it is one file."""

import itertools
import json
import math
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from e3nn import o3
from scipy.linalg import block_diag

from equipot.network.basis import bessel, polynomial_envelope
from equipot.ops.coupling import wigner_3j
from equipot.ops.harmonics import SphericalHarmonics
from tests.docs.blocks import ROOT

PAGE = ROOT / "docs" / "equivariance.html"
L_MAX = 3
CUTOFF = 4.0  # Å, on the page
TRIPLES = [
    (l1, l2, l3)
    for l1, l2, l3 in itertools.product(range(L_MAX + 1), repeat=3)
    if abs(l1 - l2) <= l3 <= l1 + l2
]


def script(name: str) -> str:
    """Return the script of the page with this id."""
    match = re.search(rf'<script[^>]* id="{name}">(.*?)</script>', PAGE.read_text(), re.DOTALL)
    assert match, name
    return match[1]


@pytest.fixture(scope="module")
def tables() -> dict:
    return json.loads(script("tables"))


def root(number: str) -> float:
    """Return the square root that a number of the tables stands for, with its sign."""
    square = Fraction(number)
    return math.copysign(math.sqrt(abs(square)), square)


@pytest.fixture(scope="module")
def directions() -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(40, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def harmonics(directions: np.ndarray) -> np.ndarray:
    return SphericalHarmonics(L_MAX)(torch.from_numpy(directions)).numpy()


def test_the_polynomials_of_the_page_are_the_harmonics_of_equipot(tables, directions):
    components = [text for of_l in tables["harmonics"] for text in of_l]
    for text, expected in zip(components, harmonics(directions).T, strict=True):
        sums = np.zeros(len(directions))
        for term in text.split(", "):
            number, _, letters = term.partition(" ")
            sums += root(number) * directions[:, ["xyz".index(x) for x in letters]].prod(1)
        np.testing.assert_allclose(sums, expected, atol=1e-13)


def test_the_page_has_the_coefficients_of_equipot_for_all_orders(tables):
    ordered = [ls for ls in TRIPLES if list(ls) == sorted(ls)]
    assert [tuple(map(int, key)) for key in tables["coupling"]] == ordered
    for ls, text in zip(ordered, tables["coupling"].values()):
        dense = np.zeros([2 * l + 1 for l in ls])
        for entry in text.split(", "):
            indices, number = entry.split(" ")
            dense[tuple(map(int, indices))] = root(number)
        np.testing.assert_allclose(dense, wigner_3j(*ls), atol=1e-14, err_msg=str(ls))


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_script_of_the_page_computes_what_equipot_computes(tables, directions, tmp_path):
    """Harmonics, coefficients in every order, Wigner matrices, the radial function, features, a product, angles."""
    angles = np.random.default_rng(1).uniform([-3, 0, -3], [3, 3, 3], (5, 3))
    distances = np.linspace(0.5, 4.5, 9)
    values = {"n": directions.tolist(), "angles": angles.tolist(), "r": distances.tolist(), "ls": TRIPLES}
    file = tmp_path / "page.js"
    file.write_text(
        script("maths")
        + f"const v = {json.dumps(values)}, m = equivariance({json.dumps(tables)});"
        + """
        const rotations = v.angles.map(m.rotation);
        console.log(JSON.stringify({
            harmonics: v.n.map((n) => [0, 1, 2, 3].flatMap((l) => m.harmonics(l, n))),
            coupling: v.ls.map((ls) => m.coupling(...ls)),
            wigner: rotations.map(m.wigner),
            angles: rotations.map(m.angles),
            radial: v.r.map(m.radial),
            feature: m.feature(v.n[0], v.n.slice(1)).flat(),
            product: m.product(m.harmonics(2, v.n[0]), m.harmonics(1, v.n[1]), 3, m.coupling(2, 1, 3)),
        }));"""
    )
    done = subprocess.run(["node", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    page = json.loads(done.stdout)

    def close(a, b):
        np.testing.assert_allclose(a, b, atol=1e-12)

    close(page["harmonics"], harmonics(directions))
    for ls, entries in zip(TRIPLES, page["coupling"], strict=True):
        dense = np.zeros([2 * l + 1 for l in ls])
        for i, j, k, value in entries:
            dense[i, j, k] = value
        close(dense, wigner_3j(*ls))
    for matrices, of_rotation in zip(page["wigner"], torch.from_numpy(angles), strict=True):
        turned = directions @ o3.angles_to_matrix(*of_rotation).numpy().T
        close(harmonics(turned), harmonics(directions) @ block_diag(*matrices).T)
    close(page["angles"], angles)
    close(page["radial"], radial(distances))
    edges = directions[1:] - directions[0]
    lengths = np.linalg.norm(edges, axis=1)
    close(page["feature"], radial(lengths) @ harmonics(edges / lengths[:, None]))
    a, b = (torch.from_numpy(harmonics(n)[0]) for n in (directions[:1], directions[1:2]))
    product = math.sqrt(7) * torch.einsum("i,j,ijk->k", a[4:9], b[1:4], wigner_3j(2, 1, 3))
    close(page["product"], product)


def radial(distances: np.ndarray) -> np.ndarray:
    """Return the first Bessel function times the envelope with p = 2."""
    u = np.minimum(distances / CUTOFF, 1.0)
    return bessel(u, [np.pi])[0][:, 0] * polynomial_envelope(u, 2)[0]


def test_the_page_is_one_small_file_whose_links_lead_to_pages(check_pages):
    text = PAGE.read_text()
    assert len(text.encode()) < 60_000
    page = check_pages._Page(text)
    assert page.loads == []
    assert re.findall(r"url\(|@import|\bimport\b|fetch\(", text) == []
    assert set(re.findall(r"https?://[^\"'\s]+", text)) == {
        "http://www.w3.org/2000/svg"
    }  # a name, not an address
    for address in page.links:
        assert (ROOT / "docs" / Path(address.split("#")[0]).with_suffix(".md")).exists(), address


@pytest.mark.parametrize("name", ["physics.md", "index.md"])
def test_a_page_links_to_it(name):
    assert 'href="equivariance.html"' in (ROOT / "docs" / name).read_text()
