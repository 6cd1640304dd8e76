"""The error tree. Every message says what was found, what was expected and what to do.

    NegsiftError
    ├── BadInput (also a ValueError; the command line exits with 2)
    │   ├── UnknownName
    │   ├── BadData
    │   ├── BadModel
    │   └── BadWeights
    ├── ServiceError (a scorer or the coordinator is gone for good, or a deadline passed)
    └── Interrupted (Ctrl-C after the run was saved; the command line exits with 130)

Exceptions hand their own arguments to `super().__init__` and build the sentence in `__str__`:
that is what lets them cross a process boundary and come back as themselves.
"""

import difflib
from collections.abc import Iterable


class NegsiftError(Exception):
    """Anything negsift raises on purpose."""


class BadInput(NegsiftError, ValueError):
    """The caller gave something unusable: `found` it, `expected` that, `remedy` is what to do."""

    def __init__(self, found: str, expected: str, remedy: str) -> None:
        super().__init__(found, expected, remedy)
        self.found, self.expected, self.remedy = found, expected, remedy

    def __str__(self) -> str:
        return f"found {self.found}; expected {self.expected}; {self.remedy}"


class UnknownName(BadInput):
    """A name that is in none of our tables; the message lists the table and the nearest entry."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        NegsiftError.__init__(self, kind, name, self.known)
        near = difflib.get_close_matches(name, self.known, n=1)
        self.found = f"{kind} {name!r}"
        self.expected = f"one of {', '.join(self.known)}"
        self.remedy = f"did you mean {near[0]!r}?" if near else "choose from that list"


class BadData(BadInput):
    """Files, tables or bags that can't be read or don't make sense."""


class BadModel(BadInput):
    """A network from which bag logits or features can't be taken."""


class BadWeights(BadInput):
    """A state dict that doesn't fit the model, or that is not finite."""


class ServiceError(NegsiftError):
    """The service could not finish a round; it never answers with fewer bags instead."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what, self.remedy = what, remedy

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


class Interrupted(NegsiftError):
    """The run was stopped by the user; `saved` says what was kept and how to go on."""

    def __init__(self, saved: str) -> None:
        super().__init__(saved)
        self.saved = saved

    def __str__(self) -> str:
        return f"interrupted; {self.saved}"
