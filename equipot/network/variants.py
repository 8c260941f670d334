"""Variants of a potential: for other elements, in another precision, with other splines or reference energies."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import torch
from ase.data import chemical_symbols
from torch import Tensor

from equipot.errors import ConfigError
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec


def with_precision(potential: Potential, dtype: Literal["float32", "float64"]) -> Potential:
    """Return the potential with network weights of another precision; tensors that are always float64 stay so."""
    return _same_weights(potential, dataclasses.replace(potential.spec, dtype=dtype))


def with_knots(potential: Potential, order: int, intervals: int) -> Potential:
    """Return the potential with splines of other knots, `intervals` + 1 in number.

    The second derivative of xplor jumps at its onset, where a knot must be (see `PotentialSpec.doubled_knot`). So the
    number of intervals is rounded up until the onset is at a knot.
    """
    spec = potential.spec
    if spec.envelope == "xplor":
        step = Fraction(spec.xplor_onset).limit_denominator(1000).denominator
        intervals = -(-intervals // step) * step
    return _same_weights(potential, dataclasses.replace(spec, spline_order=order, n_knots=intervals + 1))


def with_e0(potential: Potential, e0: Sequence[float]) -> Potential:
    """Return the potential with other reference energies (eV, one per element)."""
    changed = _same_weights(potential, dataclasses.replace(potential.spec, e0=list(e0)))
    changed.e0.copy_(torch.tensor(e0, dtype=torch.float64))
    return changed


def with_core_radii(potential: Potential, radii: Sequence[Sequence[float]]) -> Potential:
    """Return the potential with other core radii (Å, (n_species, n_species), symmetric), see `network.core`."""
    changed = Potential(dataclasses.replace(potential.spec, core_radii=radii))
    same = {n: value for n, value in potential.state_dict().items() if not n.startswith("core.")}
    changed.load_state_dict({**changed.state_dict(), **same})
    return changed


def with_grade(potential: Potential, mean: Tensor, factor: Tensor, penalty: Tensor) -> Potential:
    """Return the potential with the extrapolation grade of these tensors, see `network.grade.ExtrapolationGrade`."""
    changed = Potential(dataclasses.replace(potential.spec, grade=True))
    grade = {"grade.mean": mean, "grade.factor": factor, "grade.penalty": penalty}
    changed.load_state_dict({**potential.state_dict(), **grade})
    return changed


def with_members(potential: Potential, deltas: Tensor, factor: Tensor) -> Potential:
    """Return the potential with the committee of these tensors, see `network.members.Members`."""
    changed = Potential(dataclasses.replace(potential.spec, members=len(deltas)))
    same = {n: value for n, value in potential.state_dict().items() if not n.startswith("members.")}
    changed.load_state_dict({**same, "members.deltas": deltas, "members.factor": factor})
    return changed


def without_uncertainty(potential: Potential) -> Potential:
    """Return the potential without extrapolation grade and members, which are wrong once the weights change."""
    changed = Potential(dataclasses.replace(potential.spec, grade=False, members=0))
    parts = "grade.", "members."
    state = {name: value for name, value in potential.state_dict().items() if not name.startswith(parts)}
    changed.load_state_dict(state)
    return changed


def _same_weights(potential: Potential, spec: PotentialSpec) -> Potential:
    changed = Potential(spec)
    changed.load_state_dict(potential.state_dict())
    return changed


def with_elements(potential: Potential, type_names: Sequence[str]) -> Potential:
    """Return the potential for these elements alone, in this order; it gives the same numbers for them.

    Raise ConfigError for an element that it does not know, for one that is given twice, and for an empty list.
    """
    known = potential.type_names
    unknown = [name for name in type_names if name not in known]
    if unknown:
        raise ConfigError(f"the model does not know {', '.join(unknown)}; it knows {', '.join(known)}")
    if not type_names or len(set(type_names)) < len(type_names):
        raise ConfigError(
            f"the elements are {', '.join(type_names) or 'none'}; expected at least one, each once"
        )
    rows = [known.index(name) for name in type_names]
    subset = Potential(_subset(potential.spec, rows))
    state = subset.state_dict()
    wider = _one_element_more(potential.spec).state_dict()
    for name, value in potential.state_dict().items():
        selected = _select(value, wider[name].shape, rows, len(known))
        # A table of pair cutoffs becomes one number if the remaining pairs share one; the new network has it already.
        if selected.shape == state[name].shape:
            state[name] = selected
        elif not (name == "inverse_cutoffs" and subset.one_cutoff):
            raise AssertionError(
                f"{name} has shape {tuple(selected.shape)}, expected {tuple(state[name].shape)}"
            )
    subset.load_state_dict(state)
    return subset


def _subset(spec: PotentialSpec, rows: Sequence[int]) -> PotentialSpec:
    return dataclasses.replace(
        spec,
        type_names=[spec.type_names[i] for i in rows],
        pair_cutoffs=[[spec.pair_cutoffs[i][j] for j in rows] for i in rows],
        core_radii=None if spec.core_radii is None else [[spec.core_radii[i][j] for j in rows] for i in rows],
        e0=[spec.e0[i] for i in rows],
        scales=[spec.scales[i] for i in rows],
        neighbours=[spec.neighbours[i] for i in rows],
    )


def _one_element_more(spec: PotentialSpec) -> Potential:
    """Return a network with one more element. Its larger tensors are those with rows by species or pair of species."""
    n = len(spec.type_names)
    another = next(name for name in chemical_symbols[1:] if name not in spec.type_names)
    wider = _subset(spec, [*range(n), n - 1])
    return Potential(dataclasses.replace(wider, type_names=[*spec.type_names, another]))


def _select(value: Tensor, wider: torch.Size, rows: Sequence[int], n: int) -> Tensor:
    """Return the rows of the chosen species along each dimension that grows with the number n of species or with n²."""
    for dimension, (size, larger) in enumerate(zip(value.shape, wider, strict=True)):
        if size == larger:
            continue
        if (size, larger) == (n, n + 1):
            index = list(rows)
        elif (size, larger) == (n * n, (n + 1) ** 2):
            index = [i * n + j for i in rows for j in rows]
        else:
            raise AssertionError(f"a dimension of {size} is {larger} for one element more than {n}")
        value = value.index_select(dimension, torch.tensor(index, device=value.device))
    return value
