import gzip
import lzma

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from equipot.config import DataConfig
from equipot.errors import DataError
from equipot.structures import LabelKeys, frame_from_atoms, iter_frames, read_frames

HEADER = 'Lattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5'
ROW = "Cu 0.0 0.0 0.0 0.1 0.2 0.3"


def write(path, *frames):
    path.write_text("".join(f"{f}\n" for f in frames))
    return [str(path)]


def frame(header=HEADER, *rows):
    rows = rows or (ROW,)
    return "\n".join([str(len(rows)), header, *rows])


def test_labels_survive_ase_writing_and_reading(tmp_path, strained_trajectory):
    for name in ("a.extxyz", "a.traj", "a.db", "a.json", "a.xyz"):
        ase.io.write(tmp_path / name, [f.to_atoms() for f in strained_trajectory])
        read = read_frames([str(tmp_path / name)])
        assert len(read) == len(strained_trajectory)
        for k, (a, b) in enumerate(zip(read, strained_trajectory)):
            assert a.source == f"{tmp_path / name}#{k}"
            assert a.energy == pytest.approx(b.energy, abs=1e-9)
            np.testing.assert_allclose(a.positions, b.positions, atol=1e-7)
            np.testing.assert_allclose(a.cell, b.cell, atol=1e-9)
            np.testing.assert_allclose(a.forces, b.forces, atol=1e-7)
            np.testing.assert_allclose(a.stress, b.stress, atol=1e-9)
            assert a.pbc.tolist() == b.pbc.tolist()
            assert a.unread == ()


def test_globs_are_sorted_and_every_file_is_read_once(tmp_path):
    for name in ("b.xyz", "a.xyz", "c.xyz"):
        write(tmp_path / name, frame())
    patterns = [str(tmp_path / "c.xyz"), str(tmp_path / "*.xyz")]
    assert [f.source[-7] for f in read_frames(patterns)] == ["c", "a", "b"]


def test_a_pattern_without_files_is_an_error(tmp_path):
    write(tmp_path / "a.xyz", frame())
    with pytest.raises(DataError, match="matches no file"):
        read_frames([str(tmp_path / "a.xyz"), str(tmp_path / "*.db")])
    with pytest.raises(DataError, match="no such file"):
        read_frames([str(tmp_path / "b.xyz")])


def test_a_name_with_brackets_or_an_at_sign_is_taken_literally(tmp_path):
    assert len(read_frames(write(tmp_path / "run[1]@2.xyz", frame(), frame()))) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is empty"),
        ("\n\n", "holds no structures"),
        (
            frame() + "\n2\n" + HEADER + "\n" + ROW + "\n",
            r"frame 1 \(line 4\): the file ends after 1 of 2 atoms",
        ),
        (
            frame(HEADER, ROW, ROW, ROW)[:-1],
            r"frame 0 .*the file ends inside the number 0\.; it is truncated",
        ),
        (frame() + "\n2\n", "frame 1 .*the file ends after 0 of 2 atoms"),
        (frame(HEADER, ROW, "Cu 0.0 1.0 0.0 0.1 0.2"), "atom 1 has 6 columns, but Properties names 7"),
        (frame(HEADER, ROW, ROW + " 9.0"), "atom 1 has 8 columns, but Properties names 7"),
        (frame(HEADER, ROW.replace("0.3", "x")), "frame 0 .*not a readable extended XYZ frame"),
        (frame() + "\nmany\n", "frame 1 .*expected the number of atoms, found 'many'"),
        (frame(HEADER.replace("forces:R:3", "forces:R:2"), "Cu 0 0 0 1 1"), r"forces has the shape \(1, 2\)"),
        (frame(HEADER.replace("-1.5", '"-1.5 2.0"')), "energy holds 2 values"),
        (frame(HEADER + ' stress="1 2 3 0 1 2 0 0 1"'), "stress is not symmetric"),
        (frame(HEADER.replace("3 0 0 0 3 0 0 0 3", "3 0 0 0 3 0 0 6 0")), "periodic along a and b and c"),
        (
            frame(HEADER.split(" Prop")[0][:0] + 'pbc="T T T" Properties=species:S:1:pos:R:3', "Cu 0 0 0"),
            "give a cell",
        ),
    ],
)
def test_a_broken_file_is_one_sentence_with_its_name(tmp_path, text, sentence):
    path = tmp_path / "broken.xyz"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence) as error:
        read_frames([str(path)])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_no_structures_are_one_sentence(tmp_path):
    (tmp_path / "a.traj").write_bytes(b"not a trajectory at all")
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    (tmp_path / "noise.xyz").write_bytes(bytes(range(128, 256)))
    for path in tmp_path.iterdir():
        with pytest.raises(DataError, match=path.name):
            read_frames([str(path)])


@pytest.mark.parametrize(("suffix", "opener"), [(".xz", lzma.open), (".gz", gzip.open)])
def test_compressed_files_read_like_plain_ones_and_truncated_ones_are_errors(tmp_path, suffix, opener):
    text = "\n".join([frame()] * 300) + "\n"
    path = tmp_path / f"set.extxyz{suffix}"
    with opener(path, "wt") as file:
        file.write(text)
    assert len(read_frames([str(path)])) == 300
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_frames([str(path)])


def test_other_formats_may_be_lzma_compressed(tmp_path):
    ase.io.write(tmp_path / "a.cif", bulk("Cu", cubic=True))
    with lzma.open(tmp_path / "a.cif.xz", "wb") as file:
        file.write((tmp_path / "a.cif").read_bytes())
    (read,) = read_frames([str(tmp_path / "a.cif.xz")])
    assert (len(read), read.source) == (4, f"{tmp_path / 'a.cif.xz'}#0")


def test_blank_lines_between_frames_and_frames_without_atoms_are_read(tmp_path):
    empty = "0\nenergy=0.0"
    frames = read_frames(write(tmp_path / "a.xyz", frame(), "", empty, frame(), "", ""))
    assert [len(f) for f in frames] == [1, 0, 1]
    assert frames[1].energy == 0.0


def test_named_keys_are_read_from_info_arrays_and_results(tmp_path):
    header = HEADER.replace("forces", "REF_forces").replace(" energy", " energy=7 REF_energy")
    files = write(tmp_path / "a.xyz", frame(header + ' REF_stress="1 2 3 4 5 6" group=surface'))
    (read,) = read_frames(
        files,
        LabelKeys(
            {"energy": "REF_energy", "forces": "REF_forces", "stress": "REF_stress"}, config_type="group"
        ),
    )
    assert (read.energy, read.energy_key, read.config_type) == (-1.5, "REF_energy", "surface")
    assert read.forces.tolist() == [[0.1, 0.2, 0.3]]
    # ASE's order: xx yy zz yz xz xy
    assert read.stress.tolist() == [[1, 6, 5], [6, 2, 4], [5, 4, 3]]
    assert read.unread == (("energy", "energy"),)
    (plain,) = read_frames(files)
    assert (plain.energy, plain.forces, plain.stress, plain.config_type) == (7.0, None, None, "default")
    assert [key for key, _ in plain.unread] == ["REF_energy", "REF_forces", "REF_stress"]
    (by_name,) = read_frames(files, LabelKeys({"energy": "energy"}))
    assert by_name.energy == 7.0


def test_a_named_key_that_no_frame_has_is_an_error_with_near_names(tmp_path):
    files = write(tmp_path / "a.xyz", frame(HEADER.replace("forces", "dft_forces")))
    with pytest.raises(DataError, match=r"forces_key is 'DFT_forces'.*did you mean dft_forces"):
        read_frames(files, LabelKeys({"forces": "DFT_forces"}))
    with pytest.raises(DataError, match="stress_key is 'stress', which no frame has"):
        read_frames(files, LabelKeys({"stress": "stress"}))


def test_a_named_key_may_be_missing_in_some_frames(tmp_path):
    files = write(tmp_path / "a.xyz", frame(), frame(HEADER + " E=2.0"))
    assert [f.energy for f in read_frames(files, LabelKeys({"energy": "E"}))] == [None, 2.0]


def test_keys_come_from_the_config():
    config = DataConfig(train="a.xyz", energy_key="E", virial_key="W")
    assert LabelKeys.from_config(config) == LabelKeys({"energy": "E", "virial": "W"})


def test_the_free_energy_is_read_where_there_is_one():
    atoms = Atoms("Cu")
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, free_energy=-1.1)
    read = frame_from_atoms(atoms)
    assert (read.energy, read.energy_key, read.unread) == (-1.1, "free_energy", ())


def test_a_virial_becomes_minus_itself_over_the_volume(tmp_path):
    files = write(tmp_path / "a.xyz", frame(HEADER + ' W="27 0 0 0 54 0 0 0 81"'))
    (read,) = read_frames(files, LabelKeys({"virial": "W"}))
    np.testing.assert_allclose(read.stress, np.diag([-1.0, -2.0, -3.0]))


def test_a_virial_without_a_volume_is_an_error(tmp_path):
    files = write(tmp_path / "a.xyz", frame(HEADER + ' pbc="F F F" W="27 0 0 0 54 0 0 0 81"'))
    with pytest.raises(DataError, match="W cannot become a stress, because the frame has no volume"):
        read_frames(files, LabelKeys({"virial": "W"}))


def test_forces_on_fixed_atoms_are_read_as_they_are_stored():
    atoms = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.4]], constraint=FixAtoms([0]))
    atoms.calc = SinglePointCalculator(atoms, forces=np.ones((2, 3)))
    assert frame_from_atoms(atoms).forces.tolist() == np.ones((2, 3)).tolist()


def test_labels_that_are_not_finite_are_read(tmp_path):
    (read,) = read_frames(
        write(tmp_path / "a.xyz", frame(HEADER.replace("-1.5", "NaN"), ROW.replace("0.3", "inf")))
    )
    assert np.isnan(read.energy)
    assert np.isinf(read.forces[0, 2])


def test_reading_is_lazy(tmp_path):
    files = write(tmp_path / "a.xyz", frame(), frame(), "broken")
    frames = iter_frames(files)
    assert [next(frames).energy, next(frames).energy] == [-1.5, -1.5]
    with pytest.raises(DataError, match="frame 2"):
        next(frames)
