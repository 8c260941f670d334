"""The lines that `equipot lammps` prints can be pasted, whatever the paths hold."""

from pathlib import Path

import pytest

from equipot.cli.lammps import input_snippet
from equipot.cli.main import main
from equipot.model_file import write_model
from tests.models import make_potential


def test_paths_with_blanks_are_quoted(tmp_path):
    folder = tmp_path / "my models"
    model = write_model(folder / "Si O.pt", make_potential(), verify=False)
    lines = input_snippet(str(model), Path("/my plugins/equipotplugin.so"), "Si O")
    assert f'pair_coeff * * "{model}" Si O\n' in lines
    assert 'plugin load "/my plugins/equipotplugin.so"\n' in lines
    assert "pair_coeff * * model.pt Si O\n" in input_snippet(None, Path("/plugins/equipotplugin.so"), "Si O")


@pytest.mark.parametrize("options", [[], ["--bundle", "bundle"]])
def test_a_missing_model_is_refused_before_the_plugin_is_compiled(tmp_path, monkeypatch, capsys, options):
    def compiled(*arguments):
        raise AssertionError("the plugin was compiled")

    monkeypatch.setattr("equipot.cli.lammps.build_plugin", compiled)
    monkeypatch.chdir(tmp_path)
    assert main(["lammps", "--model", "nomodel.pt", *options]) == 1
    assert "nomodel.pt" in capsys.readouterr().err
