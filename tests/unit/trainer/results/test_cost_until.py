"""The cost until an AP is reached, by what a run says that it trained."""

from dataclasses import replace

import pytest

from negsift.trainer.results.cost import cost_until
from tests.unit.trainer.results.made import POOL, POSITIVE, K, made_run


@pytest.mark.parametrize(("trained", "each"), [(7.0, 7.0), (None, POSITIVE + K)])
def test_bags_are_those_trained_or_all_positives_where_that_is_not_recorded(trained: float | None, each: float) -> None:
    run = made_run("entropy", 0.9, "0", 0, 1.0)
    if trained is not None:
        epochs = tuple(replace(epoch, values={**epoch.values, "trained": trained}) for epoch in run.epochs)
        run = replace(run, epochs=epochs)
    bags, _ = cost_until(run, 0.9)
    assert bags == pytest.approx(2 * each + POOL / 3)
