"""Tasks of a service, without Ray: registration, the fields of a round, and errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from negsift.common.block_subset import BlockSubset
from negsift.common.data.table.location import Location
from negsift.common.errors import BadInput
from negsift.common.guards import Guards
from negsift.service.config import FleetConfig
from negsift.service.serving.protocol import PROTOCOL, RoundSpec, TaskSpec, checked, error_of, parse
from negsift.service.serving.registry import TaskRegistry
from negsift.service.serving.shard_specs import ShardSpecs, shards_for
from tests.unit.tables import as_table, random_bags, third_positive, write

TASK = {"model": {"name": "linear"}, "strategy": {"name": "entropy"}, "task": "mine", "target": "bird", "k": 5}


@pytest.fixture
def shelf() -> dict[str, bytes]:
    return {}


@pytest.fixture
def specs(tmp_path: Path) -> ShardSpecs:
    write(tmp_path, as_table(random_bags(60), third_positive(60)))
    return ShardSpecs(Location.of(tmp_path), FleetConfig(block=8), 2)


@pytest.fixture
def tasks(specs: ShardSpecs, shelf: dict[str, bytes]) -> TaskRegistry:
    return TaskRegistry(specs, shelf)


def register(tasks: TaskRegistry, **changes: Any) -> dict[str, Any]:
    return tasks.register(parse(TaskSpec, {"protocol": PROTOCOL, **TASK, **changes}))


def ask(tasks: TaskRegistry, **given: Any) -> Any:
    return tasks.round(parse(RoundSpec, {"protocol": PROTOCOL, "epoch": 1, **given}))


def test_a_round_is_what_its_task_says(tasks: TaskRegistry) -> None:
    answer = register(tasks, seed=3)
    asked = ask(tasks, task=answer["task"], epoch=np.int64(4), version=2, previous=np.arange(3))
    assert (answer["bags"], answer["positives"], answer["pool_version"]) == (40, 20, 1)
    assert (asked.name, asked.round.epoch, asked.round.seed, asked.round.k, asked.version) == ("mine", 4, 3, 5, 2)


def test_rounds_with_candidates_have_subsets_in_turn(tasks: TaskRegistry) -> None:
    name = register(tasks, candidates=16, every=2, seed=3, random_rounds=1)["task"]
    assert ask(tasks, task=name, epoch=0).round.subset is None  # picked at random, nothing is scored
    assert [ask(tasks, task=name, epoch=epoch).round.subset for epoch in (2, 4)] == [
        BlockSubset(16, 3, 1),
        BlockSubset(16, 3, 2),
    ]
    assert not ask(tasks, task=name, epoch=4).round.all_scores


def test_a_task_may_score_candidates_or_the_whole_pool(tasks: TaskRegistry) -> None:
    name = register(tasks, every=2)["task"]
    asked = ask(tasks, task=name, epoch=6, part=16).round
    assert (asked.subset, asked.all_scores, asked.k) == (BlockSubset(16, 0, 3), True, 5)
    badge = register(tasks, strategy={"name": "badge"})["task"]
    with pytest.raises(BadInput, match="rescore=16 with Badge, which looks at all bags at once"):
        ask(tasks, task=badge, part=16)
    with pytest.raises(BadInput, match="5 negatives of candidates=4; expected 5 at least"):
        register(tasks, candidates=4)


def test_guards_of_ranks_are_the_clients_who_asks_for_ranks(tasks: TaskRegistry) -> None:
    name = register(tasks, guard={"positives": 0.5})["task"]
    asked = ask(tasks, task=name, ranks=12)
    assert (asked.round.ranks, asked.round.most, asked.round.k) == (12, 12, 5)
    assert asked.entry.task.guards_at(1) == Guards(positives=0.5)
    assert ask(tasks, task=name, ranks=99).round.most == 40
    assert ask(tasks, task=name).round.most == 5
    with pytest.raises(BadInput, match=r"a task with guard.rest=2; expected select\(ranks=…\)"):
        register(tasks, guard={"rest": 2})


def test_a_column_that_the_model_lacks_is_refused(tasks: TaskRegistry) -> None:
    with pytest.raises(BadInput, match="target=2 with 2 logit columns; expected a column from 0 to 1"):
        register(tasks, column=2)


def test_tasks_of_one_target_and_architecture_share_shards(tasks: TaskRegistry) -> None:
    changes: list[dict[str, Any]] = [{}, {"strategy": {"name": "margin"}, "seed": 1}, {"target": "cat"}]
    changes.append({"model": {"name": "mlp", "hidden": 3}})
    names = [register(tasks, task=f"t{number}", **change)["task"] for number, change in enumerate(changes)]
    stocks = [ask(tasks, task=name).entry.spec_digest for name in names]
    assert stocks[0] == stocks[1]
    assert len(set(stocks)) == 3


def test_a_new_coordinator_knows_the_tasks_of_the_old(
    tasks: TaskRegistry, specs: ShardSpecs, shelf: dict[str, bytes]
) -> None:
    name = register(tasks)["task"]
    again = TaskRegistry(specs, shelf)
    assert ask(again, task=name).round == ask(tasks, task=name).round
    again.forget(name)
    assert again.names == []


def test_weights_may_not_go_backwards(tasks: TaskRegistry) -> None:
    name = register(tasks)["task"]
    ask(tasks, task=name, epoch=3)
    ask(tasks, task=name, epoch=3)
    with pytest.raises(
        BadInput, match=r"weights of version 2 for task 'mine' after version 3.*register the task again"
    ):
        ask(tasks, task=name, epoch=2)
    assert ask(tasks, task=register(tasks)["task"], epoch=2).version == 2


def test_a_task_taken_over_is_reported(tasks: TaskRegistry) -> None:
    name = register(tasks)["task"]
    register(tasks, k=7)
    with pytest.raises(BadInput, match="'mine', registered again by another program"):
        ask(tasks, task=name)
    tasks.forget(name)
    assert tasks.names == ["mine"]


def test_a_grown_table_is_taken_in_when_asked_for(tasks: TaskRegistry, tmp_path: Path) -> None:
    name = register(tasks)["task"]
    write(tmp_path, as_table(random_bags(9), [[]] * 9, first=60), append=True)
    assert ask(tasks, task=name).round.pool.bags == 40
    assert tasks.refresh(name, None) == {"pool_version": 2, "bags": 49}
    assert ask(tasks, task=name).round.pool.bags == 49


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": 2}, "a client of protocol 2; expected 1"),
        ({"protocol": None}, "a client of protocol None"),
        ({"kk": 5}, "key of a request 'kk'.*did you mean 'k'"),
        ({"k": "five"}, "request.k='five'"),
        ({"k": 41}, "41 negatives asked for; expected a whole number between 0 and 40"),
        ({"k": None}, "no k"),
        ({"target": "brid"}, "did you mean 'bird'"),
        ({"target": None}, "no target_label"),
        ({"strategy": {"name": "entropi"}}, "did you mean 'entropy'"),
        ({"strategy": {"name": "entropy", "keep": 3}}, "strategy.keep=3 with entropy"),
        ({"model": {"name": "resnet18"}}, "model 'resnet18' for a pool of features"),
        ({"model": {"name": "mlp", "hidden": 0}}, "model.hidden=0"),
        ({"model": b"no pickle"}, "a model that the service can't read"),
        ({"pool_version": 9}, "no version 9"),
        ({"task": "a#b"}, "a name without #"),
        ({"model": None}, "a request without 'model'"),
        ({"guard": {"positive": 0.5}}, "did you mean 'positives'"),
        ({"guard": {"positives": "half"}}, "guard.positives='half'"),
        ({"guard": 0.5}, "guard=0.5; expected a Guards"),
    ],
)
def test_an_unusable_task_is_one_clear_line(tasks: TaskRegistry, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        register(tasks, **changes)
    with pytest.raises(type(caught.value), match=message):  # as a client of ours sees it
        checked(error_of(caught.value))
    assert "\n" not in error_of(caught.value)["error"]


def test_an_unregistered_task_is_reported(tasks: TaskRegistry) -> None:
    register(tasks)
    with pytest.raises(BadInput, match="task 'other'; expected one of mine"):
        ask(tasks, task="other#1")


def test_more_shards_than_blocks_are_reported(specs: ShardSpecs) -> None:
    assert shards_for(specs.newest, FleetConfig(shards=8, block=8), 2) == 8
    with pytest.raises(BadInput, match="9 shards for 60 bags in 8 blocks of 8; expected at most 8"):
        shards_for(specs.newest, FleetConfig(shards=9, block=8), 2)


def test_where_no_shards_are_asked_for_none_is_without_a_block(specs: ShardSpecs) -> None:
    assert [shards_for(specs.newest, FleetConfig(block=8), room) for room in (2, 64)] == [2, 8]
