"""Bad inputs and faults, each with what has to be said about it.

Sentences that LAMMPS itself speaks are in the table as well: what matters to a user is that every one of these ends.
"""

import numpy as np
import torch

from tests.lammps import broken_files as files
from tests.lammps.fault import KEPT, Fault, before_run, coeff, elements, hybrid, molecule, settings, swap

ZBL = "pair_coeff 1 1 zbl 14 14\npair_coeff 1 2 zbl 14 8\npair_coeff 2 2 zbl 8 8\n"
# Two atoms at one place; on several ranks not all of them see the pair.
COINCIDE = "set atom 1 x 2 y 2 z 2\nset atom 2 x 2 y 2 z 2"
NAN = "variable nan atom exp(1000)-exp(1000)\n"
FLUX = (
    "compute k all ke/atom\ncompute e all pe/atom\ncompute s all stress/atom NULL virial\n"
    "compute j all heat/flux k e s"
)

SETTINGS = [
    Fault("newton off", "needs newton on", swap("newton on", "newton off")),
    Fault("newton off for pairs", "needs newton on", swap("newton on", "newton off on")),
    Fault("units lj", "works in units metal or real, not lj", swap("units metal", "units lj")),
    Fault("units si", "works in units metal or real, not si", swap("units metal", "units si")),
    Fault("units electron", "metal or real, not electron", swap("units metal", "units electron")),
    Fault("unknown element", "has no element 'Ge'; it was trained for: Si O", elements("Si Ge")),
    Fault("element in small letters", "for: Si O; symbols are case-sensitive, so write Si", elements("si O")),
    Fault(
        "too few elements",
        "names 1 element, but there are 2 atom types; give one for each type, for example: "
        "pair_coeff * * model.pt Si Si (the model knows: Si O",
        elements("Si"),
    ),
    Fault("too many elements", "names 3 elements, but there are 2 atom types", elements("Si O O")),
    Fault("no elements", "expected * * <model file>", coeff("pair_coeff * *\n")),
    Fault(
        "style named without hybrid",
        "with pair_style hybrid only",
        coeff("pair_coeff * * equipot model.pt Si O\n"),
    ),
    Fault("a type NULL", "atom type 2 is NULL, which needs pair_style hybrid", elements("Si NULL")),
    Fault("all types NULL", "atom type 1 is NULL, which needs pair_style hybrid", elements("NULL NULL")),
    Fault("a GPU", "this plugin was built for CPUs", settings("device cuda")),
    Fault("another device", "it is 'tpu', expected cpu, cuda or cuda:N", settings("device tpu")),
    Fault("threads 0", "threads is '0', expected", settings("threads 0")),
    Fault("threads -1", "threads is '-1', expected", settings("threads -1")),
    Fault("threads x", "threads is 'x', expected", settings("threads x")),
    Fault("threads 1.5", "threads is '1.5', expected", settings("threads 1.5")),
    Fault("threads 100000", "threads is '100000', expected", settings("threads 100000")),
    Fault("threads without a number", "unknown or incomplete setting 'threads'", settings("threads")),
    Fault("cutoff as a setting", "unknown or incomplete setting '5.0'", settings("5.0")),
    Fault("timing maybe", "timing is 'maybe', expected yes or no", settings("timing maybe")),
    Fault("timing alone", "unknown or incomplete setting 'timing'", settings("timing")),
    Fault("no pair_coeff", "pair coeffs are not set", coeff("")),
    Fault("pair_coeff 1 1", "must start with * *", coeff("pair_coeff 1 1 model.pt Si O\n")),
    Fault("pair_coeff first", "without a pair style", swap("pair_style", "pair_coeff * * x O\npair_style")),
    Fault("pair_style again, wrong", "threads is '0', expected", before_run("pair_style equipot threads 0")),
    Fault("pair_coeff again, wrong", "no element 'C'", before_run("pair_coeff * * model.pt C O")),
    Fault("no such file", "model.pt: it does not exist", model=files.no_file),
    Fault(
        "restart without pair_style",
        "re-specify non-restarted pair style",
        before_run("write_restart half\nclear\nread_restart half"),
    ),
]

SURROUNDINGS = [
    Fault(
        "a type beyond all",
        "Invalid atom type",
        before_run("set atom 3 type 3"),
        may_be_lost=True,
    ),
    Fault("exclude types", "neigh_modify exclude", before_run("neigh_modify exclude type 1 1")),
    Fault(
        "exclude two groups",
        "neigh_modify exclude",
        before_run("group a id 1:10\ngroup b id 11:20\nneigh_modify exclude group a b"),
    ),
    Fault(
        "exclude within molecules",
        "neigh_modify exclude",
        molecule(f"{KEPT}\nneigh_modify exclude molecule/intra all"),
    ),
    Fault(
        "neighbours of one group only",
        "neigh_modify include",
        before_run("group a id 1:10\natom_modify first a\nneigh_modify include a"),
    ),
    Fault(
        "ghosts of one group only",
        "comm_modify group",
        before_run("group a id 1:10\natom_modify first a\ncomm_modify group a"),
    ),
    Fault("ghosts by type", "'multi'", before_run("comm_modify mode multi cutoff/multi 1 1.0")),
    Fault("bonded neighbours left out", "special_bonds removes bonded neighbours", molecule("")),
    Fault(
        "a pair given to another style",
        "atom types 1 and 2 both belong to pair_style equipot",
        hybrid(
            "pair_style hybrid equipot zbl 3 4\n"
            "pair_coeff * * equipot model.pt Si O\npair_coeff 1 2 zbl 14 8\n"
        ),
    ),
    Fault(
        "hybrid, all types NULL",
        "all atom types are NULL",
        hybrid(f"pair_style hybrid equipot zbl 3 4\npair_coeff * * equipot model.pt NULL NULL\n{ZBL}"),
    ),
    Fault(
        "hybrid, a pair of nobody",
        "pair coeffs are not set",
        hybrid("pair_style hybrid equipot zbl 3 4\npair_coeff * * equipot model.pt Si NULL\n"),
    ),
    Fault("heat flux of stress/atom", "centroid/stress/atom", before_run(FLUX)),
    Fault(
        "forces by pairs",
        "tally",
        before_run("compute t all force/tally all\nthermo_style custom step c_t"),
        needs="force/tally",
    ),
    Fault("energies by pairs", "not support compute pair/local", before_run("compute p all pair/local eng")),
    Fault("forces of groups", "not support compute group/group", before_run("compute g all group/group all")),
    Fault(
        "stress through a plane",
        "does not support compute stress/mop",
        before_run("compute m all stress/mop x center total"),
        needs="stress/mop",
    ),
    Fault("a table of pairs", "does not support pair_write", before_run("pair_write 1 2 9 r 1 3 file X")),
    Fault("respa by distance", "rRESPA", before_run("run_style respa 2 2 inner 1 2.0 3.0 outer 2")),
]

RUNS = [
    Fault(
        "atoms at one place",
        "energy or forces are not finite at step 0",
        before_run(COINCIDE),
        files.with_repulsion,
    ),
    Fault(
        "atoms at one place, minimised",
        "energy or forces are not finite at step 0",
        swap("run 0", f"{COINCIDE}\nminimize 0 1e-3 10 10"),
        files.with_repulsion,
    ),
    Fault(
        "an atom nowhere",
        "Non-numeric atom coords",
        before_run(f"{NAN}set atom 1 x v_nan"),
        may_be_lost=True,
    ),
    Fault(
        "an atom nowhere during the run",
        "position is not a number at step 1",
        swap("run 0", f"{NAN}run 0\nset atom 1 vx v_nan\nfix 1 all nve\nrun 5"),
    ),
    Fault(
        "lost atoms",
        "Lost atoms",
        lambda script: swap("run 0", "velocity all set 9e5 9e5 9e5\nfix 1 all nve\nthermo 1\nrun 50")(
            script.replace("boundary p p p", "boundary f f f")
        ),
    ),
    Fault(
        "neighbour list too short",
        "Neighbor list overflow",
        before_run("neigh_modify page 100 one 5"),
        may_be_lost=True,
    ),
]

MODELS = [
    Fault("a folder", "is a folder", model=files.folder),
    Fault("a pipe", "no regular file", model=files.pipe),
    Fault("an empty file", "is empty", model=files.empty),
    Fault("an unreadable file", "cannot be read", model=files.unreadable),
    Fault("a text", "damaged or no model file", model=files.text),
    Fault("half a file", "damaged or no model file", model=files.shortened(0.5)),
    Fault("all but the last byte", "damaged or no model file", model=files.shortened(1.0)),
    Fault("a bit of the weights", "damaged", model=files.flipped("*/program.bin")),
    Fault("a bit of the program", "damaged", model=files.flipped("*/program.json")),
    Fault("a checkpoint", "is a checkpoint, not an exported model", model=files.checkpoint),
    Fault("a zip archive", "is no equipot model", model=files.archive),
    Fault("other TorchScript", "is no equipot model", model=files.other(files.Foreign)),
    Fault("a model that writes files", "is no equipot model", model=files.other(files.Dangerous)),
    Fault(
        "a model of an earlier version", "export it again with `equipot export`", model=files.without_program
    ),
    Fault(
        "a version of the future",
        "version 99, this equipot runs up to 1",
        model=files.with_entry(["version"], 99),
    ),
    Fault("a version in words", "is not an integer", model=files.with_entry(["version"], "two")),
    Fault(
        "an operator of the future",
        "the operator 'attention', which this equipot does not know",
        model=files.with_entry(["operators", -1, "kind"], "attention"),
    ),
    Fault(
        "half precision", "float16, expected float32 or float64", model=files.with_entry(["dtype"], "float16")
    ),
    Fault("other energies", "fails its self-test", model=files.tested("energies", lambda e: e + 1e-6)),
    Fault("other forces", "fails its self-test", model=files.tested("edge_gradient", lambda g: g * 1.01)),
    Fault(
        "weights not finite", "not finite", model=files.of_operator("linear", "weight", lambda w: w * np.nan)
    ),
    Fault(
        "other weights",
        "fails its self-test",
        model=files.of_operator("linear", "weight", lambda w: w * 1.01),
    ),
    Fault("a self-test of nothing", "self-test has no structures", model=files.with_entry(["self_test"], [])),
    Fault("no self-test", "has no self-test", model=files.with_entry(["self_test"], None)),
    Fault(
        "a self-test of another species",
        "fails its self-test",
        model=files.tested("species", lambda s: s + 99),
    ),
    Fault(
        "a self-test of atoms that are not",
        "fails its self-test",
        model=files.tested("edge_index", lambda e: e + 999),
    ),
    Fault("no cutoff", "it has no cutoff", model=files.with_entry(["cutoff"], None)),
    Fault("no type names", "it has no type_names", model=files.with_entry(["type_names"], None)),
    Fault("one element too few", "another shape", model=files.with_entry(["type_names"], ["Si"])),
    Fault("cutoffs beyond the cutoff", "cutoff", model=files.with_entry(["cutoff"], 1.0)),
    Fault("one layer too few", "never used", model=files.with_entry(["operators", -1], None)),
]

# Those of the file's TorchScript, which only a plugin for GPUs reads.
TORCHSCRIPT = [
    Fault(
        "a model that fails",
        "pair_style equipot failed at step 0: atoms coincide",
        before_run(COINCIDE),
        files.rebuilt(kind=files.FailsWhenClose),
    ),
    Fault("a text", "damaged or no model file", model=files.text),
    Fault("half a file", "damaged or no model file", model=files.shortened(0.5)),
    Fault("all but the last byte", "damaged or no model file", model=files.shortened(1.0)),
    Fault("a bit of the weights", "damaged", model=files.flipped("*/data/*")),
    Fault("a bit of the code", "damaged", model=files.flipped("*.py")),
    Fault("a bit of the attributes", "damaged", model=files.flipped("*/data.pkl")),
    Fault("a checkpoint", "is a checkpoint, not an exported model", model=files.checkpoint),
    Fault("a zip archive", "damaged or no model file", model=files.archive),
    Fault("other TorchScript", "is TorchScript but no whole equipot model", model=files.other(files.Foreign)),
    Fault(
        "a model that writes files", "calls 'save', which no model needs", model=files.other(files.Dangerous)
    ),
    Fault(
        "a format of the future",
        "has format version 99, this plugin reads up to",
        model=files.altered(format_version=99),
    ),
    Fault("a format in words", "not of the expected kind", model=files.rebuilt(format_version="two")),
    Fault(
        "half precision",
        "float16, expected float32 or float64",
        model=files.altered(dtype="float16"),
    ),
    Fault("other energies", "fails its self-test", model=files.self_test(3, lambda e: e + 1e-6)),
    Fault("other forces", "fails its self-test", model=files.self_test(4, lambda g: g * 1.01)),
    Fault("weights not finite", "fails its self-test", model=files.not_finite),
    Fault("a self-test of nothing", "self_test", model=files.altered(self_test=lambda cases: [])),
    Fault("no self-test", "has no self_test", model=files.rebuilt(remove="self_test")),
    Fault(
        "a self-test in single precision",
        "not of the expected kind",
        model=files.self_test(2, lambda v: v.float()),
    ),
    Fault(
        "a self-test of another species", "fails its self-test", model=files.self_test(0, lambda s: s + 99)
    ),
    Fault(
        "a self-test of atoms that are not",
        "fails its self-test",
        model=files.self_test(1, lambda e: e + 999),
    ),
    Fault("no cutoff", "cutoff", model=files.rebuilt(remove="cutoff")),
    Fault("no type names", "type_names", model=files.rebuilt(remove="type_names")),
    Fault(
        "too few cutoffs",
        "sizes",
        model=files.rebuilt(pair_cutoffs=torch.full((1, 1), 4.0, dtype=torch.float64)),
    ),
    Fault(
        "cutoffs that are no numbers", "cutoff", model=files.altered(pair_cutoffs=lambda c: c * float("nan"))
    ),
    Fault("cutoffs beyond the cutoff", "cutoff", model=files.altered(pair_cutoffs=lambda c: c * 1e6)),
    Fault("one layer too many", "sizes", model=files.altered(n_layers=4)),
    Fault("other widths of layers", "self-test", model=files.altered(feature_dims=lambda widths: [2] * 3)),
]

FAULTS = [*SETTINGS, *SURROUNDINGS, *RUNS, *MODELS]
