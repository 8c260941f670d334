"""The run of a training: from config to model file, evaluation and plots."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.profilers import SimpleProfiler
from rich.console import Console

from equipot import native
from equipot.config import Config
from equipot.data.datamodule import GraphDataModule
from equipot.data.loading import DataSets, load_sets
from equipot.errors import ConfigError
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec
from equipot.training import choices
from equipot.training.checkpoints import Checkpoints, read_checkpoint
from equipot.training.final import FINAL, final_epochs, of_all_frames
from equipot.training.finish import finish
from equipot.training.finished import LENGTH, ended, marker, sentence
from equipot.training.module import PotentialModule
from equipot.training.profile import profile_table
from equipot.training.start import fitted, origin, starting_model
from equipot.training.trainer import build_trainer, fit

DEFAULT_EPOCHS = 1000
# A resumed training may have other values of these keys: they change only its length or its speed.
RESUMABLE_CHANGES = {*LENGTH, "threads"}


def train(
    config: Config,
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
    profile: bool = False,
) -> Path:
    """Train, evaluate and export a potential; return the path of the model file.

    Args:
        config: the whole config.
        resume: continue from checkpoints/last.ckpt in the output folder.
        overwrite: replace the files of an earlier training in the output folder.
        console: where to print (on the first rank).
        profile: print the time of an epoch by part.

    Raises:
        EquipotError: bad data, a folder in use, a checkpoint that does not fit, a loss that is not finite.
        KeyboardInterrupt: after Ctrl-C; the last finished epoch is in checkpoints/last.ckpt.
    """
    console = _console(console)
    _expect_accelerator(config.training.accelerator)
    config = _with_limits(config)
    output = Path(config.output)
    checkpoint = _claim(output, resume, overwrite)
    done = "" if checkpoint is None else ended(checkpoint, config.training)
    if done and marker(output).exists() and (output / "model.pt").exists():
        console.print(sentence(done, config.training), markup=False)
        return output / "model.pt"
    native.keep_memory()
    if config.training.threads:
        torch.set_num_threads(config.training.threads)

    config, start = starting_model(config)
    data = _load(config, output, console)
    if start is None:
        config = _with_choices(config, data, checkpoint, console)
        potential = _new_potential(config, data)
        e0_source = data.statistics.e0_source
    else:
        potential, e0_source = fitted(start, config, data, console)
    name = config.model.preset if config.init is None else config.init.model
    spec = potential.spec
    if _first_rank():
        _begin(output, new=checkpoint is None)
        choices.write_settings(config, output / choices.SETTINGS)
    n_weights = sum(p.numel() for p in potential.parameters())
    frozen = sum(p.numel() for p in potential.parameters() if not p.requires_grad)
    console.print(
        f"network: {name}, {spec.n_layers} layers, {spec.hidden_irreps}, "
        f"{n_weights} weights{f', {frozen} of them fixed' if frozen else ''}, {spec.dtype}",
        markup=False,
    )
    profiler = SimpleProfiler() if profile else None
    last = output / "checkpoints" / "last.ckpt"
    description = _description(config, spec, data, e0_source)
    if checkpoint is not None:
        _must_match(checkpoint, description, output)
        console.print(f"resuming after epoch {checkpoint['epoch']}")
    module = PotentialModule(potential, config.training, description, data.train)
    trainer = build_trainer(config, output, console, profiler)
    if checkpoint is None and start is not None:
        _score_starting_model(trainer, module, data, console)
    if not done:
        if _first_rank():
            _remove_checkpoints(output / FINAL)  # its length would follow from an earlier end
        fit(trainer, module, _datamodule(config, data), last if checkpoint is not None else None)
        if profiler is not None:
            console.print(profile_table(profiler))
    final = final_epochs(read_checkpoint(last), config, data) if start is None and last.exists() else None
    folder = output
    if final is not None:
        folder = _train_on_all_frames(config, data, final, output, console)
    if trainer.is_global_zero:
        finish(output, folder, data, config, console)
        marker(output).touch()
    return output / "model.pt"


def _datamodule(config: Config, data: DataSets) -> GraphDataModule:
    t = config.training
    return GraphDataModule(
        data.train,
        data.validation,
        data.n_edges,
        data.n_edges_validation,
        t.batch_size,
        t.max_edges,
        t.seed,
        t.steps_per_epoch,
    )


def _train_on_all_frames(config: Config, data: DataSets, epochs: int, output: Path, console: Console) -> Path:
    """Train a new network on training and validation frames along one cosine; return the folder of its files."""
    config, data = of_all_frames(config, data, epochs)
    folder = output / FINAL
    last = folder / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True, exist_ok=True)
    console.print(f"final training on all {len(data.train)} frames, for the {epochs} epochs that were best")
    if last.exists() and ended(read_checkpoint(last), config.training):
        return folder
    potential = _new_potential(config, data)
    description = _description(config, potential.spec, data, data.statistics.e0_source)
    module = PotentialModule(potential, config.training, description, data.train)
    fit(
        build_trainer(config, folder, console),
        module,
        _datamodule(config, data),
        last if last.exists() else None,
    )
    return folder


def _score_starting_model(
    trainer: pl.Trainer, module: PotentialModule, data: DataSets, console: Console
) -> None:
    """Make the starting model of a fine-tuning the best so far: the result is never worse."""
    score, errors = module.evaluate([data.validation[k] for k in range(len(data.validation))])
    if not errors:
        return  # models cannot be compared without validation frames
    t = module.config
    console.print(
        f"fine-tuning at a learning rate of {t.peak_rate:g}, {t.batch_size} frames per batch; errors before: "
        + ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in errors.items())
    )
    checkpoints = next(c for c in trainer.callbacks if isinstance(c, Checkpoints))  # type: ignore[attr-defined]
    checkpoints.begin_with(module, score)


def _first_rank() -> bool:
    return getattr(rank_zero_only, "rank", 0) in (0, None)


def _console(console: Console | None) -> Console:
    if not _first_rank():
        return Console(quiet=True)
    return console or Console()


def _expect_accelerator(accelerator: str) -> None:
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"training.accelerator is {accelerator}, but torch sees no GPU; expected cpu or auto here"
        )


def _with_limits(config: Config) -> Config:
    t = config.training
    if t.max_epochs is None and t.max_time is None:
        t = t.model_copy(update={"max_epochs": DEFAULT_EPOCHS})
    return config.model_copy(update={"training": t})


def _claim(output: Path, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """Return the checkpoint to continue from; None for a new training. Raise ConfigError for a folder in use."""
    last = output / "checkpoints" / "last.ckpt"
    if _first_rank() and last.exists() and not resume and not overwrite:
        raise ConfigError(
            f"{output} already holds a training; continue it with --resume, replace it with --overwrite, "
            "or give another output=…"
        )
    # A training that was killed in its first epoch has no checkpoint: it starts again.
    return read_checkpoint(last) if resume and last.exists() else None


def _begin(output: Path, new: bool) -> None:
    """Prepare the folder of a training that is not refused; a new training removes the results of an older one."""
    if new:
        _remove_checkpoints(output)
        _remove_checkpoints(output / FINAL)
        (output / "model.pt").unlink(missing_ok=True)
    marker(output).unlink(missing_ok=True)
    (output / "checkpoints").mkdir(parents=True, exist_ok=True)


def _remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a training and the log of their epochs."""
    for old in ("checkpoints/last.ckpt", "checkpoints/best.ckpt", "metrics.csv"):
        (folder / old).unlink(missing_ok=True)


def _load(config: Config, output: Path, console: Console) -> DataSets:
    loading = load_sets(config.data, config.model.cutoff, config.model.pair_cutoffs, output / "graphs")
    if loading.note:
        console.print(loading.note)
    for name, report in loading.reports.items():
        console.print(f"[bold]{name}[/] files: {report.n_frames} frames")
        report.print(console, accept=config.data.accept)
    for report in loading.reports.values():
        report.raise_on_errors(config.data.accept)
    data = loading.build()
    if data.stress_offset:
        console.print(
            f"{1000 * data.stress_offset:+.1f} meV/Å³ were added to the diagonal of all stress labels"
        )
    console.print(data.summary())
    console.print(data.statistics.table())
    return data


def _with_choices(
    config: Config, data: DataSets, checkpoint: dict[str, Any] | None, console: Console
) -> Config:
    """Return the config with all choices that it leaves to the training; a resumed training keeps those it had."""
    if checkpoint is not None:
        made = choices.made_before(config, checkpoint["equipot"]["description"]["config"])
    else:
        made = choices.choose(config, data, lambda trial: _new_potential(trial, data))
    if made:
        console.print(choices.table(made))
    return choices.applied(config, made)


def _new_potential(config: Config, data: DataSets) -> Potential:
    s = data.statistics
    n = len(data.species)
    spec = PotentialSpec.from_config(
        config.model,
        list(data.species.names),
        e0=s.e0_array().tolist(),
        scales=[s.scale] * n,
        neighbours=[s.average_neighbours] * n,
        minimum_distances=s.minimum_distances,
    )
    return Potential(spec, seed=config.training.seed)


def _description(
    config: Config, spec: PotentialSpec, data: DataSets, e0_source: dict[str, str]
) -> dict[str, Any]:
    init = {} if config.init is None else {"init": origin(config.init.model)}
    return {
        **init,
        "spec": spec.to_dict(),
        "e0_source": e0_source,
        "statistics": data.statistics.to_dict(),
        "config": config.model_dump(mode="json"),
        "volume_per_atom": data.volume_per_atom,
        "labels": {
            "train": len(data.train),
            "validation": len(data.validation),
            "test": len(data.test_frames),
        },
    }


def _must_match(checkpoint: dict[str, Any], now: dict[str, Any], output: Path) -> None:
    """Raise ConfigError if a resumed training has another network, other data or other settings than its checkpoint."""
    then = checkpoint["equipot"]["description"]
    for section in ("data", "model", "training"):
        for key, value in now["config"][section].items():
            before = then["config"][section].get(key)
            if value != before and not (section == "training" and key in RESUMABLE_CHANGES):
                raise ConfigError(
                    f"{output} was begun with {section}.{key} = {before!r}, now it is {value!r}; only the length of a "
                    "resumed training may change. Start a new training with another output=…"
                )
    # JSON and tensors preserve floats exactly, so any difference comes from the data.
    for part in ("spec", "statistics", "labels"):
        if then[part] != now[part]:
            raise ConfigError(
                f"{output} was begun with other data ({part} differ); start a new training with another output=…"
            )
