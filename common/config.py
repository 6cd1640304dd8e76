"""Configuration as frozen dataclasses whose fields are knobs: a default, a line of explanation, bounds for numbers.

Each part of the system defines the dataclass of its own knobs; a recipe is a function that returns them together.
`overrides` sets them by dotted key.
"""

import dataclasses
import functools
import math
import types
import typing
from typing import Any

from negsift.common.errors import BadInput

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

AUTO = "auto"
"""The value of a knob that stands for what is best here."""
_PAST_INT64 = 1 << 63


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Where a number must lie: at `least` or more, above `above` and below `below`; it is finite in any case."""

    least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf

    def hold(self, value: float) -> bool:
        """Whether `value` is a finite number within the bounds."""
        finite = isinstance(value, int) or math.isfinite(value)  # isfinite fails for an int too large for a float
        return finite and value >= self.least and self.above < value < self.below

    def __str__(self) -> str:
        sides = {"{:g} or more": self.least, "a number above {:g}": self.above, "below {:g}": self.below}
        phrases = [phrase.format(side) for phrase, side in sides.items() if math.isfinite(side)]
        return " and ".join(phrases) or "a finite number"


def knob(  # Any: dataclasses.field is typed so, too
    default: Any, line: str, *, least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> Any:
    """A dataclass field with its default, the one line that `negsift list` shows, and a number's bounds."""
    return dataclasses.field(default=default, metadata={"line": line, "bounds": Bounds(least, above, below)})


def check_knobs(config: "DataclassInstance", room: str = "") -> None:
    """Raise BadInput for the first knob of another type, out of bounds, or a whole number of more than 64 bits; the
    message calls it `room`.name, or name without a room. A whole number where a float belongs becomes one.
    """
    hints = type_hints(type(config))
    for field in dataclasses.fields(config):
        value, key = getattr(config, field.name), f"{room}.{field.name}".removeprefix(".")
        require_type(value, hints[field.name], key)
        if isinstance(value, str):
            _require_text(value, key)
        if isinstance(value, (int, float)) and not field.metadata["bounds"].hold(value):
            raise BadInput(f"{key}={value}", str(field.metadata["bounds"]), f"correct {key}")
        if isinstance(value, int) and abs(value) >= _PAST_INT64:
            raise BadInput(f"{key}={value}", "a whole number of at most 64 bits", f"lower {key}")
        if hints[field.name] is float:  # so that 1 and 1.0 are one configuration, also in its digest
            object.__setattr__(config, field.name, float(value))


def _require_text(value: str, key: str) -> None:
    """Raise BadInput for text that no file can hold, such as bytes of a command line that are not UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        shown = value.encode(errors="backslashreplace").decode()
        raise BadInput(f"{key}={shown}", "text in UTF-8", f"correct {key}") from None


@functools.cache  # resolving annotations takes longer than everything else about a configuration
def type_hints(kind: "type[DataclassInstance]") -> dict[str, Any]:  # Any: typing has no type for annotations
    """The annotated types of a configuration's fields."""
    return typing.get_type_hints(kind)


def require_type(value: object, kind: Any, key: str) -> None:  # Any: typing has no type for annotations
    """Raise BadInput unless `value` is of the annotated type `kind`; whole numbers are floats, too."""
    if not _is_a(value, kind):
        raise BadInput(f"{key}={value!r}", f"a value of type {getattr(kind, '__name__', kind)}", f"correct {key}")


def _is_a(value: object, kind: Any) -> bool:  # Any: as above
    if isinstance(kind, types.UnionType):
        return any(_is_a(value, one) for one in kind.__args__)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else typing.get_origin(kind) or kind)
