"""`training.correction=offset`: where the chances of negatives are known, and where it is refused."""

import pytest

from negsift.common.errors import BadInput
from negsift.common.overrides import override
from negsift.deploy.fit import check_fit
from negsift.deploy.log_odds import offset_of
from negsift.deploy.recipes import recipe

OFFSET = ["strategy.name=ht_gumbel", "training.correction=offset"]


def test_offsets_are_those_of_the_strategy() -> None:
    assert offset_of(recipe("digits")) is None
    config = override(recipe("digits"), [*OFFSET, "strategy.floor=0.2", "sampling.candidates=50"])
    check_fit(config)
    offset = offset_of(config)
    assert offset is not None
    assert offset.__self__.floor == 0.2  # type: ignore[attr-defined]  # a method of HtGumbel


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("strategy.name=badge", "with badge; expected ht_gumbel"),
        ("strategy.name=walk", "with walk; expected ht_gumbel"),
        ("sampling.every=2", "with sampling.every=2"),
        ("sampling.staleness=1", "with sampling.staleness=1"),
        ("sampling.score=memory", "with sampling.score=memory"),
        ("sampling.rescore=50", "with sampling.rescore=50"),
        ("training.correction=none", "training.correction 'none'"),
    ],
)
def test_chances_that_are_not_known_are_refused(setting: str, found: str) -> None:
    with pytest.raises(BadInput, match=found):
        check_fit(override(recipe("digits"), [*OFFSET, setting]))


def test_mixtures_of_clips_are_refused() -> None:
    with pytest.raises(BadInput, match="with augment.mixup"):
        check_fit(override(recipe("audio-scenes"), OFFSET))
