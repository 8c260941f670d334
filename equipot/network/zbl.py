"""The ZBL repulsion between nuclei (Ziegler, Biersack, Littmark 1985).

An envelope takes it to zero at the sum of the covalent radii, or at the cutoff.
"""

from typing import Literal

import torch
from ase.data import atomic_numbers, covalent_radii
from torch import Tensor, nn

from equipot.network.program import Program
from equipot.ops import Topology

COULOMB = 14.3996454  # e²/(4πε0) in eV Å
SCREENING_LENGTH = 0.46850  # Å
# Universal screening function: coefficients and exponents.
UNIVERSAL = [(0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162)]


class ZBL(nn.Module):
    """The repulsive energy of each atom (eV, float64): half the energy of each pair that it belongs to."""

    pair_charge: Tensor
    inverse_length: Tensor
    inverse_range: Tensor

    def __init__(
        self,
        type_names: list[str],
        pair_cutoffs: Tensor,
        fades_at: Literal["covalent", "cutoff"] = "covalent",
    ) -> None:
        super().__init__()
        z = torch.tensor([atomic_numbers[name] for name in type_names])
        radii = torch.tensor([covalent_radii[i] for i in z.tolist()], dtype=torch.float64)
        power = z.double() ** 0.23
        self.n_species = len(type_names)
        self.screening = UNIVERSAL
        self.register_buffer("pair_charge", COULOMB * torch.outer(z.double(), z.double()).flatten())
        self.register_buffer("inverse_length", ((power[:, None] + power) / SCREENING_LENGTH).flatten())
        fade = pair_cutoffs
        if fades_at == "covalent":
            fade = torch.minimum(radii[:, None] + radii, pair_cutoffs)
        self.register_buffer("inverse_range", (1 / fade).flatten())

    @torch.jit.unused
    def write(self, program: Program) -> None:
        """Add the repulsion to the energies of a program."""
        names = ("pair_charge", "inverse_length", "inverse_range")
        program.add("zbl", **{name: program.double(getattr(self, name)) for name in names})

    def forward(self, species: Tensor, edge_vectors: Tensor, graph: Topology) -> Tensor:
        """Return energies (n_centres,) eV; species: (n_atoms,); edge_vectors: (n_edges, 3) Å float64."""
        pair = species.index_select(0, graph.centre) * self.n_species + species.index_select(
            0, graph.neighbour
        )
        r = edge_vectors.square().sum(1).sqrt()
        x = r * self.inverse_length.index_select(0, pair)
        screening = torch.zeros_like(x)
        for coefficient, exponent in self.screening:
            screening = screening + coefficient * torch.exp(-exponent * x)
        u = (r * self.inverse_range.index_select(0, pair)).clamp(max=1.0)
        fade = 1 - u.pow(6) * (28 - 48 * u + 21 * u * u)  # the polynomial envelope with p = 6
        energy = 0.5 * self.pair_charge.index_select(0, pair) / r * screening * fade
        return energy.new_zeros(graph.rowptr.shape[0] - 1).index_add(0, graph.centre, energy)
