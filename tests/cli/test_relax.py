import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms, FixBondLength, FixScaled
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS

from equipot.calculators import EquipotCalculator
from equipot.cli.main import main
from tests.cli.simulation_inputs import UNUSABLE, one_sentence, path, silicon, unusable_structures

__all__ = ["path"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_end_is_the_one_that_ase_finds_with_the_calculator(path, folder, capsys):
    ase.io.write("si.extxyz", silicon())
    assert main(["relax", "si.extxyz", "-m", path, "--cell", "full", "--smax", "0.001"]) == 0
    found = ase.io.read("relaxed.extxyz")
    by_hand = silicon()
    by_hand.calc = EquipotCalculator(path)
    assert LBFGS(FrechetCellFilter(by_hand), logfile=None).run(fmax=2e-4, steps=300)
    assert found.get_potential_energy() == pytest.approx(by_hand.get_potential_energy(), abs=1e-5)
    assert found.get_volume() == pytest.approx(by_hand.get_volume(), rel=1e-4)
    assert np.abs(found.get_forces()).max() < 0.01
    assert found.info["converged"]
    # What the file says belongs to the positions in it.
    again = found.copy()
    again.calc = EquipotCalculator(path)
    assert again.get_potential_energy() == pytest.approx(found.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(again.get_stress(), found.get_stress(), atol=1e-7)
    text = capsys.readouterr().out
    assert "written to relaxed.extxyz, every step to relaxed-steps.extxyz" in text
    steps = ase.io.read("relaxed-steps.extxyz", ":")
    assert [a.info["step"] for a in steps] == list(range(len(steps)))
    assert found.info["steps"] == len(steps) - 1
    assert steps[0].get_potential_energy() > steps[-1].get_potential_energy()


def test_a_strained_slab_returns_to_the_lattice_that_it_has_with_periodic_vacuum(path, capsys):
    slab = silicon(None)
    slab.center(vacuum=5.0, axis=2)
    slab.pbc = True
    ase.io.write("periodic.extxyz", slab)
    slab.pbc = (True, True, False)
    slab.set_cell(slab.cell @ np.array([[1.03, 0.02, 0], [0.02, 0.98, 0], [0, 0, 1]]), scale_atoms=True)
    ase.io.write("slab.extxyz", slab)
    tight = ["--fmax", "0.0005", "--smax", "0.0005", "-m", path]
    assert main(["relax", "periodic.extxyz", "--cell", "xy", "-o", "a.extxyz", *tight]) == 0
    assert main(["relax", "slab.extxyz", "--cell", "full", "-o", "b.extxyz", *tight]) == 0
    periodic, layer = ase.io.read("a.extxyz"), ase.io.read("b.extxyz")
    np.testing.assert_allclose(layer.cell.cellpar(), periodic.cell.cellpar(), atol=0.01)
    assert np.abs(layer.cell.lengths()[:2] - slab.cell.lengths()[:2]).max() > 0.1
    np.testing.assert_array_equal(layer.cell[2], slab.cell[2])
    assert layer.pbc.tolist() == [True, True, False]
    # The file has the stress, and none is left in the plane; 0.0005 GPa are 3e-6 eV/Å³.
    assert np.abs(layer.get_stress()[[0, 1, 5]]).max() < 3.2e-6
    assert "pressure (GPa)" in capsys.readouterr().out


def test_all_structures_of_a_file_are_relaxed_with_what_else_they_hold(path, folder, capsys):
    frames = [silicon(seed, 0.03) for seed in range(3)]
    for k, atoms in enumerate(frames):
        atoms.info |= {"name": f"number {k}", "dft_energy": -43.0}
        atoms.arrays["dft_forces"] = np.zeros((8, 3))
    ase.io.write("three.extxyz", frames)
    assert main(["relax", "three.extxyz", "-m", path, "-o", "out/all.xyz", "--fmax", "0.02"]) == 0
    found = ase.io.read("out/all.xyz", ":")
    assert [a.info["name"] for a in found] == ["number 0", "number 1", "number 2"]
    for atoms in found:
        assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.02
        # Labels of the structure as it was would be wrong here.
        assert "dft_energy" not in atoms.info
        assert "dft_forces" not in atoms.arrays
    assert {a.info["structure"] for a in ase.io.read("out/all-steps.xyz", ":")} == {0, 1, 2}
    rows = [line for line in capsys.readouterr().out.splitlines() if " Si " in line]
    assert len(rows) == 3


def test_without_convergence_the_files_are_written_and_the_exit_code_is_1(path, folder, capsys):
    ase.io.write("si.extxyz", [silicon(1), silicon(None), silicon(3)])
    assert main(["relax", "si.extxyz", "-m", path, "--steps", "2", "--no-trajectory"]) == 1
    assert [a.info["converged"] for a in ase.io.read("relaxed.extxyz", ":")] == [False, True, False]
    assert not (folder / "relaxed-steps.extxyz").exists()
    one_sentence(capsys, "relax", "structures 0, 2 of si.extxyz did not relax to 0.01 eV/Å in 2 steps")


def test_a_frame_of_a_trajectory_can_be_chosen(path, folder):
    ase.io.write("two.extxyz", [silicon(1), silicon(None)])
    assert main(["relax", "two.extxyz@-1", "-m", path]) == 0
    assert ase.io.read("relaxed.extxyz").info["steps"] == 0


def test_an_earlier_output_is_replaced_only_on_demand(path, folder, capsys):
    ase.io.write("one.extxyz", silicon(None))
    ase.io.write("bad.extxyz", [silicon(None), Atoms("Si2", [[0, 0, 0], [0, 0, 2.2]])])
    assert main(["relax", "one.extxyz", "-m", path]) == 0
    before = (folder / "relaxed.extxyz").read_bytes()
    capsys.readouterr()
    assert main(["relax", "bad.extxyz", "-m", path]) == 1
    one_sentence(capsys, "relax", "relaxed.extxyz exists")
    # What cannot be relaxed is known before the file is touched.
    assert main(["relax", "bad.extxyz", "-m", path, "--cell", "full", "--overwrite"]) == 1
    one_sentence(capsys, "relax", "bad.extxyz, structure 1: the cell cannot be relaxed")
    assert (folder / "relaxed.extxyz").read_bytes() == before
    assert main(["relax", "bad.extxyz@0", "-m", path, "--overwrite"]) == 0


def test_ctrl_c_keeps_the_steps_so_far_and_no_empty_result(path, folder, capsys, monkeypatch):
    ase.io.write("si.extxyz", silicon())
    calculate, calls = EquipotCalculator.calculate, []

    def stopped(*arguments, **named):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return calculate(*arguments, **named)

    monkeypatch.setattr(EquipotCalculator, "calculate", stopped)
    assert main(["relax", "si.extxyz", "-m", path]) == 130
    assert "interrupted; the finished steps are in relaxed-steps.extxyz" in capsys.readouterr().err
    assert [a.info["step"] for a in ase.io.read("relaxed-steps.extxyz", ":")] == [0, 1, 2]
    assert not (folder / "relaxed.extxyz").exists()


def test_a_full_disk_is_one_sentence(path, folder, capsys):
    ase.io.write("si.extxyz", silicon())
    (folder / "full.extxyz").symlink_to("/dev/full")
    assert main(["relax", "si.extxyz", "-m", path, "-o", "full.extxyz", "--steps", "1"]) == 1
    one_sentence(capsys, "relax", "full.extxyz: No space left on device")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *UNUSABLE,
        (["overlap.extxyz"], "overlap.extxyz, structure 0: the prediction of energy is not finite"),
        (["overlap.extxyz", "--symmetry"], "structure 0: the symmetry of the crystal is not recognised"),
        (["si.extxyz", "-o", "copper.extxyz"], "copper.extxyz exists; replace it with --overwrite"),
        (["dimer.extxyz", "--cell", "full"], "dimer.extxyz, structure 0: the cell cannot be relaxed"),
        (["si.extxyz", "--fmax", "0"], "fmax is 0; expected a positive number in eV/Å"),
        (["si.extxyz", "--pressure", "3"], "cannot follow it"),
        (["si.extxyz", "--steps", "-2"], "number of steps is -2"),
        (["si.extxyz", "-o", "si.extxyz"], "si.extxyz is the input file"),
        (["si.extxyz", "-o", "POSCAR"], "must end in .extxyz or .xyz"),
        (["si.extxyz", "-o", "sub.xyz"], "sub.xyz is a folder"),
    ],
)
def test_what_cannot_be_relaxed_is_one_sentence(path, folder, capsys, arguments, words):
    unusable_structures(folder)
    (folder / "sub.xyz").mkdir()
    model = [] if "-m" in arguments else ["-m", path]
    assert main(["relax", *arguments, *model]) == 1
    one_sentence(capsys, "relax", words)


def test_help_teaches_by_examples(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["relax", "--help"])
    assert leaving.value.code == 0
    assert "equipot relax crystal.cif -m model.pt --cell full" in capsys.readouterr().out


def test_selective_dynamics_hold_in_the_second_relaxation_too(path, folder):
    atoms = silicon()
    atoms.set_constraint([FixAtoms([0]), FixScaled(3, (True, False, True))])
    ase.io.write("sel.vasp", atoms, format="vasp")
    assert main(["relax", "sel.vasp", "-m", path, "-o", "one.extxyz", "--fmax", "0.1"]) == 0
    assert main(["relax", "one.extxyz", "-m", path, "-o", "two.extxyz", "--fmax", "0.02"]) == 0
    one, two = ase.io.read("one.extxyz"), ase.io.read("two.extxyz")
    moved = np.abs(two.positions - one.positions)
    assert moved[0].max() == 0
    assert moved[3, [0, 2]].max() == 0
    assert moved[3, 1] > 0


def test_a_constraint_that_the_files_cannot_hold_is_named(path, folder, capsys):
    atoms = silicon()
    atoms.set_constraint(FixBondLength(0, 1))
    ase.io.write("si.traj", atoms)
    main(["relax", "si.traj", "-m", path, "--steps", "2"])
    assert "FixBondLength" in capsys.readouterr().err
