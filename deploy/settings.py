"""Settings of a command, all through one door: words `key=value`, `--set key=value`, and `--config FILE` below them."""

import argparse
import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from negsift.common.errors import BadData, BadInput
from negsift.common.json_text import parse_json
from negsift.common.overrides import T, override, updated
from negsift.common.regular_file import regular

_SEVERAL = ("--config", "--set", "--over")
"""Options that may be there more than once."""


def a_path(text: str) -> Path:
    """`text` as a path, a leading ~ being the home folder, also in `--out=~/run`, which shells leave as it is.

    Raises ArgumentTypeError for an empty one, which `Path` takes for the current folder.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path")
    return Path(os.path.expanduser(text))


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, for commands with settings and without."""

    _takes_settings = False
    _commands: tuple[str, ...] = ()

    def __init__(self, **options: Any) -> None:  # Any: argparse's own
        super().__init__(allow_abbrev=False, **options)

    def take_settings(self, keys: str) -> None:
        """Take `--config`, `--set`, and every word after the first as a setting; `keys` says what lists them."""
        self._takes_settings = True
        self.set_defaults(config=[], set=[])  # also for other options that append to `set`
        self.add_argument("--config", action="append", type=a_path, metavar="FILE",
                          help="JSON or TOML file of settings, which those on the command line override")  # fmt: skip
        self.add_argument("--set", action="append", metavar="KEY=VALUE",
                          help=f"the same as the word KEY=VALUE; `negsift list {keys}` prints the keys")  # fmt: skip

    def _require_once(self, words: Iterable[str]) -> None:
        """Raise BadInput for an option of one value that is there twice: argparse would take the last one."""
        given = Counter(word.partition("=")[0] for word in words)
        for name in (name for action in self._actions if action.nargs is None for name in action.option_strings):
            if given[name] > 1 and name not in _SEVERAL:
                self.error(f"{name} {given[name]} times")

    def mean_by_default(self, command: str, *others: str) -> None:
        """Take words that begin with none of these commands for those of the first."""
        self._commands = (command, *others)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise BadInput(f"arguments that don't fit ({message})", self.format_usage().strip(), f"see {self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # Any: argparse's overloads
        """As argparse does, words that are settings spelt out as `--set`, which keeps them in order; none is left."""
        words = list(self._spelt_out(args)) if self._takes_settings else args
        if self._commands and args and args[0] not in (*self._commands, "-h", "--help"):
            words = [self._commands[0], *args]
        self._require_once(words or ())
        found, unknown = super().parse_known_args(words, namespace)
        if unknown:
            self.error(f"no option {' '.join(unknown)}")
        return found, unknown

    def _spelt_out(self, words: Iterable[str]) -> Iterator[str]:
        with_value = {option for action in self._actions if action.nargs != 0 for option in action.option_strings}
        before, first = "", True
        for word in filter("--".__ne__, words):
            plain = not word.startswith("-") and before not in with_value
            yield f"--set={word}" if plain and not first else word
            before, first = word, first and not plain


def configured(base: T, arguments: argparse.Namespace) -> T:
    """`base` with the files of `--config` and then the settings of the command line applied, each in order.

    Raises BadInput and UnknownName as `override` does; where a file is wrong the message names it.
    """
    for path in arguments.config:
        base = _with_file(base, path)
    return override(base, arguments.set)


def _with_file(base: T, path: Path) -> T:
    stored = _read(path)
    if hasattr(base, "recipe"):
        recipe = stored.pop("recipe", base.recipe)
        if recipe != base.recipe:
            raise BadInput(f"recipe {recipe!r} in {path}", f"{base.recipe!r}", "train that recipe, or remove the line")
    try:
        return updated(base, stored)
    except BadInput as error:
        raise BadInput(f"{error.found} in {path}", error.expected, error.remedy) from None


def _read(path: Path) -> dict[str, Any]:  # Any: JSON
    kind, load = ("TOML", tomllib.loads) if path.suffix == ".toml" else ("JSON", parse_json)
    try:
        stored = load(regular(Path(os.path.expanduser(path))).read_text("utf-8-sig"))
    except BadData as error:
        raise BadData(error.found, f"a {kind} file of settings", "correct --config") from None
    except (OSError, ValueError, RecursionError) as error:  # both kinds' syntax errors are ValueErrors
        reason = getattr(error, "strerror", None) or error
        raise BadData(f"{path} unreadable ({reason})", f"a {kind} file of settings", "correct --config") from None
    if not isinstance(stored, dict):
        raise BadData(f"a {type(stored).__name__} in {path}", "a JSON object of settings", "correct the file")
    return stored
