"""Loss, error sums, batches, schedule: each against its definition."""

import itertools

import numpy as np
import pytest
import torch

from equipot.config import InitialWeights, LossConfig, TrainingConfig
from equipot.data.batching import EpochBatches, pack
from equipot.training.loss import Loss, Residual
from equipot.training.metrics import LabelErrors
from equipot.training.schedule import Plateau, cycle, fallen, learning_rate


def some_residuals(n=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    r = lambda *s: torch.randn(*s, dtype=torch.float64, generator=g)  # noqa: E731
    return {
        "energy": Residual(r(n), r(n)),
        "forces": Residual(r(2 * n, 3), 150 * r(2 * n, 3)),
        "stress": Residual(r(n, 3, 3), r(n, 3, 3), scale=r(n, 1, 1).abs()),
    }


def test_mse_is_the_weighted_sum_of_mean_squares():
    r = some_residuals()
    loss = Loss(LossConfig(energy=2, forces=3, stress=4, kind="mse"))(r)
    stress = (r["stress"].error * r["stress"].scale).numpy()
    expected = (
        2 * np.mean(r["energy"].error.numpy() ** 2)
        + 3 * np.mean(r["forces"].error.numpy() ** 2)
        + 4 * np.mean(stress**2)
    )
    assert float(loss) == pytest.approx(expected)


def test_huber_is_twice_that_of_torch_and_so_squares_for_small_errors():
    r = some_residuals()
    loss = Loss(LossConfig(energy=0, forces=1, stress=0, kind="huber", huber_delta=0.4))(r)
    error = r["forces"].error
    huber = torch.nn.functional.huber_loss(error, torch.zeros_like(error), delta=0.4)
    assert float(loss) == pytest.approx(2 * float(huber))


def test_stratified_huber_is_huber_with_a_smaller_delta_for_large_forces():
    forces = torch.tensor([[1.0, 0, 0], [150, 0, 0], [250, 0, 0], [350, 0, 0]], dtype=torch.float64)
    error = torch.ones(4, 3, dtype=torch.float64)
    r = {**some_residuals(), "forces": Residual(error, forces)}
    loss = Loss(LossConfig(energy=0, forces=1, stress=0, kind="stratified_huber", huber_delta=0.5))(r)
    deltas = 0.5 * np.array([1, 0.7, 0.4, 0.1])
    assert float(loss) == pytest.approx(np.mean(deltas * (2 - deltas)))


def test_weights_move_from_the_initial_ones_as_the_learning_rate_falls():
    r = some_residuals()
    loss = Loss(LossConfig(energy=20, forces=3, stress=0, initial=InitialWeights(energy=4, stress=4)))
    constant = lambda **weights: float(Loss(LossConfig(**weights))(r))  # noqa: E731
    assert float(loss(r, 0.0)) == pytest.approx(constant(energy=4, forces=3, stress=4))
    assert float(loss(r, 0.25)) == pytest.approx(constant(energy=8, forces=3, stress=3))
    assert float(loss(r)) == float(loss(r, 1.0)) == constant(energy=20, forces=3, stress=0)


def weights(energy, forces, stress):
    return {"energy": energy, "forces": forces, "stress": stress}


def test_the_energy_begins_with_a_tenth_of_its_weight_unless_told_otherwise():
    assert Loss(LossConfig(energy=20, forces=3, stress=4)).weights(0.0) == weights(2, 3, 4)
    assert Loss(LossConfig(energy=20, initial=InitialWeights(energy=0))).weights(0.0) == weights(0, 1, 1)
    assert Loss(LossConfig(energy=20, forces=3, stress=4)).weights(1.0) == weights(20, 3, 4)


def test_labels_that_a_batch_lacks_add_nothing():
    empty = {name: Residual(r.error[:0], r.reference[:0]) for name, r in some_residuals().items()}
    assert float(Loss(LossConfig())(empty)) == 0


def test_error_sums_do_not_depend_on_how_the_data_are_cut():
    r = some_residuals(12)
    whole, parts = LabelErrors(), LabelErrors()
    whole.update(r)
    for k in range(0, 12, 5):
        end = min(12, k + 5)
        ends = {"energy": (k, end), "forces": (2 * k, 2 * end), "stress": (k, end)}
        parts.update({name: Residual(r[name].error[slice(*ends[name])], r[name].reference) for name in r})
    a, b = whole.compute(), parts.compute()
    assert a.keys() == b.keys()
    for key in a:
        assert a[key] == pytest.approx(b[key], rel=1e-12)
    assert a["forces_rmse"] == pytest.approx(np.sqrt(np.mean(r["forces"].error.numpy() ** 2)))
    assert whole.compute() == {}  # nothing seen since


def test_batches_keep_both_limits_and_every_frame():
    sizes = [10, 90, 20, 300, 10, 10, 10, 10]
    batches = pack(range(8), sizes, batch_size=3, max_edges=100)
    assert list(itertools.chain(*batches)) == list(range(8))
    for batch in batches:
        assert len(batch) <= 3
        assert sum(sizes[i] for i in batch) <= 100 or batch == [3]


def epoch(e, rank=0, n_ranks=1, steps=1000, n=50, max_edges=None):
    sizes = np.random.default_rng(5).integers(1, 100, n).tolist()
    return EpochBatches(sizes, 4, max_edges, seed=3, steps=steps, epoch=e, rank=rank, n_ranks=n_ranks).batches


def test_epochs_differ_and_are_repeatable():
    assert epoch(0) == epoch(0)
    assert epoch(0) != epoch(1)
    assert sorted(itertools.chain(*epoch(1))) == list(range(50))


def test_parts_of_a_pass_make_up_the_pass():
    assert epoch(0, steps=5) + epoch(1, steps=5) + epoch(2, steps=5) == epoch(0)
    assert max(len(epoch(e, steps=5)) for e in range(6)) <= 5


@pytest.mark.parametrize("max_edges", [None, 150])
def test_ranks_share_an_epoch_with_equal_numbers_of_batches(max_edges):
    ranks = [epoch(2, rank=r, n_ranks=3, max_edges=max_edges) for r in range(3)]
    assert len({len(r) for r in ranks}) == 1
    assert set(itertools.chain(*itertools.chain(*ranks))) == set(range(50))


def test_one_batch_for_many_ranks_is_repeated():
    ranks = [epoch(0, rank=r, n_ranks=4, n=3) for r in range(4)]
    assert [len(r) for r in ranks] == [1, 1, 1, 1]


def test_the_learning_rate_warms_up_and_falls_to_a_hundredth():
    config = TrainingConfig(learning_rate=0.01, warmup_steps=10, schedule="cosine")
    plateau = Plateau(1, 0.5)
    assert learning_rate(config, 0, 0.0, plateau) == pytest.approx(0.001)
    assert learning_rate(config, 10, 0.0, plateau) == pytest.approx(0.01)
    assert learning_rate(config, 1000, 1.0, plateau) == pytest.approx(0.0001)


def test_restarts_begin_at_the_full_rate_and_fall_to_a_hundredth_whenever_what_is_done_has_doubled():
    config = TrainingConfig(learning_rate=0.01, warmup_steps=0)
    rate = lambda progress: learning_rate(config, 1000, progress, Plateau(1, 0.5))  # noqa: E731
    for end in (1 / 64, 1 / 32, 1 / 2):
        assert rate(end * (1 - 1e-9)) == pytest.approx(0.0001)
        assert rate(end) == pytest.approx(0.01)
        assert rate(1.5 * end) == pytest.approx(0.01 * (0.01 + 0.99 / 2))
    assert rate(0.0) == pytest.approx(0.01)
    assert rate(1.0) == rate(1.2) == pytest.approx(0.0001)
    assert [cycle(p)[0] for p in (0, 1 / 64, 1 / 32, 0.3, 0.5, 1, 1.5)] == [0, 1, 2, 5, 6, 6, 6]


@pytest.mark.parametrize("schedule", ["cosine", "restarts"])
@pytest.mark.parametrize("progress", [0.0, 0.2, 0.25, 0.9, 1.0])
def test_what_the_rate_has_fallen_by_is_what_moves_the_weights(schedule, progress):
    config = TrainingConfig(learning_rate=0.01, schedule=schedule, warmup_steps=0)
    rate = learning_rate(config, 1000, progress, Plateau(1, 0.5))
    assert rate == pytest.approx(0.01 * (1 - 0.99 * fallen(config, progress)))


@pytest.mark.parametrize("schedule", ["plateau", "constant"])
def test_without_cosines_the_weights_of_the_loss_hold_throughout(schedule):
    assert fallen(TrainingConfig(schedule=schedule), 0.0) == 1.0


def test_the_plateau_lowers_the_rate_only_without_progress():
    plateau = Plateau(patience=1, factor=0.5)
    for loss in (5, 4, 3, 3.5, 3.2):
        plateau.update(loss)
    assert plateau.scale == 0.5
    copy = Plateau(1, 0.5)
    copy.load(plateau.state())
    assert copy == plateau
