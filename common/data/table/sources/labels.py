"""The forms of labels: columns of text, numbers or lists become lists of names, by the same rules in every source."""

import itertools
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.data.class_names import HIDDEN
from negsift.common.data.table.schema import COLUMNS
from negsift.common.errors import BadData
from negsift.common.some_of import some_of

SEPARATOR = ";"
_SEPARATORS = re.compile("[,;|]")
_TIGHT = re.compile("[;|]|,(?! )")
"""Separators that names such as `Inside, small room` don't contain."""
_FRACTION = re.compile(r"^(-?\d+)\.0*$")
"""A whole number as pandas writes it in a column in which some are missing."""
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WHOLE = re.compile(r"[-+]?\d+")
_LIST = re.compile(r"""\[\s*['"\d].*\]|[({]\s*['"].*[)}]""", re.DOTALL)
"""Texts that Python, numpy or JSON write for a list, a tuple or a set."""


class LabelReader:
    """Reads the label column of one source, batch by batch. Numbers become `class_names` where the source states them;
    the hidden class is unlabeled. `known` are labels besides those of the source.
    """

    def __init__(
        self, path: Path, separator: str = SEPARATOR, class_names: Sequence[str] = (), known: Sequence[str] = ()
    ) -> None:
        self._path, self._separator, self._class_names = path, separator, class_names
        self._known, self._joined, self._tight, self._rows = set(known), dict[str, str](), dict[str, str](), 0

    def read(self, column: pa.ChunkedArray) -> pa.Array:
        """The labels as list<string>, each once in a bag. Raises BadData for labels of another type, for a number
        without a name, for a list written as text, for vectors of zeros and ones, and for a text that another separator
        would divide into words of which one is elsewhere in the source.
        """
        if is_text(column.type):
            self._require_no_list(column)
        labels = as_labels(column, self._separator)
        self._rows += len(column)
        if not self._class_names and _is_whole(_inner(column.type)):
            self._require_names(column)
        if self._class_names and (_is_whole(_inner(column.type)) or pa.types.is_floating(column.type)):
            return pa.array(map(self._named, labels.to_pylist()), COLUMNS["labels"])
        if is_text(column.type):
            names = pc.unique(labels.flatten()).to_pylist()
            self._known |= set(names)
            require_classes(self._known, self._path)
            self._require_divided(names)
        return labels

    def _named(self, numbers: Sequence[str] | None) -> list[str] | None:
        if numbers is None or str(HIDDEN) in numbers:
            return None
        for number in numbers:
            if not 0 <= int(number) < len(self._class_names):
                found = f"class {number} in {self._path}"
                expected = f"0 to {len(self._class_names) - 1}, the classes that the file names, or {HIDDEN}"
                raise BadData(found, expected, "correct the labels")
        return [self._class_names[int(number)] for number in numbers]

    def _require_no_list(self, column: pa.ChunkedArray) -> None:
        for text in pc.unique(column).to_pylist():
            if text is not None and _LIST.fullmatch(text.strip()):
                row = self._rows + pc.index(column, text).as_py()
                columnar = self._path.suffix.lower() in (".parquet", ".arrow")
                place = f"row {row}" if columnar else f"line {row + 2}"  # after the header
                expected = f"labels separated by {self._separator!r}, which is label_separator"
                remedy = f"write them so, as in a{self._separator}b, or as a list in parquet"
                raise BadData(f"a list as text, {text.strip()!r:.60}, in {self._path}, {place}", expected, remedy)

    def _require_names(self, column: pa.ChunkedArray) -> None:
        """Raise BadData if all lists are vectors with a 0 or 1 for each class. [0, 1] may name two classes as well."""
        lists = _inner(column.type) != column.type
        rows = {tuple(row) for row in column.to_pylist() if row} if lists else {}
        lengths = {len(row) for row in rows}
        if len(lengths) == 1 and lengths.pop() > 1 and {*itertools.chain(*rows)} <= {0, 1} and rows != {(0, 1)}:
            found = f"labels such as {list(max(rows))!s:.60} in {self._path}, a 0 or 1 for each class"
            raise BadData(found, "the numbers or names of the classes that a bag has", "write these")

    def _require_divided(self, names: Sequence[str]) -> None:
        words = {word.strip(): name for name in names for word in _SEPARATORS.split(name) if word.strip() != name}
        self._joined |= words
        both = self._joined.keys() & self._known
        if both:
            word = min(both)
            raise self._not_divided(self._joined[word], _SEPARATORS, f"where {word!r} is a label, too")
        for name in names:
            for word in {part.strip() for part in _TIGHT.split(name)} - {name, ""}:
                other = self._tight.setdefault(word, name)
                if other != name:
                    raise self._not_divided(name, _TIGHT, f"which shares {word!r} with {other!r}")

    def _not_divided(self, text: str, separators: re.Pattern[str], why: str) -> BadData:
        expected = f"several labels of a bag separated by {self._separator!r}"
        remedy = f"set label_separator={separators.findall(text)[0]} or rename the label"
        return BadData(f"label {text!r} in {self._path}, {why}", expected, remedy)


def require_classes(names: Collection[str], source: object) -> None:
    """Raise BadData for labels that are numbers throughout and not all whole, such as shares or measurements."""
    fractions = [name for name in names if _NUMBER.fullmatch(name) and not _WHOLE.fullmatch(name)]
    if fractions and all(map(_NUMBER.fullmatch, names)):
        found = f"labels that are numbers with fractions, such as {some_of(sorted(fractions), 3)}, in {source}"
        remedy = "write 1 or 0 for above or below a threshold, or names such as grade-1.5"
        raise BadData(found, "whole numbers or names of classes", remedy)


def as_labels(column: pa.Array | pa.ChunkedArray, separator: str = SEPARATOR) -> pa.Array:
    """A column of labels as list<string>, each once in a list. A list is cast; a whole number or truth value is one
    name. Text is split at separators; `[]` becomes an empty list, empty text and null become null, which means
    unlabeled. Raises BadData for other types, and for a null in a list.
    """
    column = _whole_numbers(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    kind, inner = column.type, _inner(column.type)
    if not (is_text(inner) or _is_whole(inner) or pa.types.is_null(kind) or (pa.types.is_boolean(kind))):
        raise BadData(f"labels of type {kind}", "text, whole numbers, truth values or lists of text", "convert them")
    if inner != kind:
        if column.flatten().null_count:
            raise BadData("a null among the labels of a bag", "names, [] or a null instead of the list", "correct it")
        labels = column.cast(COLUMNS["labels"])
        blank = [name for name in pc.unique(labels.flatten()).to_pylist() if name != name.strip() or not name]
        if blank:
            raise BadData(f"the label {blank[0]!r} in a list", "names without blanks around them", "correct the source")
        return pa.array([names and list(dict.fromkeys(names)) for names in labels.to_pylist()], labels.type)
    texts = column.cast(pa.int8()) if pa.types.is_boolean(kind) else column
    return pa.array([_names(text, separator) for text in texts.cast(pa.string()).to_pylist()], COLUMNS["labels"])


def _whole_numbers(column: pa.Array) -> pa.Array:
    """Whole numbers in place of those that pandas has made fractions since some were missing: 1.0 is 1, NaN is null."""
    if not pa.types.is_floating(column.type):
        return column
    known = pc.if_else(pc.is_nan(column), None, column)
    return known.cast(pa.int64()) if pc.all(pc.equal(known, pc.floor(known))).as_py() is not False else column


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type contains text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))


def _inner(kind: pa.DataType) -> pa.DataType:
    """The type of a list's values; `kind` itself if it is no list."""
    return kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind


def _names(text: str | None, separator: str) -> list[str] | None:
    if text is None or not text.strip():
        return None
    words = [] if text.strip() == "[]" else map(str.strip, text.split(separator))
    return list(dict.fromkeys(_FRACTION.sub(r"\1", word) for word in words if word))
