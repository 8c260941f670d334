"""Sections: errors on labelled frames, and the curves of the training."""

from io import BytesIO

from equipot.errors import DataError
from equipot.evaluation.error_tables import in_meV
from equipot.evaluation.evaluation import evaluate
from equipot.evaluation.learning import plot_learning
from equipot.evaluation.parity import plot_parity
from equipot.quantities import FORCES, LABELS
from equipot.report.section import Figure, Grid, Section, Subject


def errors(subject: Subject) -> Section:
    """Tables by group and element, parity plots."""
    if not subject.frames:
        raise DataError("no labelled structures were given; name a file behind the model")
    found = evaluate(subject.calculator.model, subject.frames)
    report = found.errors
    files = ", ".join(subject.files)
    if all(report[q.name] is None for q in LABELS):
        raise DataError(f"the structures of {files} hold no labels; --energy-key, --forces-key name them")
    section = Section("Errors", f"{len(found.frames)} frames of {files}; MAE / RMSE.")
    for q in LABELS:
        of_quantity = report[q.name]
        if of_quantity is not None:
            value = 1000 * of_quantity.rmse
            section.figures.append(Figure(f"{q.title} error (RMSE)", value, f"m{q.error_unit}", form=".3g"))
    sizes = {group: sum(f.config_type == group for f in found.frames) for group in report.groups}
    rows = [
        (group, str(sizes[group]), *(in_meV(errors[q.name]) for q in LABELS))
        for group, errors in report.groups.items()
    ]
    if len(rows) != 1:
        rows.append(("all", str(len(found.frames)), *(in_meV(report[q.name]) for q in LABELS)))
    section.tables.append(Grid(("group", "frames", *(q.column for q in LABELS)), rows))
    if len(report.forces_by_species) > 1:
        section.tables.append(
            Grid(
                ("element", "atoms", FORCES.column),
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
