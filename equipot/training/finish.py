"""The results of a training: the exported model, its evaluation, and the learning curves."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from equipot.config import Config
from equipot.data.graph import Graph
from equipot.data.loading import DataSets
from equipot.errors import ModelFileError
from equipot.evaluation.learning import plot_learning
from equipot.model_file import write_model
from equipot.network.variants import with_precision
from equipot.training.advice import advice
from equipot.training.checkpoints import potential_of, read_checkpoint
from equipot.training.log import read_metrics
from equipot.training.module import errors_of
from equipot.training.progress import clock
from equipot.uncertainty.fit import TrainingSets, fit_uncertainty

SAMPLE = 100  # fitted frames whose errors are compared with those of the validation frames


def export_checkpoint(
    checkpoint: str | Path,
    path: str | Path,
    dtype: str | None = None,
    sets: TrainingSets | None = None,
    console: Console | None = None,
) -> Path:
    """Write the trained network of a checkpoint as a model file, with the checkpoint's record of the training.

    Args:
        checkpoint: path of the checkpoint.
        path: path of the model file.
        dtype: "float32" or "float64"; None keeps the network's own.
        sets: of the training, for extrapolation grades and predicted errors; None: the model has none.
        console: where to print.

    Raises:
        ModelFileError: the checkpoint cannot be read, or the model file does not reproduce it.
    """
    state = read_checkpoint(checkpoint)
    description = state["equipot"]["description"]
    potential = potential_of(state)
    if dtype is not None and dtype != potential.spec.dtype:
        potential = with_precision(potential, dtype)  # type: ignore[arg-type]
    training = _training_summary(state, Path(checkpoint))
    if sets is not None:
        potential, summary, lacks = fit_uncertainty(potential, sets, state["equipot"]["elapsed"])
        training.update(summary)
        if console is not None:
            for sentence in lacks:
                console.print(sentence, markup=False)
    return write_model(
        path,
        potential,
        statistics=description["statistics"],
        config=description["config"],
        training=training,
    )


def _training_summary(state: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    summary = {
        "epoch": state["epoch"],
        "steps": state["global_step"],
        "seconds": round(state["equipot"]["elapsed"], 1),
        "frames": state["equipot"]["description"]["labels"],
        "e0_source": state["equipot"]["description"].get("e0_source", {}),
        "device": state["equipot"].get("device", "unknown"),  # old checkpoints lack it
    }
    if "init" in state["equipot"]["description"]:
        summary["fine_tuned_from"] = state["equipot"]["description"]["init"]
    metrics = checkpoint.parent.parent / "metrics.csv"
    if metrics.exists():
        rows = [r for r in read_metrics(metrics) if int(r["epoch"]) == state["epoch"]]
        for name, value in (rows[-1] if rows else {}).items():
            if name.startswith("validation_") and value:
                summary[name] = float(value)
    return summary


def _errors_of_fitted(checkpoint: Path, graphs: Sequence[Graph]) -> dict[str, float]:
    """Return the errors of a checkpoint on a sample of the frames that it was fitted to; none if it fitted nothing."""
    state = read_checkpoint(checkpoint)
    if state["epoch"] < 0:
        return {}
    count = min(SAMPLE, len(graphs))
    return errors_of(potential_of(state), [graphs[k * len(graphs) // count] for k in range(count)])


def finish(output: Path, folder: Path, data: DataSets, config: Config, console: Console) -> None:
    """Export the best epoch to model.pt, evaluate it on the test set, and plot the learning curves.

    Without a test set, evaluate on the validation frames; the output names the set. A final training has fitted them,
    so then the model before it is evaluated, which is written to validated.pt.

    Args:
        output: the folder of the training.
        folder: the folder of its last part, which is `output` or the folder of the final training.
        data: the sets.
        config: the config.
        console: where to print.
    """
    from equipot.evaluation.evaluation import evaluate_and_write
    from equipot.model_file import load_model

    best = folder / "checkpoints" / "best.ckpt"
    if not best.exists():
        raise ModelFileError(
            f"{output}: the training ended before its first epoch was complete, so no model can be exported"
        )
    loss = config.training.loss
    sets = TrainingSets(data.train, data.validation, (loss.energy, loss.forces))
    validated = output / "checkpoints" / "best.ckpt"
    fitted_to_all = folder != output
    fitted_to_train = potential_of(read_checkpoint(validated)) if fitted_to_all else None
    path = export_checkpoint(
        best, output / "model.pt", sets=replace(sets, fitted_to_train=fitted_to_train), console=console
    )
    state = read_checkpoint(best)
    seconds = state["equipot"]["elapsed"]
    best_epoch = (
        f"best epoch: {state['epoch']}"
        if state["epoch"] >= 0
        else "no epoch is better than the starting model"
    )
    console.print(f"{best_epoch}, after {clock(seconds)}; exported to {path}")
    plot_learning(output / "metrics.csv", output / "learning.png")
    errors = _errors_of_fitted(validated, data.train)
    if sentence := advice(read_metrics(output / "metrics.csv"), config.training.schedule, errors):
        console.print(sentence)
    frames, name = (data.test_frames, "test") if data.test_frames else (data.validation_frames, "validation")
    if not frames:
        console.print("no test and no validation frames, so no evaluation")
        return
    console.print(f"evaluation on the {len(frames)} {name} frames:")
    if fitted_to_all and not data.test_frames:
        path = export_checkpoint(validated, output / "validated.pt", sets=sets)
        console.print(f"They were fitted in the final training, so the model before it is evaluated: {path}")
    evaluate_and_write(
        load_model(path), frames, output, files=[f"{name} set of {config.output}"], console=console
    )
