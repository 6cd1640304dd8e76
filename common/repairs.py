"""What was mended on the way to a selection."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class RecoveryCounts:
    """What was mended on the way: calls repeated, scorers found to have begun anew, scorers ended since they hung,
    shards whose work others took over because theirs was slow or gone, scorers moved to a node that came late, and
    whether the coordinator had begun anew.
    """

    retries: int = 0
    restarts: int = 0
    hung: int = 0
    taken_over: int = 0
    moved: int = 0
    coordinator: int = 0

    def since(self, before: "RecoveryCounts") -> "RecoveryCounts":
        """What came on top of `before`."""
        return RecoveryCounts(*(getattr(self, each.name) - getattr(before, each.name) for each in fields(self)))

    @property
    def any(self) -> bool:
        """Whether there was anything to mend."""
        return self != RecoveryCounts()
