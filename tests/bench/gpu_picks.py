"""Whether picks on a GPU are the same on one shard and on three, in one process and by scorers with parts of a GPU."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from negsift.common.types import Selection
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.scoring.scoring_config import ScoringConfig
from tests.bench.gpu_device import Bench
from tests.bench.gpu_runner import Row
from tests.bench.gpu_scoring import Case, case

WAYS = (("entropy", "float32"), ("badge", "float32"), ("badge", "tf32"), ("badge", "bfloat16"))


def picks_rows(bench: Bench) -> Iterator[Row]:
    """A row for each strategy, precision and fleet; first all of this process."""
    made, first = case("simple_cnn", bench), dict[tuple[str, str], Selection]()
    for way in WAYS:
        first[way] = _selection(made, bench, *way, FleetConfig(kind="local", shards=1))
        yield _row(way, "this process, 3 shards", first[way], made, bench, FleetConfig(kind="local", shards=3))
    whole, quarter = (None, None) if bench.pretend else (1.0, 0.25)
    on_ray = {
        "Ray, 1 scorer with a whole GPU": FleetConfig(kind="ray", shards=1, gpus_per_shard=whole),
        "Ray, 3 scorers with a quarter": FleetConfig(kind="ray", shards=3, gpus_per_shard=quarter),
    }
    for name, fleet in on_ray.items():
        for way in WAYS[1:2] if bench.pretend else WAYS:
            yield _row(way, name, first[way], made, bench, fleet)


def _row(way: tuple[str, str], name: str, first: Selection, made: Case, bench: Bench, fleet: FleetConfig) -> Row:
    found = _selection(made, bench, *way, fleet)
    same = np.array_equal(found.index, first.index) and np.array_equal(found.score, first.score)
    common = len(np.intersect1d(found.index, first.index))
    return (*way, name, "yes" if same else f"NO, {common:,} of {len(first.index):,} picks in common")


def _selection(made: Case, bench: Bench, strategy: str, precision: str, fleet: FleetConfig) -> Selection:
    options = replace(fleet, block=bench.sizes.blocks[0], scoring=ScoringConfig(precision))
    k = min(bench.sizes.k, len(made.whole) // 2)
    with bench.scoring(), NegativeSampler(made.pool, made.model, strategy=strategy, k=k, options=options) as sampler:
        return sampler.select(made.model.state_dict(), 0)
