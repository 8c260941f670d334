"""Workers in other Python environments: what they answer, and the sentence for each way to fail."""

import sys
import time
from pathlib import Path

import pytest

from benchmarks.command import BenchmarkError
from benchmarks.peers.environment import NEQUIP, SEVENN
from benchmarks.peers.worker import Worker, WorkerError

EXAMPLE = "tests.benchmarks.example_worker"


@pytest.fixture
def worker(tmp_path):
    with Worker(Path(sys.executable), EXAMPLE, 3, tmp_path / "log") as started:
        yield started


def test_output_of_libraries_goes_to_the_log_and_not_into_answers(worker):
    assert worker.versions == {"example": "1.0"}
    assert worker.ask("noisy", value=[1, "a"]) == {"threads": "3", "value": [1, "a"]}
    log = worker.log.read_text()
    for line in ("a library prints at import", "a library prints", "so does its C code"):
        assert line in log.splitlines()


def test_a_task_that_fails_is_one_sentence_and_the_worker_answers_the_next(worker):
    with pytest.raises(WorkerError) as raised:
        worker.ask("failing")
    assert raised.value.reason == "ValueError: too large"
    assert str(raised.value) == f"example: ValueError: too large; see {worker.log}"
    assert "Traceback" in worker.log.read_text()
    assert worker.ask("noisy", value=2)["value"] == 2


def test_a_task_beyond_its_limit_ends_the_worker(worker):
    start = time.monotonic()
    with pytest.raises(WorkerError, match=r"^example: took longer than 0\.005 minutes"):
        worker.ask("hanging", limit=0.3)
    assert time.monotonic() - start < 10
    assert worker._process.returncode == -9


def test_a_worker_that_ends_is_one_sentence(worker):
    with pytest.raises(WorkerError, match=r"^example: ended with code 3; see .*log$"):
        worker.ask("ending")
    with pytest.raises(WorkerError, match="ended with code 3"):
        worker.ask("noisy", value=1)


def test_a_job_is_timed_by_its_calls(worker):
    sizes = worker.ask("job", job="nap")
    assert sizes["atoms"] == 5
    assert 0.01 < worker.time(3, "nap") < 1
    with pytest.raises(WorkerError, match="KeyError: 'other'"):
        worker.time(1, "other")


def test_a_module_that_cannot_be_imported_is_one_sentence(tmp_path):
    with pytest.raises(WorkerError, match=r"^no_such: ModuleNotFoundError: No module named 'tests\.no_such"):
        Worker(Path(sys.executable), "tests.no_such_worker", 1, tmp_path / "log")


def test_an_interpreter_that_cannot_be_started_is_one_sentence(tmp_path):
    with pytest.raises(WorkerError, match=r"^example: /no/such/python cannot be started: No such file"):
        Worker(Path("/no/such/python"), EXAMPLE, 1, tmp_path / "log")


@pytest.mark.parametrize("peer", [NEQUIP, SEVENN])
@pytest.mark.parametrize(
    ("python", "sentence"),
    [(None, "no interpreter of"), ("/no/such/python", "cannot be run"), (sys.executable, "has no")],
)
def test_without_a_peer_the_sentence_says_how_to_install_and_name_it(peer, python, sentence):
    with pytest.raises(BenchmarkError, match=sentence) as raised:
        peer.check(python and Path(python))
    for part in (peer.requirement, peer.option, peer.variable):
        assert part in str(raised.value)
