"""Offsets of log-odds: what they cost, and that with them a model has the log-odds of the data."""

import numpy as np
from scipy.special import expit

from negsift.common.arrays import Floats
from negsift.common.data.protocols import LabelledBags
from negsift.common.types import Draw, Selection
from negsift.service.strategies.ht_gumbel import HtGumbel
from negsift.trainer.epoch_positives import ChosenPositives
from negsift.trainer.loader import epoch_set
from negsift.trainer.log_odds import with_offsets
from tests.unit.toys import HeldView, a_round, bag_set, embedded

BAGS = bag_set([1, 2, 3, 1, 1, 1, 1, 1, 1])
POSITIVES = ChosenPositives.alike(BAGS.subset(np.arange(3)))
DRAWN = Selection(np.array([4, 1]), np.zeros(2), np.array([0.5, 1.5]), 0, draw=Draw(2.0, 4.0))


def score(bags: LabelledBags) -> Floats:
    return np.arange(len(bags), dtype=np.float64)


def offset(margin: Floats, draw: Draw) -> Floats:
    return margin * draw.threshold


def test_positives_are_scored_and_negatives_have_the_logarithm_of_their_weight() -> None:
    positives, found = with_offsets(POSITIVES, DRAWN, offset, score)
    assert positives.scored == 3
    assert found is not None
    np.testing.assert_allclose(found, [0.0, 2.0, 4.0, np.log(2.0), np.log(6.0)])
    bags = epoch_set(positives, BAGS.subset(np.arange(3, 9)), DRAWN, None, found)
    assert bags.weight.tolist() == [1.0] * 5
    batch = bags.batch(np.array([4, 1]))
    assert batch.offset is not None
    np.testing.assert_allclose(batch.offset, [np.log(6.0), 2.0], rtol=1e-6)


def test_without_a_draw_or_without_offsets_nothing_is_scored() -> None:
    at_random = Selection(DRAWN.index, DRAWN.score, DRAWN.weight, 0)
    for selection, way in ((DRAWN, None), (at_random, offset)):
        positives, found = with_offsets(POSITIVES, selection, way, score)
        assert positives is POSITIVES
        assert found is None


def test_the_log_odds_of_a_rare_class_are_found_from_drawn_negatives() -> None:
    random, slope, level = np.random.default_rng(0), 1.5, -3.0
    strategy, with_offset, without = HtGumbel(floor=0.05), [], []
    for seed in range(12):
        x = random.normal(size=4000)
        label = random.random(len(x)) < expit(slope * x + level)
        negative, pilot = np.flatnonzero(~label), 1.0 * x - 2.0  # a pilot that is not the truth
        view = HeldView(embedded([[0.0, float(margin)] for margin in pilot[negative]]))
        picked = strategy.pick(view, {}, a_round(400, seed=seed))
        assert picked.draw is not None
        seen = np.concatenate([np.flatnonzero(label), negative[picked.candidates.index]])
        with_offset.append(logistic(x[seen], label[seen], strategy.offset(pilot[seen], picked.draw)))
        without.append(logistic(x[seen], label[seen], np.zeros(len(seen))))
    right, wrong = np.array(with_offset), np.array(without)
    error = right.std(0, ddof=1) / len(right) ** 0.5
    assert (np.abs(right.mean(0) - [slope, level]) < 4 * error).all()
    assert (np.abs(wrong.mean(0) - [slope, level]) > 8 * error).all()


def logistic(x: Floats, label: Floats, raised: Floats) -> Floats:
    """Slope and level by Newton's method, of log-odds that are raised so."""
    design, found = np.stack([x, np.ones(len(x))], 1), np.array([1.0, -2.0])
    for _ in range(12):
        p = expit(design @ found + raised)
        hessian = design.T @ (design * (p * (1 - p))[:, None])
        found += np.linalg.solve(hessian, design.T @ (label - p))
    return found
