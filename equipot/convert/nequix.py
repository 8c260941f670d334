"""An equipot potential from a file of Nequix (Koker, Kotak and Smidt, arXiv:2508.16067).

Formulas of nequix 0.4 and e3nn-jax 0.21 for an edge of length r:

- basis: (2 / cutoff) sin(nπ r/cutoff)/r · envelope, with n from 1.
- radial network: matrices without biases; silu between them is not normalised, unlike equipot's.
- first features: the one-hot vector of the species.
- layers: linear map, tensor product weighted by the radial network, sum over neighbours / √(their average number),
  linear map, plus a self-connection, layer norm, gate. The self-connection is in the first layer, too, so the energy of
  an isolated atom is not the one called atom_energies.
- layer norm: x / √(mean over irreps of |x_l|²/(2l + 1)² + 1e-12) times a weight for each channel. equipot divides
  |x_l|² by (2l + 1) and the number of channels.
- linear maps: matrices / √(number of input channels), as in e3nn. Coefficients and harmonics are e3nn's, too.
- energies: atom_energies + shift + scale · readout.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ase.data import chemical_symbols
from torch import Tensor

from equipot.convert.nequix_file import NequixFile
from equipot.errors import ModelFileError
from equipot.irreps import Irrep, Irreps
from equipot.network.activation import activation_gain
from equipot.network.basis import SCALE
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec

EPSILON = 1e-12  # of the layer norm
L_MAX = 4  # equipot's highest order
SCALAR = Irrep("0e")
# Provisional splines, until `resolution` chooses others.
PROVISIONAL: dict[str, Any] = {"spline_order": 3, "n_knots": 257}


def is_nequix(path: Path) -> bool:
    """Return whether a file begins as Nequix's files do, with a JSON object, or has their ending."""
    try:
        with path.open("rb") as file:
            return path.suffix == ".nqx" or file.read(1) == b"{"
    except OSError:
        return False  # whoever reads the file says why


def read_nequix(path: Path) -> Potential:
    """Return a float64 potential with the weights of a file.

    Raises:
        ModelFileError: the file is damaged or no model of Nequix, or equipot has no such network.
        OSError: the file cannot be read.
    """
    try:
        file = NequixFile(path)
        return _Reader(file).read()
    except ModelFileError as error:
        # Values of the config may be any text, with several lines.
        reason = " ".join(str(error).split())[:300]
        raise ModelFileError(f"{path}: no model of Nequix that equipot can read: {reason}") from None


class _Reader:
    def __init__(self, file: NequixFile) -> None:
        config = _Config(file.config)
        self.file = file
        self.numbers = config.atomic_numbers()
        self.hidden = config.hidden_irreps()
        self.l_max = config.integer("lmax", 0, L_MAX)
        self.cutoff = config.number("cutoff", above=0.1, below=100.0)
        self.n_layers = config.integer("n_layers", 1)
        self.n_bessel = config.integer("radial_basis_size", 1)
        self.radial = [config.integer("radial_mlp_size", 1)] * config.integer("radial_mlp_layers", 0, 100)
        self.p = config.exponent("radial_polynomial_p")
        self.by_species = config.boolean("index_weights")
        self.norm = config.boolean("layer_norm")
        self.shift, self.scale = config.number("shift"), config.number("scale")
        self.neighbours = config.number("avg_n_neighbors", above=0.0)
        if self.hidden.lmax > self.l_max:
            raise ModelFileError(
                f"hidden_irreps is {self.hidden}, but lmax is {self.l_max}; expected at least as much"
            )
        # Every number of the network's size is one of the arrays', which are compared with it while they are read.
        self.atom_energies = file.array("atom_energies", [len(self.numbers)])
        self.weights = [self._layer(t) for t in range(self.n_layers)]
        self.readout = self._linear("the readout", self._inputs(self.n_layers), Irreps("1x0e"))
        file.end()

    def _inputs(self, t: int) -> Irreps:
        """Return the irreps that enter layer t, or leave the layer before."""
        if t == 0:
            return Irreps([(len(self.numbers), SCALAR)])
        if t < self.n_layers:
            return self.hidden
        return Irreps([(mul, ir) for mul, ir in self.hidden if ir == SCALAR])

    def _gate(self, t: int) -> Irreps:
        """Return what the gate of layer t takes: a further scalar for each channel that it multiplies."""
        out = self._inputs(t + 1)
        gates = sum(mul for mul, ir in out if ir != SCALAR)
        return Irreps([(mul + (gates if ir == SCALAR else 0), ir) for mul, ir in out])

    def _mid(self, t: int) -> Irreps:
        """Return the irreps of the tensor products of layer t, sorted; products of equal irreps keep their order."""
        reached = {ir for _, ir in self._inputs(t + 1)}
        products = [
            (mul, out)
            for mul, ir in self._inputs(t)
            for _, edge in Irreps.spherical_harmonics(self.l_max)
            for out in ir * edge
            if out in reached
        ]
        return Irreps(products).sorted().simplify()

    def _layer(self, t: int) -> dict[str, Any]:
        """Read the arrays of a layer, in the order of the file."""
        layer, x, mid, gate = f"layer {t}", self._inputs(t), self._mid(t), self._gate(t)
        sizes = [self.n_bessel, *self.radial, sum(mul for mul, _ in mid)]
        return {
            "radial": [
                self.file.array(f"{layer}, radial_mlp {k}", sizes[k : k + 2]) for k in range(len(sizes) - 1)
            ],
            "linear_in": self._linear(f"{layer}, linear_1", x, x),
            "linear_out": self._linear(f"{layer}, linear_2", mid, gate),
            "self_connection": self._linear(f"{layer}, skip", x, gate, self.by_species),
            "norm": {
                ir: self.file.array(f"{layer}, layer_norm of {ir}", [mul]) for mul, ir in gate if self.norm
            },
        }

    def _linear(
        self, name: str, irreps_in: Irreps, irreps_out: Irreps, by_species: bool = False
    ) -> dict[Irrep, Tensor]:
        """Return the matrices (1 or n_species, mul_in, mul_out) of a linear map, with e3nn's factor."""
        matrices = {}
        for mul_in, ir in irreps_in:
            for mul_out, out in irreps_out:
                if ir == out:
                    shape = [len(self.numbers)] * by_species + [mul_in, mul_out]
                    array = self.file.array(f"{name} of {ir}", shape)
                    matrices[ir] = array.reshape(-1, mul_in, mul_out) / math.sqrt(mul_in)
        return matrices

    def read(self) -> Potential:
        potential = Potential(self._spec())
        # equipot's activations have another gain. The maps after them take the ratio.
        ratio = 1 / (_nequix_norm() * activation_gain("silu"))
        with torch.no_grad():
            potential.embedding.weight.copy_(torch.eye(len(self.numbers)))
            for t, layer in enumerate(potential.layers):
                self._fill(layer, self.weights[t], ratio if t else 1.0)
            last: Any = potential.read.layers[0]
            last.weight.copy_(ratio * self.readout[SCALAR][0].T)
        return potential

    def _fill(self, layer: Any, weights: Mapping[str, Any], ratio: float) -> None:
        # Of each irrep before the norm, so that equipot's mean square is Nequix's. The weights after it undo it.
        factors = {ir: math.sqrt(mul / ir.dim) if self.norm else 1.0 for mul, ir in layer.gate.irreps_in}
        by_neighbours = math.sqrt(max(1.0, self.neighbours) / self.neighbours)
        for ir, theirs in weights["linear_in"].items():
            layer.linear_in.matrix(ir).copy_(ratio * theirs)
        for ir, theirs in weights["linear_out"].items():
            layer.linear_out.matrix(ir).copy_(factors[ir] * by_neighbours * theirs)
        for ir, theirs in weights["self_connection"].items():
            layer.self_connection.matrix(ir).copy_(factors[ir] * ratio * theirs)
        if layer.layer_norm is not None:
            norm = [weights["norm"][ir] / factors[ir] for _, ir in layer.gate.irreps_in]
            layer.layer_norm.weight.copy_(torch.cat(norm))
        *first, last = weights["radial"]
        gain = 1.0
        for own, theirs in zip(layer.radial.layers, first):
            own.weight.copy_(gain * theirs)
            gain = 1 / activation_gain("silu")
        # Columns are sorted by the irrep of the product, then as equipot's paths are.
        start = 0
        for path in sorted(layer.paths.paths, key=lambda p: p.out):
            layer.radial.layers[-1].weight[:, path.weights] = gain * last[:, start : start + path.mul]
            start += path.mul
        layer.radial.layers[0].weight *= 2 / self.cutoff**2 / SCALE

    def _spec(self) -> PotentialSpec:
        n = len(self.numbers)
        return PotentialSpec(
            type_names=[chemical_symbols[z] for z in self.numbers],
            cutoff=self.cutoff,
            pair_cutoffs=[[self.cutoff] * n] * n,
            hidden_irreps=str(self.hidden),
            n_layers=self.n_layers,
            l_max=self.l_max,
            even=False,
            type_embedding=n,
            n_bessel=self.n_bessel,
            envelope="polynomial",
            envelope_p=self.p,
            xplor_onset=0.8,
            radial_depth=len(self.radial),
            radial_width=max(self.radial, default=1),
            readout_hidden=None,
            zbl=False,
            dtype="float64",
            e0=(self.atom_energies + self.shift).tolist(),
            scales=[self.scale] * n,
            neighbours=[max(1.0, self.neighbours)] * n,
            self_connections=["species" if self.by_species else "linear"] * self.n_layers,
            radial_hidden=self.radial,
            layer_norm=EPSILON if self.norm else 0.0,
            **PROVISIONAL,
        )


class _Config:
    """Values of the file's first line; ModelFileError for those that are missing or cannot be."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def _value(self, key: str) -> Any:
        if key not in self.values:
            raise ModelFileError(f"its config has no {key}")
        return self.values[key]

    def _refuse(self, key: str, expected: str) -> ModelFileError:
        return ModelFileError(f"{key} is {str(self.values[key])[:60]}; expected {expected}")

    def integer(self, key: str, least: int, most: int | None = None) -> int:
        value = self._value(key)
        if type(value) is not int or value < least or (most is not None and value > most):
            limit = f"{least} or more" if most is None else f"{least} to {most}"
            raise self._refuse(key, f"a whole number, {limit}")
        return value

    def number(self, key: str, above: float = -math.inf, below: float = math.inf) -> float:
        value = self._value(key)
        if type(value) not in (int, float) or not max(above, -1e30) < value < min(below, 1e30):
            limits = f" above {above:g}" * (above > -math.inf) + f" and below {below:g}" * (below < math.inf)
            raise self._refuse(key, f"a number{limits}")
        return float(value)

    def boolean(self, key: str) -> bool:
        value = self._value(key)
        if type(value) is not bool:
            raise self._refuse(key, "true or false")
        return value

    def exponent(self, key: str) -> int:
        value = self.number(key)
        if value != int(value) or not 2 <= value <= 100:
            raise self._refuse(key, "a whole number from 2 to 100")
        return int(value)

    def atomic_numbers(self) -> list[int]:
        """Return the atomic numbers in ascending order, which is that of the weights."""
        value = self._value("atomic_numbers")
        numbers = value if isinstance(value, list) else []
        known = all(type(z) is int and 0 < z < len(chemical_symbols) for z in numbers)
        if not numbers or not known or len(set(numbers)) < len(numbers):
            raise self._refuse("atomic_numbers", "a list of different atomic numbers")
        return sorted(numbers)

    def hidden_irreps(self) -> Irreps:
        """Return the hidden irreps in ascending order, which is that of the weights."""
        try:
            irreps = Irreps(str(self._value("hidden_irreps"))).sorted()
        except ValueError:
            irreps = Irreps()
        kinds = [ir for _, ir in irreps]
        natural = all(mul > 0 and ir.p == (-1) ** ir.l and ir.l <= L_MAX for mul, ir in irreps)
        # Others cannot be reached by the first layer, or fail in Nequix's gate.
        if SCALAR not in kinds or len(set(kinds)) < len(kinds) or not natural:
            raise self._refuse("hidden_irreps", f"0e and some of 1o, 2e … up to l = {L_MAX}, each once")
        return irreps


def _nequix_norm() -> float:
    """Return the root mean square of silu for normal input as e3nn-jax computes it: at 1000001 quantiles."""
    n = 1_000_001
    quantiles = torch.linspace(-1.0, 1.0, n + 2, dtype=torch.float64)[1:-1]
    x = math.sqrt(2) * torch.special.erfinv(quantiles)
    return math.sqrt(float(torch.nn.functional.silu(x).square().mean()))
