"""The model file: what is written is what was trained, and nothing else is believed."""

import json
import zipfile

import pytest
import torch

from equipot.errors import ModelFileError
from equipot.model_file import FORMAT_VERSION, load_model, load_potential, torchscript, write_model
from equipot.model_file.module import DeployedPotential
from equipot.network.derivatives import predict
from equipot.network.variants import with_precision
from tests.models import KINDS, make_potential, model_input, random_atoms


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_the_exported_model_is_the_eager_one(kind, dtype, tmp_path):
    potential = make_potential(seed=4, **{**KINDS[kind], "dtype": dtype})
    loaded = load_model(write_model(tmp_path / "model.pt", potential, verify=False))
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for atoms in (random_atoms(6), random_atoms(3, pbc=False), random_atoms(1)):
        graph = model_input(potential, atoms)
        eager, file = predict(potential, graph), predict(loaded.module, graph)
        for a, b in zip(eager, file):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def test_segments_of_the_file_give_its_energies(tmp_path):
    potential = make_potential(n_layers=3)
    module = load_model(write_model(tmp_path / "model.pt", potential, verify=False)).module
    inputs = model_input(potential, random_atoms(5))
    species, edge_index, vectors = inputs[:3]
    assert module.reads_positions is False
    graph = module.topology(edge_index, 5, 5)
    x = module.embed(species)
    for k in range(module.n_layers):
        assert x.shape[1] == module.feature_dims[k]
        x = module.interact(k, x, module.outgoing(k, x), species, vectors, graph)
    torch.testing.assert_close(module.readout(x, species, vectors, graph), module(inputs))
    torch.testing.assert_close(module.on_graph(inputs, graph), module(inputs))


def test_a_file_gives_back_the_trainable_potential(tmp_path):
    potential = make_potential(seed=9, radial_depth=2)
    again = load_potential(write_model(tmp_path / "model.pt", potential, verify=False))
    assert again.spec == potential.spec
    state = potential.state_dict()
    assert state.keys() == again.state_dict().keys()
    assert all(torch.equal(v, state[k]) for k, v in again.state_dict().items())
    assert all(p.requires_grad for p in again.parameters())


def test_writing_checks_in_a_fresh_process_and_leaves_one_file(tmp_path, fresh_process):
    write_model(tmp_path / "model.pt", make_potential())
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_a_model_that_cannot_be_verified_replaces_nothing(tmp_path, monkeypatch, fresh_process):
    path = write_model(tmp_path / "model.pt", make_potential(seed=1), verify=False)
    before = path.read_bytes()
    import equipot.model_file.write as write

    original = write.recorded_results

    def wrong(results):
        values = original(results)
        return {**values, "forces": values["forces"] + 0.1}

    monkeypatch.setattr(write, "recorded_results", wrong)
    with pytest.raises(ModelFileError, match="new process"):
        write_model(path, make_potential(seed=2))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def rewritten(path, change, name="metadata.json"):
    """A copy of the archive with one entry changed."""
    out = path.with_name("changed.pt")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
        for item in source.namelist():
            data = source.read(item)
            target.writestr(item, change(data) if item.endswith(name) else data)
    return out


def edited(**values):
    return lambda data: json.dumps({**json.loads(data), **values}).encode()


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model.pt", make_potential(), verify=False)


def test_a_newer_format_asks_for_a_newer_equipot(model):
    with pytest.raises(ModelFileError, match=rf"format {FORMAT_VERSION + 1}.*newer equipot"):
        load_model(rewritten(model, edited(format_version=FORMAT_VERSION + 1)))


def test_a_model_whose_self_test_fails_is_refused(model):
    def spoil(data):
        metadata = json.loads(data)
        metadata["self_test"][1]["atomic_energies"][2] += 1e-6
        return json.dumps(metadata).encode()

    with pytest.raises(ModelFileError, match="self-test"):
        load_model(rewritten(model, spoil))


def test_a_model_without_a_self_test_is_refused(model):
    with pytest.raises(ModelFileError, match="no self-test"):
        load_model(rewritten(model, edited(self_test=[])))


def test_changed_weights_are_noticed(model):
    data = model.read_bytes()
    with zipfile.ZipFile(model) as archive:
        biggest = max(
            (i for i in archive.infolist() if "/data/" in i.filename or "/constants/" in i.filename),
            key=lambda i: i.file_size,
        )
        offset = biggest.header_offset + 200 + biggest.file_size // 2
    broken = model.with_name("broken.pt")
    broken.write_bytes(data[:offset] + bytes([data[offset] ^ 0x10]) + data[offset + 1 :])
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(broken)


@pytest.mark.parametrize("keep", [0, 100, 5000, -30])
def test_a_truncated_file_is_refused(model, keep):
    cut = model.with_name("cut.pt")
    cut.write_bytes(model.read_bytes()[:keep])
    with pytest.raises(ModelFileError, match=r"not a model file|damaged"):
        load_model(cut)


def test_foreign_archives_are_refused(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "weights.pt")
    with pytest.raises(ModelFileError, match="not an equipot model"):
        load_model(tmp_path / "weights.pt")
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(tmp_path / "missing.pt")


class Writer(torch.nn.Module):
    """What an attacker would try: TorchScript's own operator that writes files."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def forward(self, species: torch.Tensor, edge_index: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        torch.save(species, self.target)
        return vectors.sum(1)


def test_a_model_that_would_write_a_file_is_refused_before_it_is_loaded(model, tmp_path):
    target = tmp_path / "owned"
    with zipfile.ZipFile(model) as archive:
        metadata = next(archive.read(n) for n in archive.namelist() if n.endswith("metadata.json"))
    evil = tmp_path / "evil.pt"
    torchscript.save(torchscript.script(Writer(str(target))), evil, {"metadata.json": metadata})
    with pytest.raises(ModelFileError, match=r"'save'.*refused"):
        load_model(evil)
    assert not target.exists()


def test_a_model_of_another_precision_agrees_to_rounding(tmp_path):
    from dataclasses import replace

    from equipot.network.potential import Potential

    single = make_potential(dtype="float32", l_max=2, features=[8, 4, 2])
    double = Potential(replace(single.spec, dtype="float64"))
    double.load_state_dict(single.state_dict())
    graph = model_input(single, random_atoms(6))
    a, b = predict(single, graph), predict(double, graph)
    torch.testing.assert_close(a.energy, b.energy, atol=1e-5, rtol=0)
    torch.testing.assert_close(a.forces, b.forces, atol=1e-4, rtol=0)


def test_the_tables_of_a_float32_file_are_those_of_double_precision_rounded():
    # Steep radial functions on close knots: in float32 their slopes would have few digits.
    double = make_potential(seed=2, radial_depth=2, spline="quintic", knots=513)
    for layer in double.layers:
        layer.radial.layers[0].weight.data *= 10
    single = with_precision(double, "float32")
    # The same weights, so that only the arithmetic differs.
    exact = DeployedPotential(with_precision(single, "float64"), FORMAT_VERSION).potential
    for a, b in zip(exact.layers, DeployedPotential(single, FORMAT_VERSION).potential.layers):
        assert torch.equal(a.radial.table.float(), b.radial.table)
