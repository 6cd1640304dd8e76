"""Configuration as frozen dataclasses: overriding by dotted key, and going to and from plain dicts.

Each part of the system defines the dataclass of its own knobs; a recipe is a function that returns
them together; `--set a.b=value` reaches every field through `override`.
"""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from common.errors import BadInput, UnknownName

T = TypeVar("T")

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def knob(default: Any, line: str) -> Any:  # Any: dataclasses.field is typed so, too
    """A dataclass field with its default and the one line that `list` and errors show."""
    return dataclasses.field(default=default, metadata={"line": line})


def override(config: T, settings: Iterable[str]) -> T:
    """The config with every `a.b=value` of `settings` applied, in order.

    Raises BadInput for a malformed setting or a value of the wrong type, UnknownName for a key.
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise BadInput(f"--set {setting!r}", "KEY=VALUE", "for example --set strategy.name=badge")
        config = _replace(config, key.strip().split("."), text.strip(), key.strip())
    return config


def to_dict(config: object) -> dict[str, Any]:  # Any: JSON
    """Nested plain dicts, ready for JSON."""
    return dataclasses.asdict(config)  # type: ignore[call-overload, no-any-return]  # T is a dataclass


def from_dict(kind: type[T], values: Mapping[str, Any]) -> T:  # Any: JSON
    """The config that `to_dict` wrote; keys of another version raise UnknownName."""
    known = {field.name: field for field in _fields(kind)}
    for name in values:
        if name not in known:
            raise UnknownName("configuration key", name, known)
    hints = typing.get_type_hints(kind)
    built = {
        name: from_dict(hints[name], value) if dataclasses.is_dataclass(hints[name]) else _from_json(value)
        for name, value in values.items()
    }
    return kind(**built)


def keys(kind: type[object], prefix: str = "") -> dict[str, str]:
    """Every dotted key below a config class, with its line of explanation."""
    found: dict[str, str] = {}
    hints = typing.get_type_hints(kind)
    for field in _fields(kind):
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            found |= keys(hints[field.name], f"{name}.")
        else:
            found[name] = field.metadata.get("line", "")
    return found


def _replace(config: T, path: list[str], text: str, key: str) -> T:
    name, rest = path[0], path[1:]
    hints = typing.get_type_hints(type(config))
    if name not in {field.name for field in _fields(type(config))}:
        raise UnknownName(f"key (in {key!r})", name, (field.name for field in _fields(type(config))))
    value = getattr(config, name)
    if dataclasses.is_dataclass(value) and rest:
        return dataclasses.replace(config, **{name: _replace(value, rest, text, key)})  # type: ignore[type-var]  # T is a dataclass
    if rest or dataclasses.is_dataclass(value):
        below = ", ".join(keys(type(value), f"{name}.")) if dataclasses.is_dataclass(value) else name
        raise BadInput(f"key {key!r}", f"a key such as {below}", "set a single value")
    return dataclasses.replace(config, **{name: parse(text, hints[name], key)})  # type: ignore[type-var]  # same


def parse(text: str, kind: Any, key: str) -> Any:  # Any: typing has no type for annotations
    """`text` as a value of the annotated type `kind`: bool, int, float, str, X | None, tuple[X, ...]."""
    if isinstance(kind, types.UnionType):
        if text.lower() in ("none", ""):
            return None
        return parse(text, next(arg for arg in kind.__args__ if arg is not type(None)), key)
    if typing.get_origin(kind) is tuple:
        return tuple(parse(part, typing.get_args(kind)[0], key) for part in text.split(","))
    try:
        return _TRUTH[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        raise BadInput(f"{key}={text!r}", f"a value of type {kind.__name__}", "correct --set") from None


def _from_json(value: Any) -> Any:  # Any: JSON
    return tuple(value) if isinstance(value, list) else value


def _fields(kind: type[object]) -> tuple[dataclasses.Field[Any], ...]:  # Any: fields of any type
    return dataclasses.fields(kind)  # type: ignore[arg-type]  # callers pass dataclasses only
