"""The lines that `equipot lammps` prints can be pasted, whatever the paths hold."""

from pathlib import Path

from equipot.cli.lammps import input_snippet
from equipot.model_file import write_model
from tests.models import make_potential


def test_paths_with_blanks_are_quoted(tmp_path):
    folder = tmp_path / "my models"
    model = write_model(folder / "Si O.pt", make_potential(), verify=False)
    lines = input_snippet(str(model), Path("/my plugins/equipotplugin.so"))
    assert f'pair_coeff * * "{model}" Si O\n' in lines
    assert 'plugin load "/my plugins/equipotplugin.so"\n' in lines
    assert "pair_coeff * * model.pt Si O\n" in input_snippet(None, Path("/plugins/equipotplugin.so"))
