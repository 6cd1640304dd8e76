"""Where scoring happens, and how much memory and time it may take."""

import os
from dataclasses import dataclass, field

from negsift.common.config import AUTO, check_knobs, knob
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.errors import BadInput, UnknownName
from negsift.service.fleet.failover import Limits
from negsift.service.points.shared_points import GatherLimits
from negsift.service.pool.blocks import SMALL_BLOCK
from negsift.service.scoring.scoring_config import ScoringConfig

KINDS = (AUTO, "local", "ray")


@dataclass(frozen=True)
class FleetConfig:
    """Where scoring happens."""

    kind: str = knob("auto", "local (threads of this process), ray (actors), or auto: ray within a Ray job")
    shards: int | None = knob(
        None,
        "shards of the pool; none: one a GPU, of the cluster on Ray, or one a core where there is none",
        least=1,
        below=10_001,
    )
    block: int | str = knob(
        64, "bags embedded as one batch, or auto: by a GPU's memory; picks depend on it in the last bit", least=1
    )
    gpus_per_shard: float | None = knob(None, "GPUs of a Ray scorer, fractions allowed; none: what there is", least=0)
    cpus_per_shard: float | None = knob(None, "CPU cores of a Ray scorer; none: what there is, at most 1", least=0)
    deadline_s: float = knob(600.0, "seconds a round may take on Ray before it is an error", above=0)
    call_s: float | None = knob(None, "seconds until a silent scorer is restarted; none: half of deadline_s", above=0)
    start_s: float = knob(300.0, "seconds Ray scorers may take to start before it is an error", above=0)
    cache_mb: int = knob(1024, "embeddings a shard keeps within a round, in MiB", least=0)
    device_mb: int | None = knob(
        None, "MiB of a GPU for what a scorer keeps there, points and frozen features; none: half of it", least=0
    )
    gather_mb: int = knob(4096, "embeddings the coordinator may gather where a strategy needs all, in MiB", least=0)
    held_mb: int = knob(64, "points for k-means++ gathered instead of left on their shards, in MiB", least=0)
    pool_mb: int = knob(1024, "MiB of a table's bags that a shard keeps decoded; others are streamed", least=0)
    disk_mb: int = knob(8192, "MiB of decoded tables that all shards of a machine keep in $NEGSIFT_CACHE", least=0)
    tasks_held: int = knob(16, "targets and architectures a scorer of `serve` keeps ready at once", least=1)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    dashboard: bool = knob(False, "start the Ray dashboard along with a local Ray")

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownName("fleet.kind", str(self.kind), KINDS)
        check_knobs(self, "fleet")
        if isinstance(self.block, str) and self.block != AUTO:
            raise BadInput(f"fleet.block={self.block!r}", f"a number of bags, or {AUTO}", "correct fleet.block")
        if (self.gpus_per_shard or 0.0) > 1:
            raise BadInput(
                f"fleet.gpus_per_shard={self.gpus_per_shard:g}", "at most 1: a shard computes on one GPU",
                "lower it, and raise fleet.shards to use more GPUs",
            )  # fmt: skip

    @property
    def on_ray(self) -> bool:
        """Whether scorers are Ray actors; `auto` means so within a Ray job, which sets RAY_ADDRESS."""
        return self.kind == "ray" or (self.kind == "auto" and bool(os.environ.get("RAY_ADDRESS")))

    @property
    def limits(self) -> Limits:
        """How long a round and a call may take on Ray."""
        return Limits(self.deadline_s, self.call_s or self.deadline_s / 2)

    @property
    def gather_limits(self) -> GatherLimits:
        """What the coordinator may gather."""
        return GatherLimits(self.gather_mb << 20, self.held_mb << 20)

    @property
    def budget(self) -> DecodingBudget:
        """A shard's budget for decoded bags of a table."""
        return DecodingBudget(self.pool_mb << 20, self.disk_mb << 20)

    @property
    def device_bytes(self) -> int | None:
        """What a scorer keeps on its GPU; None for half of its memory."""
        return None if self.device_mb is None else self.device_mb << 20

    @property
    def block_size(self) -> int:
        """The bags of a block; of `auto` those on a CPU, which a GPU may raise before anything is scored."""
        return self.block if isinstance(self.block, int) else SMALL_BLOCK

    def shard_count(self) -> int:
        """The shards asked for, or one a core."""
        return self.shards or len(os.sched_getaffinity(0))
