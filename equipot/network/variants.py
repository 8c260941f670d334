"""The same potential for fewer elements."""

import dataclasses
from collections.abc import Sequence

import torch

from equipot.errors import ConfigError
from equipot.network.potential import Potential


def with_elements(potential: Potential, type_names: Sequence[str]) -> Potential:
    """A potential that knows only these elements, in this order, and gives the same numbers for them.

    Raises ConfigError for an element that it does not know or that is given twice, or when none is given.
    """
    known = potential.type_names
    unknown = [name for name in type_names if name not in known]
    if unknown:
        raise ConfigError(f"the model does not know {', '.join(unknown)}; it knows {', '.join(known)}")
    if not type_names or len(set(type_names)) < len(type_names):
        raise ConfigError(f"elements {', '.join(type_names) or 'none'} were given; expected each once")
    rows = [known.index(name) for name in type_names]
    spec = potential.spec
    kept = Potential(
        dataclasses.replace(
            spec,
            type_names=list(type_names),
            pair_cutoffs=[[spec.pair_cutoffs[i][j] for j in rows] for i in rows],
            e0=[spec.e0[i] for i in rows],
            scales=[spec.scales[i] for i in rows],
            neighbours=[spec.neighbours[i] for i in rows],
        )
    )
    state = kept.state_dict()
    for name, value in potential.state_dict().items():
        if name == "pair_cutoffs" or name == "inverse_cutoffs" or name.startswith("zbl."):
            continue  # built from the elements
        target = state[name]
        # By species: as many rows as there are elements, where the others have the same shape or one row.
        by_species = value.dim() > 0 and value.shape[0] == len(known) and _has_rows(name)
        state[name] = value[torch.tensor(rows)] if by_species else value
        if state[name].shape != target.shape:
            raise AssertionError(
                f"{name} has shape {tuple(state[name].shape)}, expected {tuple(target.shape)}"
            )
    kept.load_state_dict(state)
    return kept


def _has_rows(name: str) -> bool:
    return name in ("embedding.weight", "e0", "scales") or name.endswith(
        ("self_connection.weight", "inverse_norm", "sends.factors")
    )
