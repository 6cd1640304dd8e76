"""The exceptions of negsift. Messages of bad input state what was found, what was expected and what to do.

    NegsiftError
    ├── BadInput (also a ValueError; the command line exits with 2)
    │   ├── UnknownName
    │   ├── BadData
    │   ├── BadModel
    │   └── BadWeights
    ├── ServiceError (a scorer or the coordinator is lost, or a deadline has passed)
    ├── StillRunning (also a TimeoutError: a selection is not there yet; wait again)
    └── Interrupted (Ctrl-C after something was saved; the command line exits with 130)

Each exception passes its own arguments to `super().__init__` and builds its text in `__str__`; otherwise it could
not be unpickled in another process.
"""

import difflib
from collections.abc import Iterable

_LONGEST_LIST, _LISTED = 200, 8


class NegsiftError(Exception):
    """The base class of all exceptions that negsift raises on purpose."""


class BadInput(NegsiftError, ValueError):
    """Unusable input: what was `found`, what was `expected`, and the `remedy`."""

    def __init__(self, found: str, expected: str, remedy: str) -> None:
        super().__init__(found, expected, remedy)
        self.found, self.expected, self.remedy = found, expected, remedy

    def __str__(self) -> str:
        return f"found {self.found}; expected {self.expected}; {self.remedy}"


class UnknownName(BadInput):
    """A name that is not among the `known` ones, which the message lists, with the most similar one as a hint. Of more
    than a line has room for it lists the most similar ones.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        NegsiftError.__init__(self, kind, name, self.known)
        lowered = {one.lower(): one for one in self.known}
        near = [lowered[one] for one in difflib.get_close_matches(name.lower(), lowered, n=1)]
        self.found = f"{kind} {name!r}"
        self.expected = f"one of {', '.join(self.known)}" if self.known else "a name that is known, and none is"
        if len(self.expected) > _LONGEST_LIST:
            some = sorted(difflib.get_close_matches(name, self.known, n=_LISTED, cutoff=0.0))
            self.expected = f"one of {len(self.known)} names, such as {', '.join(some)}"
        choice = "choose from that list" if self.known else "list what there is"
        self.remedy = f"did you mean {near[0]!r}?" if near else choice


class BadData(BadInput):
    """Files, tables or bags that are unreadable or inconsistent."""


class BadModel(BadInput):
    """A network whose bag logits, features or gradients can't be computed."""


class BadWeights(BadInput):
    """A state dict that does not fit the model, or that is not finite."""


class ServiceError(NegsiftError):
    """The service could not finish a round. It never returns fewer bags than asked for instead."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what, self.remedy = what, remedy

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


class StillRunning(NegsiftError, TimeoutError):
    """An answer is not there in the time given; it can be waited for again. A TimeoutError of a user's code is none."""


class Interrupted(NegsiftError):
    """The user stopped the run, or a build; `saved` states what is saved and how to resume."""

    def __init__(self, saved: str) -> None:
        super().__init__(saved)
        self.saved = saved

    def __str__(self) -> str:
        return f"interrupted; {self.saved}"
