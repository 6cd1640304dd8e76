"""A shard's share of one question: in one piece or several, what is answered, and who works on the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class WorkItem:
    """The `at`-th of `of` equal parts of a shard's share; all of it by default."""

    number: int
    at: int = 0
    of: int = 1


Cuts = Mapping[int, Mapping[WorkItem, int]]
"""Shares that others took over: the pieces, and who works on each."""


@dataclass
class ShardWork:
    """What one shard is to answer: the answers so far, the pieces nobody works on, when it was first given out."""

    answers: dict[WorkItem, Any] = field(default_factory=dict)
    free: list[WorkItem] = field(default_factory=list)
    began: float | None = None
    tried: bool = False
    cut: bool = False
    takers: dict[WorkItem, int] = field(default_factory=dict)
    """Who has worked on the pieces of a share that was cut, in this question or in an earlier one."""
    away: bool = False
    """Whether it was cut in an earlier question, so that its own scorer isn't asked for it."""

    @classmethod
    def of(cls, takers: Mapping[WorkItem, int]) -> Self:
        """One to be asked of its own scorer or, if there are any, of those who took its pieces over before."""
        return cls(free=list(takers), cut=bool(takers), takers=dict(takers), away=bool(takers))

    @property
    def taken(self) -> Mapping[WorkItem, int]:
        """Who answered the pieces; nothing where it was its own scorer."""
        others = self.cut and all(piece in self.takers for piece in self.answers)
        return {piece: self.takers[piece] for piece in self.answers} if others else {}

    def add(self, piece: WorkItem, answer: Any) -> None:  # Any: the method's
        """Keep an answer; a whole one makes those of pieces needless."""
        if not self.done:
            self.answers = {piece: answer} if piece.of == 1 else self.answers | {piece: answer}
        self.free = [] if self.done else self.free

    def give_back(self, piece: WorkItem) -> None:
        """Nobody works on that piece any more."""
        if not self.done:
            self.free.append(piece)

    @property
    def done(self) -> bool:
        """Whether all of it is answered."""
        return any(piece.of == len(self.answers) for piece in self.answers)
