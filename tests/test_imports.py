"""Imports point one way: the packages of equipot can be put in an order in which each imports earlier ones alone."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import equipot

ROOT = Path(equipot.__file__).parent
# What knows nothing of networks.
WITHOUT_NETWORKS = {"structures", "neighbours", "data", "ops"}


def imported_modules(file: Path) -> set[str]:
    """Return the modules of equipot that a file imports when it is loaded or run."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("equipot."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found.update(a.name.split(".")[1] for a in node.names if a.name.startswith("equipot."))
    return found


@pytest.fixture(scope="module")
def packages() -> dict[str, set[str]]:
    """Return the packages and top-level modules of equipot, each with those that it imports."""
    graph: dict[str, set[str]] = {}
    for file in ROOT.rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts[0] != "__init__":
            graph.setdefault(parts[0], set()).update(imported_modules(file) - {parts[0]})
    return graph


def test_packages_import_each_other_in_one_direction(packages):
    try:
        tuple(TopologicalSorter(packages).static_order())
    except CycleError as error:
        pytest.fail(f"imports run in a circle: {' -> '.join(error.args[1])}")


def test_structures_neighbours_data_and_operators_know_nothing_of_networks(packages):
    for name in WITHOUT_NETWORKS:
        assert not packages[name] & {"network", "model_file", "calculators", "training"}, name
