"""Checks of the labels: they are present and finite, and the energies have a known reference."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from equipot.data.checks.report import Finding, Level
from equipot.data.checks.structures import list_frames
from equipot.data.reference_energies import reference_energies
from equipot.data.split import is_isolated_atom
from equipot.neighbours.cell import NO_VOLUME
from equipot.quantities import LABELS
from equipot.species import SpeciesMap
from equipot.structures.frame import Frame


def check_labels(frames: Sequence[Frame]) -> list[Finding]:
    """Return the findings energies, forces, stresses, unread-keys, scf and charge-spin."""
    unread = Counter(entry for f in frames for entry in f.unread)
    missing = {q.name: not any(q.name in f.labels for f in frames) for q in LABELS}
    missing["virial"] = missing["stress"]
    findings = [_energies(frames, Counter({key: n for (key, _), n in unread.items()}))]
    findings += [_forces(frames), _stresses(frames)]
    n_multi_atom = sum(len(f) > 1 for f in frames)
    findings += [_unread(*entry, count, n_multi_atom, missing) for entry, count in sorted(unread.items())]
    if not unread:
        findings.append(Finding("unread-keys", "ok", "all keys that look like labels were read"))
    return [*findings, *_convergence(frames), *_charge_spin(frames)]


def _unread(key: str, label: str, count: int, n_multi_atom: int, missing: Mapping[str, bool]) -> Finding:
    """Return the finding about a key that looks like a label but was not read.

    It is an error if all frames lack the label, and all `n_multi_atom` frames with more than one atom have the key.
    """
    message = f"'{key}' looks like a label in {count} frames but was not read"
    if not label:
        return Finding("unread-keys", "note", f"{message}; no label has its shape")
    if "grad" in key.lower():
        remedy = f"if it is the gradient of the energy, write its negative as {label}"
    else:
        remedy = f"to read it, set {label}_key: {key}"
    if not missing[label]:
        name = "stress" if label == "virial" else label
        return Finding(
            "unread-keys", "note", f"{message}: labels of {name} were read from another key; {remedy}"
        )
    level: Level = "error" if count >= max(n_multi_atom, 1) else "warning"
    return Finding("unread-keys", level, f"all frames lack {label}, but {message}; {remedy}")


def _convergence(frames: Sequence[Frame]) -> list[Finding]:
    bad = [i for i, f in enumerate(frames) if not f.scf_converged]
    if not bad:
        return []
    message = (
        f"the electronic steps of {len(bad)} frames did not converge, so their labels are wrong: "
        f"{list_frames(frames, bad)}; repeat or remove these frames"
    )
    return [Finding("scf", "error", message, tuple(bad))]


def _charge_spin(frames: Sequence[Frame]) -> list[Finding]:
    states = {f.charge_spin for f in frames}
    if len(states) < 2:
        return []
    listed = sorted(", ".join(f"{k} {v:g}" for k, v in state) or "none given" for state in states)
    message = (
        f"frames differ in charge or spin ({'; '.join(listed[:5])}{'; …' * (len(listed) > 5)}). The potential does not "
        "depend on them, so a structure must not occur with two values"
    )
    return [Finding("charge-spin", "note", message)]


def _energies(frames: Sequence[Frame], unread: Counter[str]) -> Finding:
    without = [i for i, f in enumerate(frames) if f.energy is None]
    keys = Counter(f.energy_key for f in frames if f.energy is not None)
    if len(without) == len(frames):
        near = [key for key in unread if "energ" in key.lower()]
        hint = (
            f"; '{near[0]}' looks like an energy: set energy_key: {near[0]}"
            if near
            else "; set energy_key to the key of the energies"
        )
        return Finding("energies", "error", f"no energy was read from any frame{hint}")
    counts = " and ".join(f"'{key}' in {n}" for key, n in keys.most_common())
    if len(keys) > 1:
        return Finding("energies", "warning", f"energies are read from different keys: {counts} frames")
    if without:
        message = f"{len(without)} of {len(frames)} frames have no energy: {list_frames(frames, without)}"
        return Finding("energies", "warning", message, tuple(without))
    return Finding("energies", "ok", f"energies of all {len(frames)} frames, read from '{next(iter(keys))}'")


def _forces(frames: Sequence[Frame]) -> Finding:
    without = [i for i, f in enumerate(frames) if f.forces is None and len(f) > 1]
    if not any(f.forces is not None for f in frames):
        message = "no frame has forces; a training on energies alone needs many more frames"
        return Finding("forces", "note", message)
    if without:
        message = f"{len(without)} of {len(frames)} frames have no forces: {list_frames(frames, without)}"
        return Finding("forces", "note", message, tuple(without))
    return Finding("forces", "ok", f"forces of {sum(f.forces is not None for f in frames)} frames")


def _stresses(frames: Sequence[Frame]) -> Finding:
    stressed = [i for i, f in enumerate(frames) if f.stress is not None]
    without_volume = [i for i in stressed if np.isnan(frames[i].volume)]
    n_volumes = sum(not np.isnan(f.volume) for f in frames)
    if without_volume:
        message = (
            f"{len(without_volume)} frames have a stress but no volume, so the stress is not used: "
            f"{list_frames(frames, without_volume)}; {NO_VOLUME}"
        )
        return Finding("stresses", "warning", message, tuple(without_volume))
    if not stressed:
        level: Level = "note" if n_volumes else "ok"
        message = f"no frame has a stress ({n_volumes} of {len(frames)} have a volume)"
        return Finding("stresses", level, message)
    if len(stressed) < n_volumes:
        message = f"stresses of {len(stressed)} out of {n_volumes} frames with a volume"
        return Finding("stresses", "note", message)
    return Finding("stresses", "ok", f"stresses of all {n_volumes} frames with a volume")


def check_validation_labels(train: Sequence[Frame], validation: Sequence[Frame]) -> list[Finding]:
    """Return the finding validation-labels if the validation set lacks a label that the training set has."""
    missing = [
        q.name
        for q in LABELS
        if any(q.name in f.labels for f in train) and not any(q.name in f.labels for f in validation)
    ]
    if not missing:
        return []
    message = (
        f"training frames have {' and '.join(missing)}, but no validation frame does: the best epoch is chosen without "
        "their errors"
    )
    return [Finding("validation-labels", "warning", message)]


def check_finite(frames: Sequence[Frame]) -> list[Finding]:
    """Return the finding finite: an error for each quantity with NaN or infinite values."""
    bad_frames: dict[str, list[int]] = {}
    for i, frame in enumerate(frames):
        for name, values in {"positions": frame.positions, "cell": frame.cell, **frame.labels}.items():
            if not np.isfinite(values).all():
                bad_frames.setdefault(name, []).append(i)
    if not bad_frames:
        return [Finding("finite", "ok", "all positions, cells and labels are finite")]
    return [
        Finding(
            "finite",
            "error",
            f"{len(bad)} frames have NaN or infinite values of {name}: {list_frames(frames, bad)}",
            tuple(bad),
        )
        for name, bad in bad_frames.items()
    ]


def check_energy_kind(
    frames: Sequence[Frame], e0: Mapping[str, float] | str | None = None
) -> tuple[list[Finding], np.ndarray]:
    """Check which reference the energies have, and that they are energies of whole structures.

    Returns:
        the findings energy-kind and energy-per-atom, and the energies per atom minus the reference energies, shape
        (n_frames,) in eV/atom, NaN for frames without a finite energy.
    """
    residual = np.full(len(frames), np.nan)
    usable = [i for i, f in enumerate(frames) if f.energy is not None and np.isfinite(f.energy) and len(f)]
    if not usable:
        return [], residual
    species = SpeciesMap.of_numbers(frames[i].numbers for i in usable)
    composition = np.array(
        [np.bincount(species.index(frames[i].numbers), minlength=len(species)) for i in usable],
        dtype=np.float64,
    )
    energy = np.array([frames[i].energy for i in usable], dtype=np.float64)
    isolated = np.array([is_isolated_atom(frames[i]) for i in usable])
    option = "auto" if e0 is None else e0
    if isinstance(option, str) and option == "isolated":
        option = "auto"  # the training reports missing isolated atoms
    values, source = reference_energies(composition, energy, isolated, species, option)
    size = composition.sum(axis=1)
    residual[usable] = (energy - composition @ values) / size
    bulk = ~isolated
    if not bulk.any():
        return [Finding("energy-kind", "note", "all frames are isolated atoms")], residual
    fixed = all(s == "given" or s.startswith("isolated") for s in source)
    finding = _kind(
        residual[usable][bulk], (energy / size)[bulk], energy[isolated], fixed, isinstance(option, Mapping)
    )
    return [finding, *_per_atom(composition[bulk], energy[bulk])], residual


def _kind(
    binding: np.ndarray, per_atom: np.ndarray, isolated: np.ndarray, fixed: bool, e0_in_config: bool
) -> Finding:
    mean, lowest = float(binding.mean()), float(per_atom.mean())
    if fixed:
        if mean > 2.0 or mean < -20.0:
            source = "given E0" if e0_in_config else "isolated atoms"
            message = (
                f"with the {source}, the mean energy is {mean:+.2f} eV/atom relative to free atoms; expected -10 to 0. "
                "Either reference energies were already subtracted, or the E0 are from another method or in another "
                "unit"
            )
            return Finding("energy-kind", "error", message)
        if len(isolated) and np.abs(isolated).max() < 1e-6:
            message = (
                f"cohesive energies: isolated atoms have zero, all other frames {mean:.2f} eV/atom on average"
            )
            return Finding("energy-kind", "ok", message)
        return Finding(
            "energy-kind", "ok", f"total energies; {mean:.2f} eV/atom on average relative to free atoms"
        )
    if abs(lowest) < 1.0:
        message = (
            f"energies per atom are close to zero (mean {lowest:+.3f} eV), as after subtracting reference energies; "
            "the default, a fitted E0, is right; do not set data.e0 to total energies of atoms"
        )
        return Finding("energy-kind", "note", message)
    if -15 < lowest < 0:
        message = f"{lowest:.2f} eV/atom on average: cohesive, or relative to a code's reference atoms"
        return Finding("energy-kind", "ok", message)
    if lowest >= 0:
        message = f"{lowest:+.2f} eV/atom on average: total and cohesive energies of bound atoms are negative"
        return Finding("energy-kind", "warning", message)
    return Finding("energy-kind", "ok", f"total energies, {lowest:.2f} eV/atom on average")


def _per_atom(composition: np.ndarray, energy: np.ndarray) -> list[Finding]:
    """Return the finding energy-per-atom if energies follow the composition but not the number of atoms."""
    size = composition.sum(axis=1)
    if size.max() < 1.5 * size.min() or len(energy) < composition.shape[1] + 3:
        return []

    def misfit(design: np.ndarray) -> float:
        solution, *_ = np.linalg.lstsq(design, energy, rcond=1e-8)
        return float(np.std(energy - design @ solution))

    if misfit(composition / size[:, None]) < 0.1 * misfit(composition):
        message = (
            "energies do not increase with the number of atoms: they look like energies per atom; expected energies "
            "of whole structures (eV)"
        )
        return [Finding("energy-per-atom", "error", message)]
    return []
