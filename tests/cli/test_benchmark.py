import contextlib
import io
import json

import ase.build
import ase.io
import pytest
import torch
from ase import Atoms

from equipot import native
from equipot.cli.main import main
from equipot.model_file import write_model
from tests.models import make_potential

PARTS = ("edges", "network", "marshalling")
SEARCH, TOTAL = "neighbour list", "total"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "model.pt", make_potential(seed=1), verify=False)


@pytest.fixture(scope="module")
def measured(path, tmp_path_factory):
    """What one run prints and writes."""
    file = tmp_path_factory.mktemp("speed") / "speed.json"
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("COLUMNS", "200")
        arguments = ["benchmark", str(path), "--atoms", "200", "--seconds", "0.5", "--json", str(file)]
        assert main(arguments) == 0
    return printed.getvalue(), json.loads(file.read_text())


def test_all_parts_are_printed(measured):
    text, _ = measured
    for piece in (
        *PARTS,
        SEARCH,
        TOTAL,
        "sum",
        "ns/day",
        "KiB per atom",
        "GFMA/s",
        "Si, O",
        native.isa(),
        "matscipy on the CPU",
        "atoms per GiB",
    ):
        assert piece in text, piece


def test_the_parts_of_a_step_make_up_the_step(measured):
    seconds = measured[1]["seconds"]
    assert set(seconds) == {*PARTS, SEARCH, TOTAL}
    assert all(0 < t["minimum"] <= t["median"] for t in seconds.values())
    parts = sum(seconds[name]["minimum"] for name in PARTS)
    assert measured[1]["seconds_sum_of_parts"]["minimum"] == pytest.approx(parts)
    # They do within a tenth on a quiet machine; a busy one disturbs some pieces more than others.
    assert 0.1 < parts / seconds[TOTAL]["minimum"] < 5.0


def test_rates_follow_from_times_and_work(measured):
    _, found = measured
    step = found["seconds"][TOTAL]["median"]
    assert found["ns_per_day"] == pytest.approx(24 * 3600 / step * 1e-15 / 1e-9)
    assert found["gfma_per_second"] == pytest.approx(found["fma_per_atom"] * found["atoms"] / step * 1e-9)


def test_memory_holds_the_edges_at_least(measured):
    _, found = measured
    assert found["atoms"] >= 200
    # Each has two int64, and three float64 that are differentiated.
    assert found["atoms"] * found["neighbours"] * (2 + 3 + 3) * 8 < found["peak_bytes"] < 2**30


@pytest.mark.skipif(not native.available(), reason="the compiled kernels are off or not installed")
def test_convolutions_are_the_sum_of_their_layers(measured):
    _, found = measured
    *layers, together = found["kernels"]
    assert [row["name"] for row in layers] == ["layer 1", "layer 2"]
    for which in ("forward", "backward", "both"):
        assert together[which]["median"] == pytest.approx(sum(row[which]["median"] for row in layers))
    both = together["both"]
    assert both["fma_per_edge"] * found["neighbours"] == pytest.approx(found["fma_per_atom_convolutions"])
    assert 0 < both["fraction_of_peak"] <= both["fraction_of_peak_at_best"] < 1


def test_without_the_kernels_one_sentence_stands_for_the_fractions(path, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("EQUIPOT_ENGINE", "off")  # of the process that measures memory
    monkeypatch.setattr(native.library, "library", lambda: None)
    file = tmp_path / "two.extxyz"
    # The last frame counts.
    ase.io.write(file, [Atoms("U", positions=[[0, 0, 0]]), ase.build.bulk("Si", cubic=True)])
    assert main(["benchmark", str(path), str(file), "--steps", "1"]) == 0
    text = capsys.readouterr().out
    assert "Si, 8 atoms" in text
    assert "The compiled kernels are off or not installed, so they cannot be compared with a peak." in text
    assert "of the measured peak" not in text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_on_a_gpu_its_name_what_searches_and_its_memory_are_told(path, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "speed.json"
    assert main(["benchmark", str(path), "--device", "cuda", "--steps", "3", "--json", str(file)]) == 0
    text, found = capsys.readouterr().out, json.loads(file.read_text())
    assert torch.cuda.get_device_name() in text
    assert found["neighbour_search"] in text
    assert found["atoms"] * found["neighbours"] * (2 + 3 + 3) * 8 < found["peak_bytes"] < 2**30
    assert all(t["minimum"] > 0 for t in found["seconds"].values())


def test_a_structure_too_large_for_the_memory_is_one_sentence(path, capsys, monkeypatch):
    def too_large(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB")

    monkeypatch.setattr("equipot.speed.measure.measure", too_large)
    assert main(["benchmark", str(path), "--atoms", "20"]) == 1
    words = "equipot benchmark: 27 atoms need more memory than cpu has free; use fewer atoms (--atoms)"
    assert capsys.readouterr().err.strip() == words


def structures(folder):
    ase.io.write(folder / "molecule.xyz", ase.build.molecule("O2"), format="extxyz")
    ase.io.write(folder / "copper.extxyz", ase.build.bulk("Cu", cubic=True))
    (folder / "text.extxyz").write_text("nothing\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no.pt"], "no.pt: no such file"),
        (["MODEL", "no.extxyz"], "there is no such file"),
        (["MODEL", "text.extxyz"], "text.extxyz"),
        (["MODEL", "copper.extxyz"], "holds Cu, but the model knows only Si, O"),
        (["MODEL", "molecule.xyz", "--atoms", "9"], "no periodic direction, so it cannot be repeated to 9"),
        (["MODEL", "--atoms", "0"], "--atoms is 0; expected a number of atoms of 1 or more"),
        (["MODEL", "--threads", "0"], "--threads is 0"),
        (["MODEL", "--steps", "-1"], "--steps is -1"),
        (["MODEL", "--seconds", "nan"], "--seconds is nan"),
        (["MODEL", "--device", "abacus"], "'abacus' is not a device"),
        (["MODEL", "--json", "."], ". is a folder"),
        (["MODEL", "--json", "nowhere/speed.json"], "the folder of nowhere/speed.json does not exist"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(path, tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    structures(tmp_path)
    assert main(["benchmark", *(str(path) if a == "MODEL" else a for a in arguments)]) == 1
    captured = capsys.readouterr()
    assert captured.out.strip() == ""
    assert captured.err.startswith("equipot benchmark: ")
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) == 1


def test_help_teaches_by_examples(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["benchmark", "--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert "equipot benchmark model.pt water.extxyz --atoms 5000 --threads 4" in text
