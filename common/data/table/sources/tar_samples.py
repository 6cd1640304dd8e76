"""The samples of WebDataset's shards, with what their other members say of them.

A sample's labels are its `.cls` (a number or a name), or the label column of its `.json`, which may have its split and
its group, too.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from negsift.common.data.table.sources.columns import GROUP, LABEL, SPLIT, column
from negsift.common.data.table.sources.labels import as_labels, require_classes
from negsift.common.data.table.sources.shards import split_below
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.sources.split_names import split_named
from negsift.common.data.table.sources.tar_shards import Members, Span, read_members
from negsift.common.data.table.sources.unused_settings import refuse
from negsift.common.errors import BadData, BadInput
from negsift.common.json_text import parse_json
from negsift.common.some_of import some_of

_MOST_LABEL_BYTES = 1 << 20
_CLS, _JSON = ".cls", ".json"
_EXPECTED = "a label, or JSON of one"


@dataclass(frozen=True)
class TarSample:
    """A sample: its id, unique in its source, its members by ending, labels (None if it has none), split and group."""

    id: str
    members: Mapping[str, Span]
    labels: list[str] | None
    split: str
    group: str | None = None

    def named(self, name: str, endings: Iterable[str]) -> Span | None:
        """The member `name` of one of these endings, which the name may include; None if there is none."""
        fitting = (self.members.get(f".{name}{ending}") for ending in ("", *endings))
        return next((span for span in fitting if span is not None and span.suffix in endings), None)

    def payload(self, endings: Sequence[str] | set[str], key: str | None, usual: Sequence[str] = ()) -> Span | None:
        """The member that `key` names, or else the only one of these endings, or else the only one that has no other
        name or one of the `usual` names. None without any of them; raises BadInput for a key of none, BadData for
        several.
        """
        if key is not None:
            stated = self.named(key, endings)
            if stated is None and self._fitting(endings):
                found = f"key={key} of sample {self.id}"
                raise BadInput(found, f"one of its members, {some_of(self._fitting(endings))}", "correct key=")
            return stated
        fitting = self._fitting(endings)
        known = {f".{name}{ending}" for name in usual for ending in endings} | set(endings)
        preferred = [name for name in fitting if f".{name}" in known] or fitting
        if len(preferred) > 1:
            found = f"members {some_of(preferred)} of sample {self.id}"
            raise BadData(found, "one with what is in the bag", "name it: key=NAME")
        return self.members[f".{preferred[0]}"] if preferred else None

    def _fitting(self, endings: Iterable[str]) -> list[str]:
        return [ending[1:] for ending, span in self.members.items() if span.suffix in endings]


def read_samples(source: Path, config: BuildConfig) -> tuple[list[TarSample], list[str]]:
    """The samples of all shards, and a line for each member that is none of a sample. Raises BadData as `read_members`,
    and for labels, splits and groups that can't be read, or that no sample has.
    """
    refuse(config, ("id_column", "columns"), "samples of a tar file, whose ids are their names")
    found, odd = read_members(source)
    times = Counter(sample.key for sample in found)
    root, samples, known = source if source.is_dir() else source.parent, list[TarSample](), set[str]()
    for name, path, spans in found:
        below = path.relative_to(root)
        id = name if times[name] == 1 else f"{below.with_suffix('').as_posix()}/{name}"
        beside = _beside(spans)
        known |= beside.keys()
        split, group = (_text(spans, beside, column([*beside], config, key)) for key in (SPLIT, GROUP))
        split = split_named(split) if split else split_below(below)
        samples.append(TarSample(id, spans, _labels(spans, beside, config), split, group))
    if all(sample.labels is None for sample in samples):
        raise BadData(f"no label in {source}{_keys(found)}", "a .cls, or a .json with label", "label_column=NAME")
    for key in (LABEL, GROUP, SPLIT):
        name = getattr(config, key)
        if name not in (getattr(BuildConfig, key), *known):
            raise BadData(f"no {name} in {source}{_keys(found)}", "what a setting names in a .json", "correct it")
    require_classes({label for sample in samples for label in sample.labels or ()}, source)
    return samples, odd


def _keys(samples: Sequence[Members]) -> str:
    """What the first JSON has in place of the label, in brackets."""
    span = next((spans[_JSON] for _, _, spans in samples if _JSON in spans), None)
    return f" ({span.name} has {some_of(parse_json(span.read_bytes().decode()))})" if span else ""


def _beside(spans: Mapping[str, Span]) -> Mapping[str, Any]:  # Any: JSON
    """The content of the JSON; nothing without one."""
    if _JSON not in spans:
        return {}
    try:
        content = parse_json(_content(spans[_JSON]))
    except (ValueError, OSError) as error:
        raise BadData(f"{spans[_JSON]} ({error})", _EXPECTED, "correct it") from None
    if not isinstance(content, dict):
        raise BadData(f"{spans[_JSON]} without an object", _EXPECTED, "correct it")
    return content


def _content(span: Span) -> str:
    if span.size > _MOST_LABEL_BYTES:
        raise BadData(f"{span.size:,} bytes of {span}", _EXPECTED, "correct it")
    return span.read_bytes().decode()


def _labels(spans: Mapping[str, Span], beside: Mapping[str, Any], config: BuildConfig) -> list[str] | None:
    """A stated label column of the JSON, or else the `.cls`, or else the usual label column."""
    name = column([*beside], config, LABEL)
    is_stated = name in beside and name == config.label_column != BuildConfig.label_column
    span = spans.get(_JSON) if is_stated or _CLS not in spans else spans[_CLS]
    try:
        value = None if span is None else _content(span).strip() if span.suffix == _CLS else beside.get(name)
        labels: list[str] | None = as_labels(pa.array([value]), config.label_separator)[0].as_py()
    except (ValueError, OSError, pa.ArrowException) as error:
        raise BadData(f"{span} ({error})", _EXPECTED, "correct it") from None
    return labels


def _text(spans: Mapping[str, Span], beside: Mapping[str, Any], name: str) -> str | None:
    value = beside.get(name)
    if not (value is None or (isinstance(value, str | int) and not isinstance(value, bool))):
        raise BadData(f"{name} {value!s:.40} in {spans[_JSON]}", "text or a whole number", "correct it")
    return None if value is None or value == "" else str(value)
