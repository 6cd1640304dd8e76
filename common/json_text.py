"""JSON from a file, as strict as TOML: a key once, numbers and nesting of a size that can be worked with."""

import json
import re
from typing import Any

_DEEPEST = 64
_HALF_LETTER = re.compile("[\ud800-\udfff]")
"""Half of a pair of surrogates, which no file can be written with."""


def parse_json(text: str) -> Any:  # Any: JSON
    """The value that `text` is. Raises JSONDecodeError, which is a ValueError, also for a key that is there twice, for
    a number that is too long, and for nesting deeper than 64, which no file of ours has.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # a key twice, or a number of thousands of digits
        raise json.JSONDecodeError(str(error), text, 0) from None
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", text, 0) from None
    level = [value]
    for _ in range(_DEEPEST):
        level = [part for item in level for part in _parts(item)]
    if level:
        raise json.JSONDecodeError("nested too deeply", text, 0)
    if "\\u" in text and _HALF_LETTER.search(json.dumps(value, ensure_ascii=False)):
        raise json.JSONDecodeError("half a letter", text, 0)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: JSON
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(name for number, (name, _) in enumerate(pairs) if name in dict(pairs[:number]))
        raise ValueError(f"the key {twice!r} twice")
    return values


def _parts(value: Any) -> list[Any]:  # Any: JSON
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
