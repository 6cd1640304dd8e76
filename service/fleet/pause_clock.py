"""The time that counts against scorers and rounds: without the time in which this process was stopped itself."""

import time
from collections.abc import Callable

_LONGEST_S = 1.0


class PauseClock:
    """Seconds in which a loop ran that ticks several times a second.

    A longer gap between two ticks is a pause of the process (SIGSTOP, a suspended machine, no processor to be had): it
    counts as one second, since answers came in meanwhile that nobody has looked at yet.
    """

    def __init__(self, read: Callable[[], float] = time.monotonic) -> None:
        self._read, self._paused_s, self._last = read, 0.0, read()

    def resume(self) -> float:
        """The seconds now, with all of the time since the last tick: nothing ran that could have ticked."""
        self._last = self._read()
        return self._last - self._paused_s

    def tick(self) -> float:
        """The seconds now."""
        self._paused_s += max(0.0, self._read() - self._last - _LONGEST_S)
        return self.resume()
