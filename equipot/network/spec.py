"""The description of a network: everything that is needed to build it, apart from its weights."""

from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from equipot.errors import ConfigError, ModelFileError
from equipot.irreps import Irreps
from equipot.neighbours.pair_cutoffs import PairCutoffs
from equipot.network.core_radii import core_radii
from equipot.network.kinds import Activation, RadialActivation, SelfConnectionKind
from equipot.presets import PRESETS

if TYPE_CHECKING:
    from equipot.config import ModelConfig

T = TypeVar("T")
# In networks that a config describes. Features vanish together with the neighbours, and the norm must stay smooth
# there: features much smaller than 1 keep their size. Converted networks have their own number, which is far smaller.
LAYER_NORM_EPSILON = 1.0


@dataclass(frozen=True)
class PotentialSpec:
    """The description of a `Potential` in plain values; checkpoints and model files contain it."""

    type_names: Sequence[str]
    cutoff: float  # Å, the longest
    pair_cutoffs: Sequence[Sequence[float]]  # Å, (n_species, n_species), symmetric
    hidden_irreps: str
    n_layers: int
    l_max: int
    even: bool  # all edge harmonics are even
    type_embedding: int
    n_bessel: int
    envelope: Literal["polynomial", "xplor"]
    envelope_p: int
    xplor_onset: float
    radial_depth: int
    radial_width: int
    spline_order: int  # numbers stored per knot: 2 (cubic) or 3 (quintic)
    n_knots: int
    readout_hidden: int | Sequence[int] | None
    zbl: bool
    dtype: Literal["float32", "float64"]
    e0: Sequence[float]  # eV per species
    scales: Sequence[float]  # eV per species
    neighbours: Sequence[float]  # average number per species
    # Options that only converted networks use. Files from before an option existed have its default.
    layer_irreps: Sequence[str] | None = (
        None  # of each layer; None: hidden_irreps, but only its scalars in the last layer
    )
    self_connections: Sequence[SelfConnectionKind] | None = (
        None  # of each layer; None: by species in all layers but the first
    )
    biases: bool = False  # learnt constants of even scalars after both linear maps of each layer
    # Messages are divided by the square root of the average number of neighbours of this atom's species:
    # "centre" receives the message, "neighbour" sends it.
    neighbours_of: Literal["centre", "neighbour"] = "centre"
    frequencies: Sequence[float] | None = None  # of the Bessel functions sin(f u)/u; None: multiples of pi
    stretch: float = (
        0.0  # k of `network.basis.stretched`, which transforms the distances of the Bessel functions
    )
    solid_harmonics: bool = False  # edge harmonics of order l grow as r^l
    radial_hidden: Sequence[int] | None = None  # widths; None: radial_depth times radial_width
    radial_activation: RadialActivation = "silu"
    readout_activation: Activation = "silu"
    residuals: Sequence[bool] | None = None  # of each layer: add its input to its output; None: no layer does
    norms: bool = (
        False  # add lengths of vectors and tensors to the scalars of each layer, see `network.norms`
    )
    zbl_range: Literal["covalent", "cutoff"] = "covalent"  # distance at which the repulsion is zero
    # Å, (n_species, n_species), symmetric; see `network.core`. None: no core.
    core_radii: Sequence[Sequence[float]] | None = None
    bound: float = 0.0  # of the features before each gate, see `network.bound`; 0: none
    layer_norm: float = 0.0  # epsilon of the norm before each gate, see `network.layer_norm`; 0: none
    grade: bool = False  # the network gives extrapolation grades, see `network.grade`
    members: int = 0  # of a committee, see `network.members`

    def __post_init__(self) -> None:
        for f in fields(self):  # a frozen dataclass holds tuples, but JSON and callers give lists
            object.__setattr__(self, f.name, _frozen(getattr(self, f.name)))

    @property
    def irreps_of_layers(self) -> Sequence[str]:
        """The hidden irreps of each layer."""
        if self.layer_irreps is not None:
            return self.layer_irreps
        hidden = Irreps(self.hidden_irreps)
        scalars = Irreps([(mul, ir) for mul, ir in hidden if ir.l == 0 and ir.p == 1])
        # The readout takes scalars only, so the last layer has nothing else.
        return [self.hidden_irreps] * (self.n_layers - 1) + [str(scalars)]

    @property
    def self_connections_of_layers(self) -> Sequence[SelfConnectionKind]:
        # Without biases, and without a self-connection in the first layer, features of isolated atoms are exactly zero.
        if self.self_connections is not None:
            return self.self_connections
        return ["none" if k == 0 else "species" for k in range(self.n_layers)]

    @property
    def residuals_of_layers(self) -> Sequence[bool]:
        return [False] * self.n_layers if self.residuals is None else self.residuals

    @property
    def cutoffs(self) -> PairCutoffs:
        """The cutoff of each pair of elements."""
        return PairCutoffs.from_matrix(self.type_names, self.cutoff, self.pair_cutoffs)

    @property
    def doubled_knot(self) -> int:
        """The knot at the onset of xplor, where its curvature jumps; 0 for cubic splines or an onset between knots."""
        position = self.xplor_onset * (self.n_knots - 1)
        at_knot = self.envelope == "xplor" and abs(position - round(position)) < 1e-9
        return round(position) if at_knot and self.spline_order == 3 else 0

    @property
    def radial_widths(self) -> Sequence[int]:
        return [self.radial_width] * self.radial_depth if self.radial_hidden is None else self.radial_hidden

    def to_dict(self) -> dict[str, Any]:
        """Return the description as plain JSON values."""
        return _thawed(asdict(self))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PotentialSpec":
        """Return the description from the result of `to_dict`; raise ModelFileError for missing or unknown keys."""
        known = {f.name for f in fields(cls)}
        required = {f.name for f in fields(cls) if f.default is MISSING}
        wrong = sorted((required - set(values)) | (set(values) - known))
        if wrong:
            raise ModelFileError(f"the model's description has missing or unknown keys: {', '.join(wrong)}")
        return cls(**values)

    @classmethod
    def from_config(
        cls,
        config: "ModelConfig",
        type_names: list[str],
        e0: list[float],
        scales: list[float],
        neighbours: list[float],
        minimum_distances: Sequence[Sequence[float | None]] | None = None,
    ) -> "PotentialSpec":
        """Return the description for a config and its preset; raise ConfigError for values that contradict.

        minimum_distances: (n_species, n_species) Å, the shortest distance of each pair in the data; None: unknown.
        """
        preset = PRESETS[config.preset]
        l_max = _first(config.l_max, preset.l_max)
        if config.irreps is not None:
            hidden = _parse_irreps(config.irreps)
            l_max = hidden.lmax
            even = all(ir.p == 1 for _, ir in hidden) and l_max > 0
        else:
            hidden = _natural_irreps(config, preset.features, l_max)
            even = config.parity == "even"
        cutoffs = PairCutoffs.from_config(type_names, config.cutoff, config.pair_cutoffs)
        n_layers = config.n_layers or preset.n_layers
        return cls(
            type_names=list(type_names),
            cutoff=config.cutoff,
            pair_cutoffs=cutoffs.matrix.tolist(),
            hidden_irreps=str(hidden),
            n_layers=n_layers,
            l_max=l_max,
            even=even,
            type_embedding=config.type_embedding or preset.type_embedding,
            n_bessel=config.n_bessel,
            envelope=config.envelope,
            envelope_p=config.envelope_p,
            xplor_onset=config.xplor_onset,
            radial_depth=config.radial_depth,
            radial_width=config.radial_width or preset.radial_width,
            spline_order=2 if config.spline == "cubic" else 3,
            n_knots=config.knots,
            readout_hidden=config.readout_hidden,
            zbl=config.repulsion == "zbl",
            dtype=config.dtype,
            e0=[float(x) for x in e0],
            scales=[float(x) for x in scales],
            neighbours=[float(x) for x in neighbours],
            stretch=_first(config.stretch, preset.stretch),
            norms=_first(config.norms, preset.norms),
            bound=_first(config.bound, preset.bound),
            layer_norm=LAYER_NORM_EPSILON if _first(config.layer_norm, preset.layer_norm) else 0.0,
            core_radii=core_radii(type_names, minimum_distances, config.cutoff)
            if config.repulsion == "core"
            else None,
            # Not in the first layer, so that the features of an isolated atom stay zero.
            residuals=[k > 0 for k in range(n_layers)] if _first(config.residual, preset.residual) else None,
        )


def _first(value: T | None, default: T) -> T:
    return default if value is None else value


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _thawed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _thawed(entry) for name, entry in value.items()}
    return list(map(_thawed, value)) if isinstance(value, tuple) else value


def _parse_irreps(text: str) -> Irreps:
    try:
        hidden = Irreps(text)
    except ValueError:
        raise ConfigError(f'model.irreps is "{text}"; expected irreps such as "128x0e+64x1o+32x2e"') from None
    kinds = [ir for _, ir in hidden]
    if len(set(kinds)) != len(kinds) or not any(ir.l == 0 and ir.p == 1 for ir in kinds):
        raise ConfigError(f'model.irreps is "{text}"; expected each irrep once, and 0e among them')
    if hidden.lmax > 4:
        raise ConfigError(f'model.irreps is "{text}"; the highest l supported is 4')
    return hidden


def _natural_irreps(config: "ModelConfig", features: Sequence[int], l_max: int) -> Irreps:
    if config.features is not None:
        chosen = config.features
        features = [chosen] * (l_max + 1) if isinstance(chosen, int) else chosen
        if len(features) != l_max + 1:
            raise ConfigError(f"model.features has {len(features)} numbers; expected l_max + 1 = {l_max + 1}")
    features = [features[min(l, len(features) - 1)] for l in range(l_max + 1)]
    parities = {
        "natural": lambda l: ((-1) ** l,),
        "even": lambda l: (1,),
        "full": lambda l: ((-1) ** l, -((-1) ** l)),
    }[config.parity]
    return Irreps([(features[l], (l, p)) for l in range(l_max + 1) for p in parities(l)])
