"""Which labels there are, whether they are numbers, and what the energies are counted from."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from equipot.data.checks.report import Finding, Level
from equipot.data.checks.structures import list_frames
from equipot.data.reference_energies import reference_energies
from equipot.data.split import is_isolated_atom
from equipot.quantities import LABELS
from equipot.structures.frame import Frame
from equipot.structures.species import SpeciesMap


def check_labels(frames: Sequence[Frame]) -> list[Finding]:
    """Findings energies, forces, stresses, unread-keys, scf, charge-spin."""
    unread = Counter(entry for f in frames for entry in f.unread)
    missing = {q.name: not any(q.name in f.labels for f in frames) for q in LABELS}
    missing["virial"] = missing["stress"]
    findings = [_energies(frames, Counter({key: n for (key, _), n in unread.items()}))]
    findings += [_forces(frames), _stresses(frames)]
    whole = sum(len(f) > 1 for f in frames)
    findings += [_unread(*entry, count, whole, missing) for entry, count in sorted(unread.items())]
    if not unread:
        findings.append(Finding("unread-keys", "ok", "no key that looks like a label is left unread"))
    return [*findings, *_convergence(frames), *_charge_spin(frames)]


def _unread(key: str, label: str, count: int, whole: int, missing: Mapping[str, bool]) -> Finding:
    """A key that looks like a label; an error where the label is missing everywhere and the key is in all frames.

    whole : frames of more than one atom
    """
    message = f"'{key}' looks like a label in {count} frames and is not read"
    if not label:
        return Finding("unread-keys", "note", f"{message}; its shape is that of no label")
    if "grad" in key.lower():
        remedy = f"if it is the gradient of the energy, write its negative as {label}"
    else:
        remedy = f"it is read with {label}_key: {key}"
    if not missing[label]:
        return Finding("unread-keys", "note", f"{message}; {remedy} in place of what is read now")
    level: Level = "error" if count >= max(whole, 1) else "warning"
    return Finding("unread-keys", level, f"all frames lack {label}, but {message}; {remedy}")


def _convergence(frames: Sequence[Frame]) -> list[Finding]:
    bad = [i for i, f in enumerate(frames) if not f.scf_converged]
    if not bad:
        return []
    message = (
        f"the electrons of {len(bad)} frames did not converge, so their labels are wrong: "
        f"{list_frames(frames, bad)}; repeat or remove these frames"
    )
    return [Finding("scf", "error", message, tuple(bad))]


def _charge_spin(frames: Sequence[Frame]) -> list[Finding]:
    states = {f.charge_spin for f in frames}
    if len(states) < 2:
        return []
    shown = sorted(", ".join(f"{k} {v:g}" for k, v in state) or "none given" for state in states)
    message = (
        f"frames differ in charge or spin ({'; '.join(shown[:5])}{'; …' * (len(shown) > 5)}), which a potential "
        "cannot see: the same structure must not come with two of them"
    )
    return [Finding("charge-spin", "note", message)]


def _energies(frames: Sequence[Frame], unread: Counter[str]) -> Finding:
    without = [i for i, f in enumerate(frames) if f.energy is None]
    keys = Counter(f.energy_key for f in frames if f.energy is not None)
    if len(without) == len(frames):
        near = [key for key in unread if "energ" in key.lower()]
        hint = (
            f"; '{near[0]}' looks like one: set energy_key: {near[0]}"
            if near
            else "; name their key as energy_key"
        )
        return Finding("energies", "error", f"no frame has an energy that was read{hint}")
    described = " and ".join(f"'{key}' in {n}" for key, n in keys.most_common())
    if len(keys) > 1:
        return Finding("energies", "warning", f"energies are read from different keys: {described} frames")
    if without:
        message = f"{len(without)} of {len(frames)} frames have no energy: {list_frames(frames, without)}"
        return Finding("energies", "warning", message, tuple(without))
    return Finding("energies", "ok", f"energies of all {len(frames)} frames, read from '{next(iter(keys))}'")


def _forces(frames: Sequence[Frame]) -> Finding:
    without = [i for i, f in enumerate(frames) if f.forces is None and len(f) > 1]
    if not any(f.forces is not None for f in frames):
        message = "no frame has forces; a potential from energies alone needs far more frames"
        return Finding("forces", "note", message)
    if without:
        message = f"{len(without)} of {len(frames)} frames have no forces: {list_frames(frames, without)}"
        return Finding("forces", "note", message, tuple(without))
    return Finding("forces", "ok", f"forces of {sum(f.forces is not None for f in frames)} frames")


def _stresses(frames: Sequence[Frame]) -> Finding:
    stressed = [i for i, f in enumerate(frames) if f.stress is not None]
    lost = [i for i in stressed if not frames[i].pbc.all()]
    periodic = sum(bool(f.pbc.all()) for f in frames)
    if lost:
        message = (
            f"{len(lost)} frames have a stress but are not periodic in all directions, where it means "
            f"nothing; it is not used: {list_frames(frames, lost)}"
        )
        return Finding("stresses", "warning", message, tuple(lost))
    if not stressed:
        level: Level = "note" if periodic else "ok"
        return Finding(
            "stresses", level, f"no frame has a stress ({periodic} of {len(frames)} are fully periodic)"
        )
    if len(stressed) < periodic:
        return Finding(
            "stresses", "note", f"stresses of {len(stressed)} out of {periodic} fully periodic frames"
        )
    return Finding("stresses", "ok", f"stresses of all {periodic} fully periodic frames")


def check_validation_labels(train: Sequence[Frame], validation: Sequence[Frame]) -> list[Finding]:
    """Finding validation-labels: kinds of labels that are trained on and not validated with."""
    lacking = [
        q.name
        for q in LABELS
        if any(q.name in f.labels for f in train) and not any(q.name in f.labels for f in validation)
    ]
    if not lacking:
        return []
    message = (
        f"no validation frame has {' or '.join(lacking)}, which the training frames have: the best epoch is then "
        "chosen by other errors than those that are trained on"
    )
    return [Finding("validation-labels", "warning", message)]


def check_finite(frames: Sequence[Frame]) -> list[Finding]:
    """Finding finite: NaN or infinity anywhere is an error."""
    what: dict[str, list[int]] = {}
    for i, frame in enumerate(frames):
        for name, values in {"positions": frame.positions, "cell": frame.cell, **frame.labels}.items():
            if not np.isfinite(values).all():
                what.setdefault(name, []).append(i)
    if not what:
        return [Finding("finite", "ok", "all positions, cells and labels are finite")]
    return [
        Finding(
            "finite",
            "error",
            f"{name} of {len(bad)} frames hold NaN or infinity: {list_frames(frames, bad)}",
            tuple(bad),
        )
        for name, bad in what.items()
    ]


def check_energy_kind(
    frames: Sequence[Frame], e0: Mapping[str, float] | str | None = None
) -> tuple[list[Finding], np.ndarray]:
    """Findings energy-kind and energy-per-atom; and the energies per atom after E0.

    Returns:
        findings, and (n_frames,) eV/atom, NaN where there is no finite energy
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
        option = "auto"  # what is missing there is the training's to say
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
    binding: np.ndarray, per_atom: np.ndarray, isolated: np.ndarray, fixed: bool, given: bool
) -> Finding:
    mean, lowest = float(binding.mean()), float(per_atom.mean())
    if fixed:
        if mean > 2.0 or mean < -20.0:
            whose = "given E0" if given else "isolated atoms"
            message = (
                f"with the {whose} the mean energy is {mean:+.2f} eV/atom relative to free atoms, and "
                "bound matter lies between -10 and 0: reference energies were subtracted already, or belong "
                "to another method or unit"
            )
            return Finding("energy-kind", "error", message)
        if len(isolated) and np.abs(isolated).max() < 1e-6:
            message = (
                f"cohesive energies: isolated atoms are at zero, the others at {mean:.2f} eV/atom on average"
            )
            return Finding("energy-kind", "ok", message)
        return Finding(
            "energy-kind", "ok", f"total energies; {mean:.2f} eV/atom on average relative to free atoms"
        )
    if abs(lowest) < 1.0:
        message = (
            f"energies per atom are close to zero (mean {lowest:+.3f} eV): a reference was subtracted "
            "already; E0 must be fitted or zero, not given as total energies of atoms"
        )
        return Finding("energy-kind", "note", message)
    if -15 < lowest < 0:
        message = f"{lowest:.2f} eV/atom on average: cohesive, or relative to a code's reference atoms"
        return Finding("energy-kind", "ok", message)
    if lowest >= 0:
        message = (
            f"{lowest:+.2f} eV/atom on average, positive: neither total nor cohesive energies of bound matter"
        )
        return Finding("energy-kind", "warning", message)
    return Finding("energy-kind", "ok", f"total energies, {lowest:.2f} eV/atom on average")


def _per_atom(composition: np.ndarray, energy: np.ndarray) -> list[Finding]:
    """Energies that follow the composition but not the number of atoms were divided by it."""
    size = composition.sum(axis=1)
    if size.max() < 1.5 * size.min() or len(energy) < composition.shape[1] + 3:
        return []

    def misfit(design: np.ndarray) -> float:
        solution, *_ = np.linalg.lstsq(design, energy, rcond=1e-8)
        return float(np.std(energy - design @ solution))

    if misfit(composition / size[:, None]) < 0.1 * misfit(composition):
        message = (
            "energies do not grow with the number of atoms: they look like energies per atom; expected those "
            "of whole structures (eV)"
        )
        return [Finding("energy-per-atom", "error", message)]
    return []
