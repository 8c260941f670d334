"""Sections about labels: the errors on labelled frames, and the learning curves of the training."""

from io import BytesIO

from equipot.errors import DataError
from equipot.evaluation.error_tables import cells, headings, in_meV
from equipot.evaluation.evaluation import evaluate
from equipot.evaluation.learning import plot_learning
from equipot.evaluation.parity import plot_parity
from equipot.evaluation.predicted_errors import HEADINGS
from equipot.quantities import FORCES, LABELS
from equipot.report.section import Figure, Grid, Section, Subject


def errors(subject: Subject) -> Section:
    """Make the section about errors: tables by group and element, and parity plots."""
    if not subject.frames:
        raise DataError("no labelled structures were given; give a file after the model")
    evaluation = evaluate(subject.calculator.model, subject.frames)
    report = evaluation.errors
    files = ", ".join(subject.files)
    if all(report[q.name] is None for q in LABELS):
        raise DataError(
            f"the structures of {files} hold no labels; set their names with --energy-key and --forces-key"
        )
    section = Section(
        "Errors",
        f"{len(evaluation.frames)} frames of {files}: MAE / RMSE, and the mean of the energy errors with its sign.",
    )
    for q in LABELS:
        quantity_errors = report[q.name]
        if quantity_errors is not None:
            value = 1000 * quantity_errors.rmse
            section.figures.append(Figure(f"{q.title} error (RMSE)", value, f"m{q.error_unit}", form=".3g"))
    sizes = {group: sum(f.config_type == group for f in evaluation.frames) for group in report.groups}
    rows = [(group, str(sizes[group]), *cells(errors)) for group, errors in report.groups.items()]
    if len(rows) != 1:
        rows.append(("all", str(len(evaluation.frames)), *cells(report.errors)))
    section.tables.append(Grid(("group", "frames", *headings()), rows))
    if len(report.forces_by_species) > 1:
        section.tables.append(
            Grid(
                ("element", "atoms", FORCES.column),
                [(name, str(e.count // 3), in_meV(e)) for name, e in report.forces_by_species.items()],
            )
        )
    image = BytesIO()
    plot_parity(image, evaluation.frames, evaluation.predictions, report)
    section.images.append(("prediction over reference", image.getvalue()))
    predicted = evaluation.predicted_errors
    if predicted is not None:
        section.tables.append(Grid(HEADINGS, predicted.rows()))
        image = BytesIO()
        predicted.plot(image)
        section.images.append(("true over predicted errors", image.getvalue()))
        section.remarks.append(
            f"The last table and figure compare the true errors of {predicted.frames} frames with those that the model "
            "predicts (docs/uncertainty.md)."
        )
    section.remarks += evaluation.remarks()
    return section


def learning(subject: Subject) -> Section:
    """Make the section about the training: loss and errors over time, from the metrics.csv next to the model."""
    metrics = subject.calculator.model.path.with_name("metrics.csv")
    if not metrics.is_file():
        raise DataError(f"there is no {metrics}; a training writes this file next to its model")
    image = BytesIO()
    try:
        plot_learning(metrics, image)
    except (KeyError, ValueError) as error:
        raise DataError(f"{metrics}: not a metrics file of a training ({error})") from None
    return Section("Training", f"From {metrics}.", images=[("loss and errors over time", image.getvalue())])
