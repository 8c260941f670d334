"""Sections: errors on labelled frames, and the curves of the training."""

from io import BytesIO

from equipot.errors import DataError
from equipot.evaluation.error_tables import in_meV
from equipot.evaluation.errors import LABELS
from equipot.evaluation.evaluation import evaluate
from equipot.evaluation.learning import plot_learning
from equipot.evaluation.parity import plot_parity
from equipot.report.section import Figure, Grid, Section, Subject

NAMES = {
    "energy_per_atom": ("energy error (RMSE)", "meV/atom"),
    "forces": ("force error (RMSE)", "meV/Å"),
    "stress": ("stress error (RMSE)", "meV/Å³"),
}


def errors(subject: Subject) -> Section:
    """Tables by group and element, parity plots."""
    if not subject.frames:
        raise DataError("no labelled structures were given; name a file behind the model")
    found = evaluate(subject.calculator.model, subject.frames)
    report = found.errors
    files = ", ".join(subject.files)
    if all(getattr(report, label) is None for label in LABELS):
        raise DataError(f"the structures of {files} hold no labels; --energy-key, --forces-key name them")
    section = Section("Errors", f"{len(found.frames)} frames of {files}; MAE / RMSE.")
    for label in LABELS:
        of_label = getattr(report, label)
        if of_label is not None:
            name, unit = NAMES[label]
            section.figures.append(Figure(name, 1000 * of_label.rmse, unit, form=".3g"))
    sizes = {group: sum(f.config_type == group for f in found.frames) for group in report.groups}
    rows = [
        (group, str(sizes[group]), *(in_meV(of[label]) for label in LABELS))
        for group, of in report.groups.items()
    ]
    if len(rows) != 1:
        rows.append(("all", str(len(found.frames)), *(in_meV(getattr(report, label)) for label in LABELS)))
    section.tables.append(Grid(("group", "frames", "energy meV/atom", "forces meV/Å", "stress meV/Å³"), rows))
    if len(report.forces_by_species) > 1:
        section.tables.append(
            Grid(
                ("element", "atoms", "forces meV/Å"),
                [(name, str(e.count // 3), in_meV(e)) for name, e in report.forces_by_species.items()],
            )
        )
    image = BytesIO()
    plot_parity(image, found.frames, found.predictions, report)
    section.images.append(("prediction over reference", image.getvalue()))
    section.remarks += found.remarks()
    return section


def learning(subject: Subject) -> Section:
    """Loss and errors over the training, from the metrics.csv beside the model."""
    metrics = subject.calculator.model.path.with_name("metrics.csv")
    if not metrics.is_file():
        raise DataError(f"there is no {metrics}, which a training writes beside its model")
    image = BytesIO()
    try:
        plot_learning(metrics, image)
    except (KeyError, ValueError) as error:
        raise DataError(f"{metrics}: cannot be read as a training's metrics ({error})") from None
    return Section("Training", f"From {metrics}.", images=[("loss and errors over time", image.getvalue())])
