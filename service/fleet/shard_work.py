"""A shard's part of one request: whole or in several items, what is answered, and who works on the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from negsift.service.pool.blocks import WorkItem

T = TypeVar("T")

TakenOver = Mapping[int, Mapping[WorkItem, int]]
"""By shard, for shards that were taken over: the items, and the scorer that answered each."""


@dataclass
class ShardWork(Generic[T]):
    """The answers of one shard so far, the items nobody works on, and when it was first given out.

    `takers` are the scorers that have worked on items of a shard that was `split`, in this request or an
    earlier one. It is `reassigned` if it was split in an earlier request: its own scorer isn't asked then.
    """

    answers: dict[WorkItem, T] = field(default_factory=dict)
    free: list[WorkItem] = field(default_factory=list)
    began: float | None = None
    split: bool = False
    takers: dict[WorkItem, int] = field(default_factory=dict)
    reassigned: bool = False

    @classmethod
    def after(cls, takers: Mapping[WorkItem, int]) -> Self:
        """Work for the shard's own scorer or, if there are any, for those who took over its items before."""
        return cls(free=list(takers), split=bool(takers), takers=dict(takers), reassigned=bool(takers))

    @property
    def taken_over(self) -> Mapping[WorkItem, int]:
        """Who answered the items; empty where the shard's own scorer did."""
        by_others = self.split and all(item in self.takers for item in self.answers)
        return {item: self.takers[item] for item in self.answers} if by_others else {}

    def add(self, item: WorkItem, answer: T) -> None:
        """Keep an answer; the answer of the whole shard replaces those of items."""
        if not self.done:
            self.answers = {item: answer} if item.parts == 1 else self.answers | {item: answer}
        self.free = [] if self.done else self.free

    def give_back(self, item: WorkItem) -> None:
        """Nobody works on that item any more."""
        if not self.done:
            self.free.append(item)

    @property
    def done(self) -> bool:
        """Whether all of the shard is answered."""
        return any(item.parts == len(self.answers) for item in self.answers)
