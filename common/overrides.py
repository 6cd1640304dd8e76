"""Values of a configuration by dotted key: as settings `a.b=value`, as nested dicts, and listed."""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from negsift.common.config import require_type, type_hints
from negsift.common.errors import BadInput, UnknownName

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
Read = Callable[[Any, Any, str], Any]  # Any: text or JSON, and annotations
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def override(config: T, settings: Iterable[str]) -> T:
    """The config with every `a.b=value` of `settings` applied at once, so that those that need each other may come in
    any order; of a key that is there twice the last one counts. Raises BadInput for a malformed setting or a value of
    the wrong type, UnknownName for a key.
    """
    nested: dict[str, Any] = {}  # Any: text, or a dict of dicts of text
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not (key and equals):
            example = next((f"{key}={value}" for key, value in values(config).items() if value), "seed=1")
            raise BadInput(f"setting {setting!r}", "KEY=VALUE", f"for example {example}")
        *rooms, name = key.split(".")
        room = functools.reduce(lambda outer, inner: _room(outer, inner, key), rooms, nested)
        if isinstance(room.get(name), dict):
            raise _both(key, name)
        room[name] = text
    return _merged(config, nested, "", parse)


def updated(config: T, stored: Mapping[str, Any], prefix: str = "") -> T:  # Any: JSON
    """The config with values as `to_dict` writes them in place of its own; what isn't stored stays. Raises UnknownName
    for a key, BadInput for a value of another type; keys in messages begin with `prefix`.
    """
    return _merged(config, stored, prefix, _from_json)


def to_dict(config: "DataclassInstance") -> dict[str, Any]:  # Any: JSON
    """Nested plain dicts, ready for JSON."""
    parts = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: to_dict(part) if hasattr(part, "__dataclass_fields__") else part for name, part in parts.items()}


def values(config: "DataclassInstance", prefix: str = "") -> dict[str, str]:
    """Every dotted key below a config, with its value spelt as a setting takes it."""
    texts: dict[str, str] = {}
    for name in _settable(type(config)):
        value = getattr(config, name)
        nested = dataclasses.is_dataclass(value)
        texts |= values(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": _spell(value)}
    return texts


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:  # Any: JSON
    """The values of nested objects by dotted key."""
    values: dict[str, Any] = {}  # Any: JSON
    for name, value in nested.items():
        key = f"{prefix}{name}"
        values |= flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return values


def keys(kind: "type[DataclassInstance]", prefix: str = "") -> dict[str, str]:
    """Every dotted key below a config class, with its line of explanation."""
    lines: dict[str, str] = {}
    for name, (hint, line) in _settable(kind).items():
        lines |= {f"{prefix}{name}": line} if line else keys(hint, f"{prefix}{name}.")
    return lines


def parse(text: str, kind: Any, key: str) -> Any:  # Any: typing has no type for annotations
    """`text` as a value of the annotated type `kind`: bool, int, float, str, X | None, int | str, tuple[X, ...]."""
    if isinstance(kind, types.UnionType):
        if type(None) not in kind.__args__:  # a number, or a word in its place
            return int(text) if _is_whole(text) else text
        return None if text.lower() in ("none", "") else parse(text, _not_none(kind), key)
    if typing.get_origin(kind) is tuple:
        parts = text.split(",") if text else []
        if "" in parts:
            raise BadInput(f"{key}={text!r}", "no empty place between commas, nor at an end", f"correct {key}")
        return tuple(parse(part, typing.get_args(kind)[0], key) for part in parts)
    try:
        return _TRUTH[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        raise BadInput(f"{key}={text!r}", f"a value of type {kind.__name__}", f"correct {key}") from None


def _room(outer: dict[str, Any], name: str, key: str) -> dict[str, Any]:  # Any: as in `override`
    """The dict called `name` in another one."""
    inner = outer.setdefault(name, {})
    if not isinstance(inner, dict):
        raise _both(key, name)
    return inner


def _both(key: str, name: str) -> BadInput:
    return BadInput(f"key {key!r}", f"{name} as one value or as several", "leave one out")


def _from_json(value: Any, kind: Any, key: str) -> Any:  # Any: JSON, annotations
    if isinstance(kind, types.UnionType) and value is not None and type(None) in kind.__args__:
        return _from_json(value, _not_none(kind), key)
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_from_json(part, typing.get_args(kind)[0], key) for part in value)
    require_type(value, kind, key)
    return parse(str(value), float, key) if kind is float else value  # float() fails for an int that is too large


def _merged(config: T, changes: Mapping[str, Any], prefix: str, read: Read) -> T:  # Any: text or JSON
    """The config with nested values put in; `read` takes a value, its annotated type and its dotted key."""
    known, read_values = _settable(type(config)), {}
    for name, value in changes.items():
        key, nested = f"{prefix}{name}", isinstance(value, Mapping)
        if name not in known:
            raise UnknownName(f"key (in {key!r})" if prefix else "key", name, known)
        kind, line = known[name]
        if nested == bool(line):
            found = f"{key}.{next(iter(value), '')}" if nested else key
            expected = key if nested else ", ".join(keys(kind, f"{key}."))
            raise BadInput(f"key {found!r}", f"a key such as {expected}", "set a single value")
        read_values[name] = _merged(getattr(config, name), value, f"{key}.", read) if nested else read(value, kind, key)
    return dataclasses.replace(config, **read_values)


def _settable(kind: "type[DataclassInstance]") -> dict[str, tuple[Any, str]]:  # Any: annotations
    """The annotated types and lines of the fields that can be set: knobs, and configs, whose line is empty."""
    hints, fields = type_hints(kind), dataclasses.fields(kind)
    lines = {field.name: field.metadata.get("line", "") for field in fields}
    return {name: (hints[name], line) for name, line in lines.items() if line or dataclasses.is_dataclass(hints[name])}


def _is_whole(text: str) -> bool:
    """Whether a text is a whole number."""
    return text.strip().removeprefix("-").isdecimal()


def _not_none(kind: types.UnionType) -> Any:  # Any: annotations
    return next(arg for arg in kind.__args__ if arg is not type(None))


def _spell(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_spell, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
