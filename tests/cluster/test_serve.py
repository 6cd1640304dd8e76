"""A detached service as its users meet it: programs attach, share it, and get clear errors."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from torch import distributed

from negsift.common.arrays import Floats
from negsift.common.data.table.bags import open_pool
from negsift.common.errors import BadInput, BadWeights
from negsift.common.guards import Guards
from negsift.common.models.bag import BagClassifier
from negsift.common.models.named import named_model
from negsift.common.round_policy import RoundPolicy
from negsift.common.types import Embedded, Round
from negsift.service import NegativeSampler, attach
from negsift.service.config import FleetConfig
from negsift.service.serving import directory
from negsift.service.strategies.base import Prepared, Strategy
from tests.cluster import client
from tests.cluster.metrics_port import exported
from tests.cluster.serving import LIMIT_S, ROOT, actors, await_line, deploy, eventually, outside, program
from tests.unit.pages import blocks
from tests.unit.tables import as_table, random_bags, third_positive, write
from tests.unit.toys import assert_same, vector_model

pytestmark = pytest.mark.usefixtures("local_ray")
BLOCK = FleetConfig(block=8)
SMALL = ["--shards", "2", "--set", "cpus_per_shard=0.25", "--set", "block=8"]
REFUSING = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "negsift", "service", "deploy", "tests", "sklearn", "scipy", "pyarrow"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
exec(compile(sys.argv[1], "shared-service.md", "exec"))
"""


class Unfinished(Strategy):
    """A strategy that no cluster has the code of, with a bug in it."""

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        raise NotImplementedError("a bug of the user's")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "birds"
    write(folder, as_table(random_bags(150, seed=2), third_positive(150)))
    return folder


@pytest.fixture(scope="module")
def birds(pool: Path, local_ray: None) -> Iterator[str]:
    """A detached service, whose starter has ended; nothing is left of it at the end."""
    before = actors()
    code, said, complaint = deploy("serve", "up", str(pool), "--detached", *SMALL)
    assert code == 0, complaint
    yield said
    assert deploy("serve", "down")[:2] == (0, "birds has ended\n")
    assert eventually(lambda: actors() == before)


def documented(words: str) -> str:
    """The block of docs/shared-service.md that has these words in it."""
    return next(block.text for block in blocks(ROOT / "docs/shared-service.md", "python") if words in block.text)


def locally(pool: Path, model: BagClassifier, label: str = "bird", **given: Any) -> NegativeSampler:
    return NegativeSampler(pool, model, target_label=label, shards=1, options=BLOCK, **given)


def tasks() -> dict[str, str]:
    """What the service's tasks are called, and their strategies."""
    return {each["task"]: each["strategy"] for each in directory.ask(directory.find())["tasks"]}


def test_an_attached_sampler_selects_as_a_separate_one(birds: str, pool: Path) -> None:
    model, given, before = vector_model(), {"strategy": "kl_prob", "k": 20, "seed": 4}, tasks().keys()
    with (
        locally(pool, model, positives=pool, **given) as here,
        attach("birds", model, target_label="bird", **given) as there,
    ):
        for epoch in range(2):
            assert_same(here.select(model.state_dict(), epoch), there.select(model.state_dict(), epoch))
        for name, policy in (
            ("badge", RoundPolicy(candidates=40)), ("badge", RoundPolicy()), ("entropy", RoundPolicy(rescore=24)),
            ("entropy", RoundPolicy(guard=Guards(skip=0.1, window=2, positives=0.9, rest=1))),
        ):  # fmt: skip
            one, other = (each.sibling(name, k=9, seed=1, policy=policy) for each in (here, there))
            for epoch in (2, 3):
                own, theirs = (each.select(model.state_dict(), epoch) for each in (one, other))
                assert_same(own, theirs)
                assert (own.account.considered, own.account.ages) == (theirs.account.considered, theirs.account.ages)
                assert own.account.guarded == theirs.account.guarded
        assert "scorer-1" in birds
        assert {tasks()[name] for name in tasks().keys() - before} == {"KlProb", "Badge", "Entropy"}
    assert eventually(lambda: tasks().keys() <= before)


def test_the_documented_way_to_attach_runs(birds: str, pool: Path) -> None:
    given: dict[str, Any] = {"model": vector_model()}
    exec(compile(documented("import attach"), "shared-service.md", "exec"), given)
    with locally(pool, given["model"], strategy="badge", k=20) as here:
        assert_same(given["chosen"], here.select(given["model"].state_dict(), 0))


def test_workers_of_a_users_loop_read_one_selection(birds: str, pool: Path) -> None:
    given: dict[str, Any] = {}
    exec(compile(documented("broadcast_object_list"), "shared-service.md", "exec"), given)
    model, asked, before = vector_model(), {"strategy": "badge", "k": 20}, tasks().keys()
    distributed.init_process_group("gloo", rank=0, world_size=1, store=distributed.HashStore())
    with locally(pool, model, **asked) as here, attach("birds", model, target_label="bird", **asked) as there:
        sent = ray.get(ray.put(there), timeout=LIMIT_S)
        for epoch, index in given["train"](sent, model, 2):
            np.testing.assert_array_equal(index, here.select(model.state_dict(), epoch).index)
        there.select(model.state_dict(), 2)
    distributed.destroy_process_group()
    assert eventually(lambda: tasks().keys() <= before)


def test_two_programs_at_once_get_the_same_as_alone(birds: str, pool: Path) -> None:
    runs = [("bird", "badge", 5), ("cat", "entropy", 3)]
    programs = [program(client.__file__, label, name, str(wide), stdin=-1) for label, name, wide in runs]
    for each in programs:
        await_line(each, "attached")
    for each in programs:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    for each, (label, name, wide) in zip(programs, runs, strict=True):
        out, err = each.communicate(timeout=LIMIT_S)
        assert each.returncode == 0, err
        with locally(pool, client.network(wide), label, strategy=name, k=client.K) as alone:
            assert json.loads(out) == client.run(alone, wide)


def test_a_program_with_only_ray_and_numpy_gets_the_same_picks(birds: str, pool: Path, tmp_path: Path) -> None:
    block = documented("ray.get_actor")
    running = program("-c", REFUSING, block, cwd=tmp_path, env=outside() | {"RAY_AUTH_MODE": "token"})
    out, err = running.communicate(timeout=LIMIT_S)
    assert running.returncode == 0, err
    model = named_model({"name": "linear"}, open_pool(pool, "bird").manifest.payload)
    weights = {"head.weight": np.eye(2, 6, dtype=np.float32), "head.bias": np.zeros(2, dtype=np.float32)}
    with locally(pool, model, strategy="entropy", k=20) as here:
        for epoch, line in enumerate(out.splitlines()):
            assert line.split() == [str(epoch), str(epoch), *map(str, here.select(weights, epoch).index)]
            weights["head.bias"][0] += 0.1
    assert epoch == 2


def test_what_does_not_fit_is_reported_at_once(birds: str, pool: Path) -> None:
    model = vector_model()
    actor = directory.find("birds")
    old = ray.get(actor.register.remote({"protocol": 0}), timeout=LIMIT_S)
    assert old["error"].startswith("found a client of protocol 0; expected 1")
    with attach("birds", model, target_label="bird", strategy="entropy", k=5) as sampler:
        with pytest.raises(BadWeights, match=r"'head.weight' of shape \(2, 9\)"):
            sampler.select(model.state_dict() | {"head.weight": torch.zeros(2, 9)}, 0)
        sampler.select(model.state_dict(), 3)
        with pytest.raises(BadInput, match="weights of version 2 .* after version 3"):
            sampler.select(model.state_dict(), 2)
    with (
        attach("birds", model, target_label="bird", strategy=Unfinished(), k=5) as sampler,
        pytest.raises(NotImplementedError, match="a bug of the user's"),
    ):
        sampler.select(model.state_dict(), 0)
    with pytest.raises(BadInput, match="service 'brids'; expected one of birds; did you mean 'birds'"):
        attach("brids", model, target_label="bird", k=5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "service 'birds' already up"),
        ({"name": "more", "shards": 20}, "20 shards for 150 bags in 19 blocks of 8"),
        ({"name": "more", "shards": 2, "gpus_per_shard": 1.0}, "2 scorers of 1 GPU each on a cluster with 0"),
        ({"name": "a b"}, "service name 'a b'"),
        ({"name": "more", "pool": "/nowhere"}, "no bag table at /nowhere"),
    ],
)
def test_an_impossible_service_is_reported_and_not_started(
    birds: str, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write(tmp_path / "more", as_table(random_bags(150, seed=2), third_positive(150)))
    given = {"pool": str(tmp_path / "more"), "name": "birds"} | changes
    where, name = given.pop("pool"), given.pop("name")
    with pytest.raises(BadInput, match=message):
        directory.start(where, name, FleetConfig(kind="ray", block=8, **given))
    assert not [each for each in actors() if "more" in each]


def test_a_killed_coordinator_comes_back_with_its_tasks(birds: str, pool: Path) -> None:
    model = vector_model()
    with (
        locally(pool, model, strategy="margin", k=8) as here,
        attach("birds", model, target_label="bird", strategy="margin", k=8, task="lasting") as there,
    ):
        assert_same(here.select(model.state_dict(), 0), there.select(model.state_dict(), 0))
        os.kill(directory.ask(directory.find())["pid"], signal.SIGKILL)
        assert_same(here.select(model.state_dict(), 1), there.select(model.state_dict(), 1))


def test_what_a_service_does_is_on_rays_metrics_port(birds: str) -> None:
    model = vector_model()
    with attach("birds", model, target_label="bird", strategy="entropy", k=10, task="watched") as sampler:
        for epoch in range(2):
            sampler.select(model.state_dict(), epoch)
        code, said, _ = deploy("serve", "status")
        bags = len(sampler.pool)
        expected = {
            "rounds_total": 2.0, "bags_scored_total": 2.0 * bags, "epoch": 1.0, "weights_version": 1.0,
            "staleness_epochs": 0.0, "selection_overlap_ratio": 1.0, "pool_coverage_ratio": pytest.approx(10 / bags),
            "rounds_failed_total": 0.0, "retries_total": 0.0, "repaired_shards_total": 0.0,
        }  # fmt: skip
        assert eventually(lambda: expected == {key: exported(task="watched").get(key) for key in expected})
    assert code == 0
    assert "scorer-1" in said
    assert re.search("^watched +bird +Entropy ", said, re.MULTILINE)


def test_a_task_is_counted_from_its_registration_to_its_end(birds: str) -> None:
    actor = directory.find()
    model = {"name": "linear"}
    request = {
        "protocol": 1,
        "task": "counted",
        "model": model,
        "strategy": {"name": "entropy"},
        "target": "bird",
        "k": 5,
    }
    task = ray.get(actor.register.remote({**request, "seed": 0}), timeout=LIMIT_S)["task"]
    assert eventually(lambda: exported(task="counted").get("rounds_total") == 0)
    ray.get(actor.forget.remote(task), timeout=LIMIT_S)
    assert eventually(lambda: not exported(task="counted"), limit_s=60)
    scorer = exported(shard="scorer-1", service="birds")  # whose series are older, and still there
    assert scorer["shard_up"] == 1
    assert scorer["shard_memory_bytes"] > 1 << 20
    assert "shard_bags_embedded_total" in scorer


def test_a_table_that_grew_is_taken_in_when_asked_for(birds: str, pool: Path) -> None:
    model, given = vector_model(), {"strategy": "entropy", "k": 30}
    with locally(pool, model, **given) as here, attach("birds", model, target_label="bird", **given) as there:
        write(pool, as_table(random_bags(60, seed=7), [[]] * 60, first=150), append=True)
        for epoch, version in enumerate((1, 2)):
            one, other = (each.select(model.state_dict(), epoch) for each in (here, there))
            assert_same(one, other)
            assert (one.account.pool_version, other.account.pool_version) == (version, version)
            assert here.refresh() == there.refresh() == 2
