"""`strategy.name=auto`: which strategy stands in its place, the line that says so, and what it leaves alone."""

import logging

import pytest

from negsift.common.errors import BadInput, UnknownName
from negsift.common.overrides import override
from negsift.deploy.auto_strategy import with_strategy
from negsift.deploy.fit import check_fit
from negsift.deploy.recipes import recipe
from negsift.deploy.sweep.grid import expand
from negsift.service.strategies import StrategyConfig, make_strategy


@pytest.mark.parametrize(
    ("settings", "strategy", "reason"),
    [
        ("cifar10", "svm_margin", "no budget"),
        ("cifar10 sampling.ratio=2 data.density=range:2-4", "svm_margin", "no budget"),
        ("cifar10 training.budget=20000", "walk", "at equal cost"),
        ("cifar10 training.seconds=60 sampling.ratio=5", "walk", "at equal cost"),
        ("cifar10 sampling.ratio=5", "walk", "sampling.ratio=5"),
        ("cifar10 data.density=fixed:1", "walk", "few instances of a positive bag"),
        ("images data.density=uniform", "svm_margin", "no budget"),
        ("images data.density=natural", "svm_margin", "no budget"),
        ("audio-scenes", "walk", "photographs alone"),
        ("table", "walk", "photographs alone"),
    ],
)
def test_auto_goes_by_budget_bags_and_ratio_and_says_so(
    settings: str, strategy: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    name, *words = settings.split()
    config = override(recipe(name), ["strategy.name=auto", *words])
    with caplog.at_level(logging.INFO):
        found = with_strategy(config)
    assert found == override(recipe(name), [f"strategy.name={strategy}", *words])
    (line,) = caplog.messages
    assert line.startswith(f"strategy.name={strategy}, chosen since ")
    assert reason in line
    check_fit(found)


def test_a_named_strategy_stays_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert with_strategy(recipe("cifar10")) == recipe("cifar10")
    assert not caplog.messages


def test_a_trial_of_auto_is_the_trial_of_the_strategy() -> None:
    trials = expand(recipe("digits"), [{"strategy.name": ("auto", "walk", "badge")}], seeds=2)
    assert [trial.config.strategy.name for trial in trials] == ["walk", "badge"] * 2


def test_a_name_like_auto_is_told_of_it() -> None:
    with pytest.raises(UnknownName, match="strategy 'Auto'; .*did you mean 'auto'"):
        StrategyConfig("Auto")


def test_options_of_another_strategy_are_refused() -> None:
    config = with_strategy(override(recipe("cifar10"), ["strategy.name=auto", "strategy.power=2"]))
    with pytest.raises(BadInput, match="strategy.power=2.0 with svm_margin"):
        check_fit(config)


def test_auto_itself_is_no_strategy() -> None:
    with pytest.raises(BadInput, match="strategy 'auto'"):
        make_strategy(StrategyConfig("auto"))
