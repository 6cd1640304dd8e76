"""One small Ray for all cluster tests, started once, and the bags and weights they share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from negsift.common.data.bagset import BagSet
from negsift.common.data.catalogue import load_split
from negsift.common.data.config import DataConfig
from negsift.common.models.bag import BagClassifier
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.common.types import Selection
from negsift.service import NegativeSampler
from negsift.service.cluster.token import lock
from negsift.service.strategies import STRATEGIES

ROOT = Path(__file__).parents[2]
os.environ["PYTHONPATH"] = str(ROOT)  # of Ray's workers; as a runtime_env it would keep Ray from starting them early
K, EPOCH, SEED = 25, 2, 5


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with clusters of their own come first, so that the shared Ray is started once; Ray's warnings are its own."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            for kind in (
                "DeprecationWarning",
                "FutureWarning",
                "ResourceWarning",
                "pytest.PytestUnraisableExceptionWarning",
            ):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))
    items.sort(key=lambda item: "no_local_ray" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    start_local_ray()
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def no_local_ray() -> Iterator[None]:
    """For modules that join clusters of their own; the local Ray is there again afterwards."""
    before = ray.is_initialized()
    ray.shutdown()
    yield
    if before:
        start_local_ray()


def start_local_ray() -> None:
    lock()
    ray.init(
        "local", num_cpus=4, namespace="negsift", include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=256 << 20, _system_config={"metrics_report_interval_ms": 1000, "worker_niceness": 0},
    )  # fmt: skip


@pytest.fixture(scope="session")
def bags() -> tuple[BagSet, BagSet]:
    """The pool and the positives."""
    split = load_split(DataConfig(bag_size=3, target="8"))
    return split.pool, split.positives


@pytest.fixture(scope="session")
def model(bags: tuple[BagSet, BagSet]) -> BagClassifier:
    return make_model(ModelConfig(), bags[0].instances.images.shape[1:], seed=3)


@pytest.fixture(scope="session")
def locally(bags: tuple[BagSet, BagSet], model: BagClassifier) -> dict[str, Selection]:
    """Every strategy's selection, made in this process on one shard."""
    found = {}
    with NegativeSampler(bags[0], model, k=K, shards=1, positives=bags[1]) as sampler:
        for name in STRATEGIES:
            other = sampler.sibling(name, k=k_of(name), seed=SEED)
            found[name] = other.select(model.state_dict(), EPOCH)
    return found


def k_of(name: str) -> int | None:
    return None if name == "full" else K
