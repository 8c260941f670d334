"""Headers that ASE's parser would read with a loss: every value is read, or the frame is refused."""

import ase.io
import numpy as np
import pytest

from equipot.errors import DataError
from equipot.structures import read_frames

CELL = "3 0 0 0 4 0 0 0 5"
ROW = "Cu 0.5 0.0 0.0 0.1 0.2 0.3"
COLUMNS = "species:S:1:pos:R:3:forces:R:3"
SOUND = f'Lattice="{CELL}" Properties={COLUMNS} energy=-1.5 pbc="T T T"'


def read(tmp_path, header, row=ROW, encoding="utf-8"):
    path = tmp_path / "a.xyz"
    path.write_bytes(f"1\n{header}\n{row}\n".encode(encoding))
    return read_frames([str(path)])[0]


@pytest.mark.parametrize(
    "header",
    [
        f'lattice="{CELL}" properties={COLUMNS} energy=-1.5',
        f'LATTICE="{CELL}" Properties="Species:S:1:Pos:R:3:Forces:R:3" Energy=-1.5 PBC="T T T"',
        f'config_type= Lattice="{CELL}" Properties={COLUMNS} energy=-1.5',
        f'Lattice="{CELL}" Properties={COLUMNS} energy=-1.5 config_type=""',
        f'Lattice="{CELL}" Properties={COLUMNS} energy=-1.5 config_type=',
        f'Lattice = "{CELL}" Properties = {COLUMNS} energy = -1.5',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_spelling_gives_the_frame_of_the_usual_one(tmp_path, header, encoding):
    usual, other = read(tmp_path, SOUND), read(tmp_path, header, encoding=encoding)
    np.testing.assert_array_equal(other.cell, usual.cell)
    assert other.pbc.tolist() == [True, True, True]
    np.testing.assert_array_equal(other.forces, [[0.1, 0.2, 0.3]])
    assert other.energy == -1.5
    assert other.config_type == "default"


@pytest.mark.parametrize(
    ("header", "row", "sentence"),
    [
        (f'Lattice="{CELL}" energy=-1.5', "Cu 0 0 0", "no Properties"),
        ("energy=-1.5", ROW, "no Properties"),
        ("a comment", ROW, "7 columns, but plain XYZ has 4"),
        (f"{SOUND} lattice=1", ROW, "Lattice twice"),
        (SOUND, f"{ROW} 0.4", "8 columns, but Properties names 7"),
        (f'Lattice="{CELL}" Properties=species:S:1:forces:R:3', "Cu 0 0 0", "no element or position"),
        (f'Lattice="{CELL}" Properties=species:S:1:pos:R:3:forces', ROW, "not a list of name:type:columns"),
        (f'Lattice="{CELL}" Properties={COLUMNS}:forces:R:3', f"{ROW} 1 1 1", "the column forces twice"),
        (SOUND, ROW.replace("Cu", "Cu1"), "the species of atom 0 is 'Cu1'"),
        (SOUND, ROW.replace("Cu", "X"), "the species of atom 0 is 'X'"),
        (SOUND, ROW.replace("Cu", "Gh"), "the species of atom 0 is 'Gh'"),
        (f"{SOUND} FORCES=1 Energy=2", ROW, ""),
    ],
)
def test_what_cannot_be_read_without_loss_is_refused(tmp_path, header, row, sentence):
    if not sentence:  # a second spelling beside the standard one stays unread, and is named
        assert ("Energy", "energy") in read(tmp_path, header, row).unread
        return
    with pytest.raises(DataError, match=sentence) as error:
        read(tmp_path, header, row)
    assert "a.xyz: frame 0" in str(error.value)


def test_two_spellings_of_one_label_are_refused(tmp_path):
    header = f'Lattice="{CELL}" Properties={COLUMNS} Energy=-1 ENERGY=-2'
    with pytest.raises(DataError, match="energy_key"):
        read(tmp_path, header)


def test_a_text_in_another_encoding_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="iconv -t UTF-8"):
        read(tmp_path, f"{SOUND} author=Müller", encoding="latin-1")


def test_six_components_of_a_stress_are_those_of_ase(tmp_path):
    stress = read(tmp_path, f'{SOUND} stress="0.01 0.02 0.03 0.004 0.005 0.006"').stress
    np.testing.assert_array_equal(stress, [[0.01, 0.006, 0.005], [0.006, 0.02, 0.004], [0.005, 0.004, 0.03]])


def test_nine_numbers_of_a_frame_under_the_name_of_atomic_stresses_are_named(tmp_path):
    frame = read(tmp_path, f'{SOUND} stresses="1 0 0 0 1 0 0 0 1"')
    assert ("stresses", "stress") in frame.unread


def test_what_ase_writes_reads_as_before(tmp_path):
    usual = read(tmp_path, SOUND)
    atoms = usual.to_atoms()
    atoms.info |= {"note": "a 'quoted' = sign", "matrix": np.eye(3), "flag": True}
    ase.io.write(tmp_path / "b.extxyz", atoms)
    again = read_frames([str(tmp_path / "b.extxyz")])[0]
    np.testing.assert_array_equal(again.forces, usual.forces)
    np.testing.assert_array_equal(again.cell, usual.cell)
    assert again.energy == usual.energy
