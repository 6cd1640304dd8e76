"""What is known of one scorer while a request is put to all shards."""

from dataclasses import dataclass

from negsift.service.pool.blocks import WorkItem


@dataclass
class ScorerState:
    """One scorer: its item and since when, or since when it is lost, and how often that happened.

    It is `late` while it works on a request that was finished without it. A lost one is asked for a sign of life from
    `probe_at` on, but not while it is known that it is `restarting`, since such a call fails seconds later only.
    """

    item: WorkItem | None = None
    since: float = 0.0
    down_since: float | None = None
    probe_at: float = 0.0
    restarting: bool = False
    losses: int = 0
    reason: str = ""
    killed: bool = False
    late: bool = False

    @property
    def idle(self) -> bool:
        """Whether it can take on work."""
        return self.item is None and self.down_since is None and not self.late
