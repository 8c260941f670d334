"""What the sentence at the end of a training says for learning curves of known shapes."""

from equipot.training.advice import advice


def curve(validation: list[float], fitted: list[float]) -> list[dict[str, str]]:
    """Return the rows of metrics.csv for force errors in meV/Å, one every 10 s."""
    pairs = enumerate(zip(validation, fitted, strict=True))
    return [
        {
            "seconds": str(10 * (k + 1)),
            "score": str(v),
            "validation_forces_rmse": str(v / 1e3),
            "train_forces_rmse": str(t / 1e3),
        }
        for k, (v, t) in pairs
    ]


def test_errors_that_still_fall_ask_for_time():
    text = advice(curve([80, 60, 45, 33], [80, 60, 45, 33]), "restarts")
    assert "More time would help: the second half of the time took" in text
    assert "from 60.0 to 33.0 meV/Å" in text
    assert "More data would help little" in text


def test_errors_that_fall_on_the_fitted_frames_alone_ask_for_data():
    text = advice(curve([80, 41, 60, 40], [80, 40, 20, 10]), "restarts")
    assert "More time would help little" in text
    assert "More data would help: the validation error of the forces is 40.0 meV/Å" in text
    assert "fitted frames 10.0 meV/Å" in text


def test_half_of_one_cosine_says_nothing_about_time():
    assert "time" not in advice(curve([80, 60, 45, 33], [80, 60, 45, 33]), "cosine")


def test_without_validation_there_is_no_sentence():
    rows = [{"seconds": "1", "score": "1", "train_forces_rmse": "0.1", "validation_forces_rmse": ""}]
    assert advice(rows, "restarts") == ""
    assert advice([], "restarts") == ""
