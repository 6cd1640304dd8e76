"""Bounds and types of settings: every number of a run's configuration is checked, and errors name its key."""

import math

import pytest

from negsift.common.config import Bounds
from negsift.common.errors import BadInput
from negsift.common.overrides import override, values
from negsift.deploy.run_config import RunConfig
from negsift.service.config import FleetConfig
from negsift.trainer.config import TrainingConfig

SMALL = ["training.epochs=0", "training.batch=0", "training.patience=0", "sampling.every=0", "data.bag_size=0"]
SMALL += ["data.image_size=0", "fleet.block=0", "fleet.shards=0", "strategy.keep=0"]
NEGATIVE = ["sampling.random_rounds=-1", "training.weight_decay=-1", "fleet.cache_mb=-1", "fleet.gather_mb=-1"]
ZERO = ["sampling.ratio=0", "training.lr=0", "fleet.deadline_s=0", "fleet.start_s=-1", "data.val_share=0"]


def refused(setting: str) -> str:
    with pytest.raises(BadInput) as error:
        override(RunConfig(""), [setting])
    return str(error.value)


@pytest.mark.parametrize("setting", SMALL)
def test_counts_are_one_or_more(setting: str) -> None:
    assert f"found {setting}; expected 1 or more" in refused(setting)
    assert refused(setting).endswith(f"; correct {setting.partition('=')[0]}")


@pytest.mark.parametrize("setting", [*NEGATIVE, *ZERO])
def test_sizes_and_rates_have_their_bounds(setting: str) -> None:
    key = setting.partition("=")[0]
    assert f"found {key}=" in refused(setting)
    assert ("0 or more" if setting in NEGATIVE else "a number above 0") in refused(setting)


@pytest.mark.parametrize("number", [100_000, 2**31, 2**62])
@pytest.mark.parametrize("key", ["training.threads", "training.workers", "fleet.shards"])
def test_threads_and_processes_have_an_upper_bound(key: str, number: int) -> None:
    assert f"found {key}={number}; expected {'0' if 'threads' in key else '1'} or more and below 10" in refused(
        f"{key}={number}"
    )


def test_a_number_too_large_for_a_float_is_checked_too() -> None:
    assert override(RunConfig(""), [f"training.epochs={2**63 - 1}"]).training.epochs == 2**63 - 1
    assert "expected a whole number of at most 64 bits" in refused(f"training.epochs=1{'0' * 400}")
    assert "expected a number above 0 and below 1e+12" in refused(f"training.lr=1{'0' * 400}")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("key", [key for key, value in values(RunConfig("")).items() if "." in value])
def test_no_number_may_be_infinite_or_nan(key: str, number: str) -> None:
    assert refused(f"{key}={number}").startswith(f"found {key}={number}; expected")


@pytest.mark.parametrize("shards", [1.5, "2", True])
def test_value_of_another_type_is_refused(shards: int) -> None:
    with pytest.raises(BadInput, match=r"fleet\.shards=.*expected a value of type int"):
        FleetConfig(shards=shards)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (Bounds(), "a finite number"), (Bounds(least=1), "1 or more"), (Bounds(above=0), "a number above 0"),
        (Bounds(above=0, below=1), "a number above 0 and below 1"),
    ],
)  # fmt: skip
def test_bounds_say_what_they_want(bounds: Bounds, text: str) -> None:
    assert str(bounds) == text
    assert not bounds.hold(math.nan)


def test_a_whole_number_where_a_float_belongs_becomes_one() -> None:
    config = TrainingConfig(lr=1, epochs=7)
    assert (repr(config.lr), repr(config.epochs)) == ("1.0", "7")
