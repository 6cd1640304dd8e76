"""What makes runs a group, a block, a setting."""

import pytest

from negsift.trainer.results.design import Block, Design, as_text
from negsift.trainer.results.groups import baseline_of, compare, group_runs
from tests.unit.trainer.results.made import made_run


def labels(*runs: object) -> list[str]:
    return [group.label for group in group_runs(runs)]  # type: ignore[arg-type]


def test_the_full_set_has_no_ratio() -> None:
    runs = [made_run(name, 0.5, ratio=ratio) for name in ("full", "random", "badge") for ratio in (1.0, 5.0)]
    assert labels(*runs[1:]) == [
        "full", *(f"{name} · sampling.ratio={ratio}" for ratio in ("1.0", "5.0") for name in ("badge", "random")),
    ]  # fmt: skip


def test_a_ratio_of_the_full_set_alone_is_no_setting() -> None:
    runs = [made_run("full", 0.5, ratio=9.0), made_run("random", 0.5), made_run("badge", 0.5)]
    assert labels(*runs) == ["badge", "full", "random"]


def test_settings_are_ordered_as_numbers() -> None:
    runs = [made_run("random", 0.5, ratio=ratio) for ratio in (10.0, 2.0, 0.5)]
    assert [as_text(group.setting) for group in group_runs(runs)] == [f"sampling.ratio={r}" for r in (0.5, 2.0, 10.0)]


@pytest.mark.parametrize(
    "key", ["fleet__kind", "fleet__shards", "training__workers", "recipe", "data__bag_seed", "data__target"]
)
def test_what_changes_no_result_and_what_makes_a_block_distinguishes_no_groups(key: str) -> None:
    assert labels(made_run("badge", 0.5, **{key: "1"}), made_run("badge", 0.5, **{key: "2"})) == ["badge"]


@pytest.mark.parametrize("key", ["fleet__block", "fleet__scoring.precision", "model__pooling", "training__lr"])
def test_what_changes_results_is_a_setting(key: str) -> None:
    runs = [made_run("badge", 0.5, **{key: value}) for value in ("1", "2")]
    assert labels(*runs) == [f"badge · {key.replace('__', '.')}={value}" for value in ("1", "2")]


def test_runs_with_a_name_are_a_group_of_their_own_whatever_they_differ_in() -> None:
    named = [
        made_run("badge", 0.5, name="ours", training__lr="1"), made_run("walk", 0.6, name="full", training__lr="2"),
        made_run("walk", 0.6, "8", name="full", training__lr="2"), made_run("walk", 0.7, name="random", ratio=9.0),
    ]  # fmt: skip
    assert labels(*named) == ["full", "ours", "random"]
    assert [len(group.runs) for group in group_runs(named)] == [2, 1, 1]
    assert baseline_of(group_runs(named), ()) is not None
    more = [*named, made_run("walk", 0.6, name="full", training__lr="3")]
    assert labels(*more) == ["ours", "random", "full · training.lr=2", "full · training.lr=3"]
    several = [made_run(strategy, 0.5, name="mine") for strategy in ("badge", "entropy")]
    assert labels(*several) == ["mine · strategy.name=badge", "mine · strategy.name=entropy"]
    assert labels(*named, made_run("badge", 0.5, training__lr="1")) == ["badge", "full", "ours", "random"]


def test_a_block_is_the_bags_with_all_their_seeds() -> None:
    runs = [made_run("badge", 0.5, "3", 4, data__bag_seed="7"), made_run("badge", 0.5, "8", 4)]
    assert [Design.of(runs).block(run) for run in runs] == [Block("target 3", "4/7"), Block("target 8", "4/0")]


def test_options_of_a_strategy_are_its_own() -> None:
    runs = [made_run("badge", 0.5, strategy__label=label) for label in ("known", "predicted")]
    assert labels(*runs, made_run("random", 0.5, strategy__label="predicted")) == [
        "badge · strategy.label=known", "badge · strategy.label=predicted", "random",
    ]  # fmt: skip


def test_the_baseline_is_random_with_the_usual_options() -> None:
    fixed, fresh = (made_run("random", 0.5, strategy__fixed=fixed) for fixed in ("true", "false"))
    groups = group_runs([fixed, fresh, made_run("badge", 0.5, strategy__fixed="false")])
    baseline = baseline_of(groups, ())
    assert baseline
    assert baseline.label == "random · strategy.fixed=false"


def test_repeats_of_a_block_count_as_their_mean() -> None:
    (group,) = group_runs([made_run("badge", 0.4), made_run("badge", 0.6), made_run("badge", 0.9, seed=1)])
    assert list(group.by_block("test.ap").values()) == pytest.approx([0.5, 0.9])


def test_a_group_looks_the_same_on_all_bags() -> None:
    runs = [made_run(name, 0.5, target) for target in "01" for name in ("random", "badge", "margin")]
    first, second = compare(runs[:-1])
    arms = {group.label: group.arm for group in first.groups}
    assert {group.label: group.arm for group in second.groups}.items() < arms.items()


def test_a_run_of_a_version_without_a_key_is_like_the_others() -> None:
    earlier, later = made_run("random", 0.5), made_run("random", 0.6, seed=1, training__new="0", log__to="null")
    assert len(group_runs([earlier, later])) == 1
    assert len(group_runs([earlier, later, made_run("random", 0.6, seed=2, training__new="1")])) > 1
