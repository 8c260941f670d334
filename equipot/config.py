"""The config of a training, read from YAML into typed sections.

The docstring of a field is its manual: `equipot train --keys` prints it.
"""

import os
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from equipot.presets import PRESETS


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    """Return seconds from a number, "HH:MM:SS" or "DD:HH:MM:SS" (YAML 1.1 reads 00:30:00 without quotes as 1800)."""
    if isinstance(value, str):
        if not re.fullmatch(r"\d+(:\d{1,2}){2,3}", value.strip()):
            raise ValueError('expected seconds or "HH:MM:SS"')
        total = 0.0
        parts = [int(p) for p in value.split(":")]
        for scale, part in zip([1, 60, 3600, 86400], reversed(parts)):
            total += scale * part
        return total
    return value


def _preset(value: str) -> str:
    if value not in {"auto", *PRESETS}:
        raise ValueError(f"expected auto, {', '.join(PRESETS)}")
    return value


PRESET_MANUAL = "\n".join(
    [
        'Network to start from. It gives all keys of this section whose default is "that of the preset".',
        "`auto`: chosen from the data and the time, as the training prints.",
        *(f"`{name}`: {preset.purpose}." for name, preset in PRESETS.items()),
    ]
)
FilePath = Annotated[str, AfterValidator(os.path.expanduser)]
Files = Annotated[list[FilePath], BeforeValidator(_as_list)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
# Default peak learning rates, chosen on 3BPA and mlearn silicon (docs/training.md).
RATES = {"muon": 0.02, "adamw": 0.005}


class Section(BaseModel):
    """A section of the config. It refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


class DataConfig(Section):
    """The labelled structures: their files, the names of their labels, and the split into sets."""

    train: Files = Field(min_length=1)
    """Training files: a file, a glob or a list of them, in any format that ASE reads. A path in the config file is
    relative to the folder of that file."""
    validation: Files | None = None
    """Files of the validation set. Without them, `validation_fraction` of the training frames is set aside."""
    test: Files | None = None
    """Files of the test set, which is evaluated once, at the end of the training."""
    validation_fraction: Fraction = 0.1
    """Fraction of the training frames that is used for validation if no `validation` files are given."""
    test_fraction: Fraction = 0.0
    """Fraction of the training frames that is used for the final test if no `test` files are given."""
    split_seed: int = 0
    """Random seed of the split into sets. Each config_type is split in the same proportions. The split does not depend
    on `training.seed`."""
    energy_key: str | None = None
    """Name of the total energy (eV) in `atoms.info`, the header of an extended XYZ frame. By default, the energy that
    ASE reads as a calculator result: `free_energy` if the frame has it, else `energy`."""
    forces_key: str | None = None
    """Name of the forces (eV/Å) in `atoms.arrays`, the columns of an extended XYZ frame. By default, the calculator
    result `forces`."""
    stress_key: str | None = None
    """Name of the stress (eV/Å³, positive under tension) in `atoms.info`. By default, the calculator result
    `stress`."""
    virial_key: str | None = None
    """Name of the virial (eV, minus volume times stress) in `atoms.info`. It is used for frames without a stress."""
    stress_offset: Literal["auto"] | float = "auto"
    """Pressure offset (eV/Å³) that is added to the diagonal of all stress labels. `auto`: the offset of the slope of
    the energies from the stresses, if the check stress-offset finds one; else 0. Pulay stress is such an offset."""
    config_type_key: str = "config_type"
    """Name of the group label in `atoms.info`. Errors are reported for each group."""
    species: list[str] | None = None
    """Elements of the model, in order. By default, all elements of the training set, sorted by atomic number."""
    e0: Literal["auto", "fit", "isolated"] | dict[str, float] = "auto"
    """Reference energy of each element, the energy of its isolated atom. `isolated`: from frames of isolated atoms.
    `fit`: from a least-squares fit to the training energies. `auto`: from isolated atoms if the set has them, and from
    the fit for all other elements. A mapping gives the values in eV, for example {Si: -0.8, O: -1.5}."""
    accept: list[str] = []
    """Names of checks whose errors do not stop the training. `equipot check --help` lists the checks."""
    stream: bool | None = None
    """Store the graphs on disk instead of in memory. By default, this is done only for sets that are too large for
    memory."""


class ModelConfig(Section):
    """The network: a preset, and the values that differ from it."""

    preset: Annotated[str, AfterValidator(_preset), Field(description=PRESET_MANUAL)] = "auto"
    cutoff: Positive = 5.0
    """Cutoff radius in Å. Atoms closer than this distance exchange messages."""
    pair_cutoffs: dict[str, Positive] = {}
    """Shorter cutoffs (Å) for some pairs of elements, for example {Si-O: 4.0}. A pair holds in both directions."""
    n_layers: Annotated[int, Field(ge=1, le=12)] | None = None
    """Number of message-passing layers. By default, that of the preset."""
    l_max: Annotated[int, Field(ge=0, le=4)] | None = None
    """Highest order l of the features and of the spherical harmonics. By default, that of the preset."""
    features: Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=1)]] | None = None
    """Number of channels: one number for all orders l, or a list with one number for each l from 0 to l_max. By
    default, those of the preset."""
    irreps: str | None = None
    """Hidden irreps of the network, for example "128x0e+64x1o+32x2e". They replace `l_max`, `features` and
    `parity`."""
    parity: Literal["natural", "full", "even"] = "natural"
    """Parities of the features. `natural`: 0e, 1o, 2e, …; `full`: both parities of every l; `even`: all even, as in
    SO(3)-equivariant networks."""
    type_embedding: Annotated[int, Field(ge=1)] | None = None
    """Number of channels of the element embedding, the input of the first layer. By default, that of the preset."""
    n_bessel: Annotated[int, Field(ge=1, le=64)] = 8
    """Number of Bessel functions of the distance, the inputs of the radial network."""
    stretch: Annotated[float, Field(ge=0, le=10)] | None = None
    """Resolution of short distances. With a value k > 0, the Bessel functions take
    (1 - exp(-k r/cutoff))/(1 - exp(-k)) instead of r/cutoff, which is finer for near neighbours. 0: no change. By
    default, that of the preset."""
    envelope: Literal["polynomial", "xplor"] = "polynomial"
    """Function that takes the radial functions smoothly to zero at the cutoff."""
    envelope_p: Annotated[int, Field(ge=2)] = 2
    """Exponent of the polynomial envelope. Other programs often use 6. With 2, far neighbours count less, and the test
    errors were smaller."""
    xplor_onset: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Distance at which the xplor envelope begins to fall, as a fraction of the cutoff."""
    radial_depth: Annotated[int, Field(ge=0, le=8)] = 1
    """Number of hidden layers in the radial network."""
    radial_width: Annotated[int, Field(ge=1)] | None = None
    """Width of the hidden layers in the radial network. By default, that of the preset."""
    spline: Literal["cubic", "quintic"] = "cubic"
    """Order of the splines for the radial functions. Use quintic if second derivatives matter (phonons)."""
    knots: Annotated[int, Field(ge=8, le=4096)] = 128
    """Number of spline knots between distance zero and the cutoff."""
    norms: bool | None = None
    """Add the lengths of each layer's vectors and tensors to its scalars. This lowers the errors on molecules. By
    default, that of the preset."""
    residual: bool | None = None
    """Add the input features of each layer to its output, except in the first layer. By default, that of the preset."""
    bound: Annotated[float, Field(ge=0)] | None = None
    """Bound of the root mean square of the features of each l, which are of the order of 1; it keeps energies of dense
    structures moderate. 0: no bound. By default, that of the preset."""
    layer_norm: bool | None = None
    """Divide the features before each gate by their root mean square, and multiply each channel by a learnt weight.
    Features much smaller than 1 keep their size, so energies stay smooth where a neighbour leaves. By default, that of
    the preset."""
    readout_hidden: Annotated[int, Field(ge=1)] | None = None
    """Width of a hidden layer in the readout. By default, the readout is linear."""
    repulsion: Literal["core", "zbl", "none"] = "core"
    """What keeps atoms apart at distances that the data lack. `core`: below 0.97 of the shortest distance of each
    pair of elements in the training set, the Ziegler-Biersack-Littmark (ZBL) repulsion between nuclei grows, and the
    network takes the distance for longer than it is. `zbl`: the ZBL repulsion below the sum of the covalent radii.
    `none`: nothing; then overlapping atoms may attract each other."""
    dtype: Literal["float32", "float64"] = "float32"
    """Floating-point precision of the network. Positions, reference energies and sums are always float64."""


class InitConfig(Section):
    """Fine-tuning: a training that starts from the weights of a model file."""

    model: FilePath
    """Model file to start from, trained or converted. `init: model.pt` is short for `init: {model: model.pt}`. The file
    defines the network: in the section `model`, only `dtype` may be set. Some defaults of the section `training` are
    different, see docs/training.md."""
    e0: Literal["refit", "keep"] = "refit"
    """Reference energies. `refit`: shift those of the model file, element by element, to fit the energies of the
    training set. `keep`: use them unchanged."""
    elements: Literal["data", "all"] = "data"
    """Elements of the new model. `data`: only those of the training set. `all`: also the elements of the file that the
    training set lacks, with their fine-tuned weights."""
    freeze: list[str] = []
    """Parts of the network that are not trained: embedding, radial, linear, self_connection, norms, layer_norm,
    readout, layers.0, layers.1, …"""


class InitialWeights(Section):
    """Weights of the loss at the start of a cosine. They change to the final weights as the learning rate falls."""

    energy: Annotated[float, Field(ge=0)] | None = None
    """Weight of the energy at the start of a cosine of the learning rate. It changes to `training.loss.energy` as the
    rate falls. By default, a tenth of that, so that the forces are learnt first."""
    forces: Annotated[float, Field(ge=0)] | None = None
    """Weight of the forces at the start of a cosine. By default, `training.loss.forces`."""
    stress: Annotated[float, Field(ge=0)] | None = None
    """Weight of the stress at the start of a cosine. By default, `training.loss.stress`."""


class LossConfig(Section):
    """The loss: a weighted sum over the errors of the energy per atom, the forces and the stress."""

    energy: Annotated[float, Field(ge=0)] = 10.0
    """Weight of the error of the energy per atom (eV)."""
    forces: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the error of the force components (eV/Å)."""
    stress: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the error of the stress components. The stress is multiplied by the volume per atom, so its error has
    the unit of an energy (eV)."""
    curvature: Annotated[float, Field(ge=0)] = 4e-8
    """Weight of the curvature of the radial functions, the mean square of their second derivative by distance over
    cutoff, relative to their own. It keeps the radial functions smooth where the data have no distances, as between
    bonds and second neighbours. Bonds that are longer than those of the data then stay strong."""
    initial: InitialWeights = InitialWeights()
    """Weights of the loss at the start of a cosine of the learning rate."""
    kind: Literal["mse", "huber", "stratified_huber"] = "mse"
    """Loss function. `mse`: mean square error. `huber`: the same for errors below `huber_delta`, while larger errors
    count linearly, so that a few frames far from all others do not decide alone. `stratified_huber`: `huber` with a
    smaller `huber_delta` for large reference forces."""
    huber_delta: Positive = 0.2
    """Error at which the Huber losses change from quadratic to linear growth, in the units of the errors above."""


COSINES = ("restarts", "cosine")


class TrainingConfig(Section):
    """How the network is trained."""

    max_time: Seconds | None = None
    """Stop after this wall-clock time, in seconds or as "HH:MM:SS". Without `max_epochs`, the learning rate falls as a
    function of the time."""
    max_epochs: Annotated[int, Field(ge=1)] | None = None
    """Stop after this number of epochs. If neither this nor `max_time` is set, the training has 1000 epochs."""
    seed: int = 0
    """Random seed of the initial weights and of the order of the frames."""
    batch_size: Annotated[int, Field(ge=1)] = 5
    """Largest number of frames in a batch."""
    max_edges: Annotated[int, Field(ge=1)] | None = None
    """Largest number of edges in a batch. It limits the memory: batches of large frames have fewer frames. A frame
    with more edges forms a batch of its own. By default, there is no limit."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """Optimizer. `muon`: orthogonalised steps for the matrices, AdamW for the embedding and the readout. `adamw`: AdamW
    for all weights."""
    learning_rate: Positive | None = None
    """Peak learning rate. By default, 0.02 with muon and 0.005 with adamw."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay. With muon, it applies to the matrices only."""
    schedule: Literal["restarts", "cosine", "plateau", "constant"] = "restarts"
    """How the learning rate falls. `restarts`: along several cosines, each as long as all before it, until one brings
    no better validation or the time is over. `cosine`: along one cosine. `plateau`: by a factor, each time the
    validation loss stops improving. `constant`: not at all."""
    final: bool = True
    """With restarts: when the training has ended early and time is left, train again on all frames, the validation
    frames included, for the length that was best. Not for sets with `validation` files."""
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Number of first steps in which the learning rate rises linearly to its peak."""
    plateau_patience: Annotated[int, Field(ge=0)] = 20
    """Number of epochs without a better validation loss before the plateau schedule lowers the learning rate."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Factor by which the plateau schedule multiplies the learning rate."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay per step of the exponential moving average of the weights. The average is validated and exported. 0: no
    average."""
    gradient_clip: Annotated[float, Field(ge=0)] = 1.0
    """Largest norm of the gradient, in multiples of its running geometric mean; a longer gradient is scaled down to it.
    A few frames with large errors then do not decide the direction of many steps. 0: no limit."""
    early_stop_patience: Annotated[int, Field(ge=1)] | None = None
    """Stop after this number of epochs without better validation. By default, never."""
    min_learning_rate: Annotated[float, Field(ge=0)] = 0.0
    """Stop when the plateau schedule has lowered the learning rate below this value."""
    steps_per_epoch: Annotated[int, Field(ge=1)] = 1000
    """Largest number of steps in an epoch. Every epoch ends with a validation and a checkpoint; for a large set, it
    covers only a part of the frames."""
    loss: LossConfig = LossConfig()
    """Loss function and its weights."""
    accelerator: Literal["auto", "cpu", "gpu", "cuda"] = "auto"
    """Device of the training. `auto`: a GPU if there is one, else the CPU. `gpu` and `cuda` mean the same."""
    devices: Annotated[int, Field(ge=1)] = 1
    """Number of processes on each node of a parallel training (DDP). Each process uses one GPU, or the CPU."""
    num_nodes: Annotated[int, Field(ge=1)] = 1
    """Number of nodes of a parallel training (DDP)."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Number of CPU threads for each process. By default, torch chooses."""

    @property
    def peak_rate(self) -> float:
        """The given learning rate, or the default of the optimizer."""
        return RATES[self.optimizer] if self.learning_rate is None else self.learning_rate


class Config(Section):
    """A training, from the data to the exported model."""

    data: DataConfig
    """The labelled structures."""
    model: ModelConfig = ModelConfig()
    """The network."""
    init: Annotated[InitConfig, BeforeValidator(_as_model)] | None = None
    """Model file to start from instead of random weights, or a mapping with `model` and the keys below."""
    training: TrainingConfig = TrainingConfig()
    """The training itself."""
    output: FilePath
    """Folder for all files of the training, relative to the current folder."""

    @model_validator(mode="after")
    def _pairs_within_cutoff(self) -> "Config":
        for pair, cutoff in self.model.pair_cutoffs.items():
            if cutoff > self.model.cutoff:
                raise ValueError(
                    f"model.pair_cutoffs.{pair} is {cutoff} Å, longer than model.cutoff {self.model.cutoff} Å"
                )
        return self

    @model_validator(mode="after")
    def _initial_weights_come_with_cosines(self) -> "Config":
        schedule = self.training.schedule
        if self.training.loss.initial != InitialWeights() and schedule not in COSINES:
            raise ValueError(
                f"training.loss.initial needs training.schedule {' or '.join(COSINES)}, but it is {schedule}: "
                "the weights of the loss change along a cosine"
            )
        return self
