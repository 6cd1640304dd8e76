"""What a run's rounds work on: the bags, the machines, and the sizes of what is computed of a bag."""

from dataclasses import dataclass, replace

from negsift.service.config import FleetConfig
from negsift.service.pool.blocks import block_count
from negsift.service.strategies.base import Strategy


@dataclass(frozen=True)
class BagForm:
    """A bag: its `instances`, on average, and its bytes when decoded and as stored; `validated` are the bags that one
    validates on for each one to train on.

    With a `group_bags` bags lie in a bag table, that many in each row group, of which the share `used` is to train on;
    `group_bytes` is what a shard needs to read one row group after another, and `tensor_bytes` what a bag takes once
    the trainer has read it.
    """

    instances: float
    decoded_bytes: float
    stored_bytes: float
    validated: float
    group_bags: float = 0.0
    group_bytes: float = 0.0
    used: float = 1.0
    tensor_bytes: float = 0.0

    @property
    def in_table(self) -> bool:
        """Whether shards stream the bags from a table."""
        return self.group_bags > 0


@dataclass(frozen=True)
class Machines:
    """`scorers` on `nodes` nodes, each of `threads` threads or, where `gpu_share` is above 0, of that share of a GPU;
    on Ray, or all of them in one process that has these threads.
    """

    scorers: int
    threads: int
    nodes: int
    gpu_share: float
    on_ray: bool

    @property
    def on_node(self) -> int:
        """The scorers of the fullest node."""
        return -(-self.scorers // self.nodes)

    def with_scorers(self, scorers: int) -> "Machines":
        """More or fewer scorers, as many to a node as now."""
        return replace(self, scorers=scorers, nodes=-(-scorers // self.on_node))


@dataclass(frozen=True)
class Rounds:
    """The rounds of a run: `bags` of the pool, `scored` in a round, `picks` chosen, `positives` there are.

    `most` are the candidates that shards answer with at most; `also` bags are embedded besides the pool's, to learn
    from. `every` epochs there is one, `staleness` says whether it runs beside training, and an epoch has
    `trained` bags.
    """

    bags: int
    positives: int
    picks: int
    scored: int
    most: int
    also: int
    block: int
    every: int
    staleness: int
    trained: int


@dataclass(frozen=True)
class Sizes:
    """Bytes of one bag's embedding and of one bag as a point (0 where there are no points), the point's `columns`, and
    the bytes of the weights.
    """

    embedded: float
    point: int
    columns: int
    weights: int


@dataclass(frozen=True)
class Workload:
    """All that a plan's figures depend on, but for rates."""

    form: BagForm
    rounds: Rounds
    strategy: Strategy
    machines: Machines
    sizes: Sizes
    fleet: FleetConfig

    @property
    def share(self) -> int:
        """The bags of the pool that the largest shard has: whole blocks."""
        return min(self.rounds.bags, self._blocks_of(self.rounds.bags))

    @property
    def scored(self) -> int:
        """The bags that the busiest scorer embeds in a round, in whole blocks."""
        return min(self.share, self._blocks_of(self.rounds.scored))

    @property
    def cache_bytes(self) -> int:
        """The embeddings that a shard may keep."""
        return self.fleet.cache_mb << 20

    def with_scorers(self, scorers: int) -> "Workload":
        """The same on another number of scorers."""
        return replace(self, machines=self.machines.with_scorers(scorers))

    def _blocks_of(self, bags: int) -> int:
        blocks = block_count(bags, self.rounds.block)
        return -(-blocks // self.machines.scorers) * self.rounds.block
