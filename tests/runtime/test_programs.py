"""Programs that are damaged, newer or hostile end in one sentence."""

import json
import subprocess
import sys

import pytest

from equipot.errors import ModelFileError
from equipot.network.program import VERSION
from equipot.runtime import RuntimeModel
from tests.models import OURS, make_potential

MODEL = {**OURS, "layer_norm": True}


class Changed:
    """A program with another text or other arrays."""

    def __init__(self, text: str, data: bytes) -> None:
        self.text, self.data = (lambda: text), (lambda: data)


def changed(change) -> Changed:
    program = make_potential(**MODEL).program()
    values = json.loads(program.text())
    change(values)
    return Changed(json.dumps(values), program.data())


def set_field(kind, field, value):
    def change(values):
        next(op for op in values["operators"] if op["kind"] == kind)[field] = value

    return change


def added_columns(values):
    """The array of the first residual's columns; those at offset 0 are float64 cutoffs, huge as integers."""
    return next(op for op in values["operators"] if op["kind"] == "add")["columns"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            set_field("gate", "kind", "attention"),
            "it has the operator 'attention', which this equipot does not know",
        ),
        (lambda v: v.update(version=VERSION + 1), f"this equipot runs up to {VERSION};"),
        (lambda v: v.update(cutoff=500.0), "cutoff of 500.* Å, expected more than 0 and less than 100"),
        (lambda v: v.update(dtype="float16"), "dtype is float16, expected float32 or float64"),
        (lambda v: v.pop("columns"), "it has no columns"),
        (set_field("gate", "x", 10**6), "its operator gate: x is no value"),
        (set_field("linear", "blocks", -1), "its operator linear: blocks is no array"),
        (set_field("embed", "out", 1), "is read before it is written"),
        (
            lambda v: v["arrays"][added_columns(v)].update(offset=0),
            "columns holds a number that is too large",
        ),
        (set_field("layer_norm", "epsilon", 0.0), "the epsilon of a layer norm is not positive"),
        (set_field("layer_norm", "means", 0), "its operator layer_norm: means has another shape"),
        (lambda v: v["operators"].pop(), "a value of its program is never used"),
        (lambda v: v["arrays"][3].update(offset=10**9), "an array lies outside of the data"),
        (lambda v: v["arrays"][3].update(shape=[-1, 6]), "a size below 0"),
    ],
)
def test_a_program_that_cannot_run_is_one_sentence(change, sentence):
    with pytest.raises(ModelFileError, match=sentence) as failure:
        RuntimeModel.from_program(changed(change))
    assert "\n" not in str(failure.value)


def test_weights_that_are_not_finite_are_refused():
    potential = make_potential(**MODEL)
    potential.layers[1].linear_out.weight.data[0, 0] = float("nan")
    with pytest.raises(ModelFileError, match="weight holds a number that is not finite"):
        RuntimeModel.from_program(potential.program())


@pytest.mark.parametrize(
    "text", ["", "{", '{"version": 1', "[" * 100, '{"version": 1e999}', "{} x", '{"a": "\\u0041"}']
)
def test_a_text_that_is_no_program_is_one_sentence(text):
    with pytest.raises(ModelFileError):
        RuntimeModel.from_program(Changed(text, b""))


FUZZ = """
import json, random, sys
import numpy as np
from equipot.errors import ModelFileError
from equipot.runtime import RuntimeModel
from tests.models import make_potential, model_input, random_atoms
from tests.runtime.test_programs import MODEL, Changed
potential = make_potential(**MODEL)
program, inputs = potential.program(), model_input(potential, random_atoms(5))
rng, refused = random.Random(3), 0
def places(value, path=()):
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from places(entry, (*path, key))
    if isinstance(value, (int, float)) and path:
        yield path
everywhere = list(places(json.loads(program.text())))
for _ in range(400):
    values = json.loads(program.text())
    for path in rng.sample(everywhere, rng.choice((1, 1, 2))):
        target = values
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = rng.choice((-1, 0, 1, 2, 3, 7, 8, 64, 2**31, 2**62, 0.5))
    data = bytearray(program.data())
    if rng.random() < 0.3:
        k = rng.randrange(0, len(data), 8)
        data[k : k + 8] = np.int64(rng.choice((-1, 3, 2**40))).tobytes()
    try:
        RuntimeModel.from_program(Changed(json.dumps(values), bytes(data))).evaluate(*(t.numpy() for t in inputs[:3]))
    except (ModelFileError, ValueError):
        refused += 1
print("refused", refused)
"""


def test_no_change_of_a_program_ends_the_process():
    run = subprocess.run([sys.executable, "-c", FUZZ], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout.split()[-1]) > 200
