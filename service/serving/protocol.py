"""What crosses between a client and a pool's service: dicts of numbers, strings, bytes and numpy arrays.

Nothing of ours has to be importable on the other side, see docs/shared-service.md.
"""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from negsift.common.account import Account, Ages, RecoveryCounts, Traffic
from negsift.common.arrays import Index
from negsift.common.config import check_knobs, knob
from negsift.common.errors import BadData, BadInput, BadModel, BadWeights, NegsiftError, ServiceError, UnknownName
from negsift.common.guards import Guards
from negsift.common.overrides import updated
from negsift.common.round_policy import RoundPolicy
from negsift.common.types import Selection

PROTOCOL = 1
Wire = dict[str, Any]  # Any: numbers, strings, bytes, numpy arrays, and dicts and lists of them
T = TypeVar("T", "TaskSpec", "RoundSpec")
_KINDS = {kind.__name__: kind for kind in (BadInput, UnknownName, BadData, BadModel, BadWeights, ServiceError)}


@dataclass(frozen=True)
class TaskSpec(RoundPolicy):
    """What a run registers. `model` and `strategy` are names with their options, or pickles made by our client."""

    model: Mapping[str, Any] | bytes = knob(None, "a model's name and options, or a pickle")
    strategy: Mapping[str, Any] | bytes = knob(None, "a strategy's name and options, or a pickle")
    task: str = knob("", "a name for the run; a new one is made up if it is empty")
    target: str | None = knob(None, "the label whose negatives are the pool")
    k: int | None = knob(None, "negatives an epoch; none for full", least=0)
    seed: int = knob(0, "seed of random picks")
    column: int = knob(1, "column of the positive class", least=0)
    pool_version: int | None = knob(None, "version of the pool; none: the newest", least=1)


@dataclass(frozen=True)
class RoundSpec:
    """One round of a task, which `register` has named; `version` is that of the weights, where it isn't the epoch."""

    task: str = knob(None, "the task")
    epoch: int = knob(None, "the epoch to choose for")
    version: int | None = knob(None, "after how many epochs the weights were taken; none: the epoch")
    pool_version: int | None = knob(None, "version of the pool; none: the task's", least=1)
    part: int | None = knob(None, "give every score of so many bags, others each time; not the best k", least=1)
    ranks: int | None = knob(None, "give so many of the best bags; not the best k", least=1)
    previous: Index | None = None
    """The last selection's positions, for strategies that learn from them."""


def parse(kind: type[T], request: object) -> T:
    """The request as a `kind`; raises BadInput for another protocol, and for what is missing or of another type."""
    if not isinstance(request, Mapping):
        raise BadInput(f"a request of type {type(request).__name__}", "a dict", "see docs/shared-service.md")
    if request.get("protocol") != PROTOCOL:
        raise BadInput(
            f"a client of protocol {request.get('protocol')!r}", f"{PROTOCOL}, which this service speaks",
            "use the client of the service's version, or restart the service with the client's",
        )  # fmt: skip
    numbers = {key: value.item() for key, value in request.items() if isinstance(value, np.generic)}
    values = {key: value for key, value in {**request, **numbers}.items() if key != "protocol"}
    known = [field.name for field in dataclasses.fields(kind)]
    for key in values:
        if key not in known:
            raise UnknownName("key of a request", str(key), known)
    if isinstance(values.get("guard"), Mapping):
        values["guard"] = updated(Guards(), values["guard"], "guard.")
    spec = kind(**values)
    for name, hint in typing.get_type_hints(kind).items():
        if getattr(spec, name) is None and type(None) not in typing.get_args(hint):
            raise BadInput(f"a request without {name!r}", "one with it", "see docs/shared-service.md")
    check_knobs(spec, "request")
    return spec


def answer_of(selection: Selection) -> Wire:
    """A selection as it travels."""
    return dataclasses.asdict(selection)


def selection_of(answer: Wire) -> Selection:
    """The selection in an answer; raises what went wrong instead, if that is in it."""
    fields = checked(answer)
    account = fields["account"]
    parts = {"traffic": Traffic, "recovery": RecoveryCounts, "ages": Ages}
    nested = {name: kind(**account[name]) for name, kind in parts.items()}
    return Selection(**{**fields, "account": Account(**{**account, **nested})})


def error_of(error: NegsiftError) -> Wire:
    """An error as it travels: its line for people, its kind and arguments for clients that have the class."""
    kind = type(error).__name__
    return {"error": " ".join(str(error).split()), "kind": kind, "arguments": list(error.args)}


def checked(answer: Wire) -> Wire:
    """The answer; raises the error in it, if there is one."""
    if "error" not in answer:
        return answer
    raise _KINDS[answer["kind"]](*answer["arguments"])
