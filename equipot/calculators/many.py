"""The predictions of a model for many structures, several at once on every core."""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeAlias

from equipot import native
from equipot.calculators import batch
from equipot.calculators.batch import HasAtoms, Predicted, Taken
from equipot.errors import ConfigError, EquipotError
from equipot.model_file import LoadedModel, load_model
from equipot.species import SpeciesMap

# Atoms of a batch. The runtime is fastest as long as the features of a batch fit into the cache of a core; torch needs
# many atoms for each of its operators, on a GPU above all.
RUNTIME_ATOMS = 256
TORCH_ATOMS = 2048
# Largest number of edges that are evaluated at once. It limits the memory.
BATCH_EDGES = 20_000


def predict_many(
    model: str | Path | LoadedModel,
    structures: Iterable[HasAtoms],
    *,
    workers: int | None = None,
    batch_edges: int = BATCH_EDGES,
) -> Iterator[Predicted]:
    """Yield energy, forces and stress of each structure, in order.

    Small structures are evaluated several at once, one batch on each core. This is several times faster than one
    calculation after the other. Structures are read as they are needed, a few batches ahead, so there may be any
    number of them. The results do not depend on the number of workers, not even in the last bit.

        for atoms, p in zip(structures, predict_many("model.pt", structures)):
            atoms.calc = SinglePointCalculator(atoms, **p.results())

    Args:
        model: path of a model file, or a model from `load_model`, which may be on a GPU.
        structures: ASE's Atoms; with or without periodicity, also without atoms.
        workers: number of threads; by default torch's or OpenMP's number of threads, which is that of the cores unless
            OMP_NUM_THREADS is set. torch has threads of its own: a model that it computes has one worker.
        batch_edges: largest number of edges that are evaluated at once. A structure with more is evaluated alone.

    Raises:
        UnknownSpeciesError: the model does not know an element. As for the other errors, the sentence has the number of
            the structure, counted from 0, and the results of the structures before are yielded first.
        NumericsError: positions or results are not finite.
        DataError: a periodic cell has no volume, or a structure is of another type.
        ConfigError: `workers` or `batch_edges` is below 1.
    """
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    if workers is None:
        workers = native.threads() if native.available() else 1
    for name, value in (("workers", workers), ("batch_edges", batch_edges)):
        if value < 1:
            raise ConfigError(f"{name} is {value}; expected 1 or more")
    return _predictions(loaded, structures, workers if loaded.runtime is not None else 1, batch_edges)


class _Result(NamedTuple):
    predictions: list[Predicted]
    error: Exception | None  # of the structure after them


# Structures for one batch; or an error of the caller's iterator, which is the last item.
_Chunk: TypeAlias = list[Taken] | Exception


def _predictions(
    model: LoadedModel, structures: Iterable[HasAtoms], workers: int, batch_edges: int
) -> Iterator[Predicted]:
    species = SpeciesMap(model.metadata.type_names)
    most_atoms = TORCH_ATOMS if model.runtime is None else RUNTIME_ATOMS

    def work(chunk: _Chunk, threads: int = 1) -> _Result:
        if isinstance(chunk, Exception):
            return _Result([], chunk)
        made, error = batch.checked(chunk, species, model)
        predictions: list[Predicted] = []
        try:
            if made is not None:
                predictions.extend(batch.predict(model, made, batch_edges, threads))
        except EquipotError as first:
            error = first
        return _Result(predictions, error)

    chunks = _chunks(structures, most_atoms)
    begin = list(itertools.islice(chunks, 2 if workers > 1 else 0))
    chunks = itertools.chain(begin, chunks)
    results: Iterator[_Result]
    if len(begin) < 2:  # one worker, or nothing for a second one: the runtime may use all threads
        results = map(functools.partial(work, threads=workers), chunks)
    else:
        results = _in_order(work, chunks, workers)
    for result in results:
        yield from result.predictions
        if result.error is not None:
            raise result.error


def _chunks(structures: Iterable[HasAtoms], most_atoms: int) -> Iterator[_Chunk]:
    """Yield lists of structures with at most this number of atoms in total, or of one structure."""
    chunk: list[Taken] = []
    n_atoms, failure, iterator = 0, None, iter(structures)
    for number in itertools.count():
        try:
            structure = next(iterator)
            taken = Taken.of(structure, getattr(structure, "source", "") or f"structure {number}")
        except StopIteration:
            break
        except Exception as error:  # the caller's iterator may raise any error
            failure = error
            break
        # An empty structure counts, too: batches are finite.
        size = max(len(taken.numbers), 1)
        if chunk and n_atoms + size > most_atoms:
            yield chunk
            chunk, n_atoms = [], 0
        chunk.append(taken)
        n_atoms += size
    if chunk:
        yield chunk
    if failure is not None:
        yield failure


def _in_order(work: Callable[[_Chunk], _Result], chunks: Iterator[_Chunk], workers: int) -> Iterator[_Result]:
    """Yield the results of chunks in order. Three chunks for each worker are read ahead at most."""
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="equipot")
    try:
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) == 3 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
