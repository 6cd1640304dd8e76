"""A task while it lasts: the programs that ask for its rounds, and the rounds under way."""

from collections.abc import Collection
from dataclasses import dataclass, field

IDLE_S = 240.0
"""A task that no known program asks for is over after so long without a round."""


@dataclass
class LiveTask:
    """A task of a strategy, last used at `used` on a clock of seconds."""

    strategy: str
    used: float
    programs: set[str] = field(default_factory=set)
    _rounds: int = 0

    def begin_round(self, program: str | None) -> None:
        """A round is under way, for `program` if it is known."""
        self._rounds += 1
        if program is not None:
            self.programs.add(program)

    def end_round(self, now: float) -> None:
        """A round has ended, well or not."""
        self._rounds -= 1
        self.used = now

    def leave(self, program: str) -> bool:
        """Whether the task is over once `program` asks for no more rounds."""
        known = program in self.programs
        self.programs.discard(program)
        return known and not self.programs

    def is_lost(self, ended: Collection[str]) -> bool:
        """Whether all programs are among those that have `ended`, and no round is under way."""
        if self._rounds or not self.programs:
            return False
        self.programs.difference_update(ended)
        return not self.programs

    def is_idle(self, now: float) -> bool:
        """Whether the task, of no known program, was not used for long."""
        return not self._rounds and not self.programs and now - self.used > IDLE_S
