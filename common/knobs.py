"""What a knob's value may be: its annotated type, and for numbers the bounds it was declared with."""

import dataclasses
import math
import types
import typing
from typing import Any

from negsift.common.errors import BadInput


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Where a number must lie: `least` or larger, `above` and `below` the others; finite in any case."""

    least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf

    def hold(self, value: float) -> bool:
        """Whether `value` is a finite number within them."""
        return math.isfinite(value) and value >= self.least and self.above < value < self.below

    def __str__(self) -> str:
        sides = {"{:g} or more": self.least, "a number above {:g}": self.above, "below {:g}": self.below}
        told = [text.format(side) for text, side in sides.items() if math.isfinite(side)]
        return " and ".join(told) or "a finite number"


def check_knobs(config: object, room: str) -> None:
    """Raise BadInput for the first knob of `config` of another type or out of bounds; it is called `room`.name."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):  # type: ignore[arg-type]  # callers pass dataclasses only
        value, key = getattr(config, field.name), f"{room}.{field.name}"
        if not _is_a(value, hints[field.name]):
            raise BadInput(f"{key}={value!r}", f"a value of type {hints[field.name]}", f"correct {key}")
        if isinstance(value, (int, float)) and not field.metadata["bounds"].hold(value):
            raise BadInput(f"{key}={value}", str(field.metadata["bounds"]), f"correct --set {key}")


def _is_a(value: object, kind: Any) -> bool:  # Any: typing has no type for annotations
    if isinstance(kind, types.UnionType):
        return any(_is_a(value, one) for one in kind.__args__)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else typing.get_origin(kind) or kind)
