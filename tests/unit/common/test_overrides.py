"""Dotted keys: settings and stored values reach every field, and errors say why they don't."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negsift.common.config import knob
from negsift.common.errors import BadInput, UnknownName
from negsift.common.overrides import keys, override, to_dict, updated, values


@dataclass(frozen=True)
class Inner:
    """A part with every kind of value."""

    count: int = knob(1, "how many")
    rate: float = knob(0.5, "how fast")
    on: bool = knob(False, "whether")
    name: str = knob("a", "what")
    limit: int | None = knob(None, "how many at most")
    label: str | None = knob(None, "what else")
    steps: tuple[int, ...] = knob((1, 2), "which")


@dataclass(frozen=True)
class Outer:
    """A part with parts."""

    inner: Inner = field(default_factory=Inner)
    seed: int = knob(0, "the seed")


VALUES = [
    ("count", "7", 7), ("count", "-7", -7), ("rate", "2", 2.0), ("rate", "1e-3", 0.001), ("name", "b=c", "b=c"),
    ("name", "", ""), ("limit", "3", 3), ("limit", "none", None), ("limit", "None", None), ("label", "x", "x"),
    ("label", "none", None), ("steps", "4", (4,)), ("steps", "4,5,6", (4, 5, 6)), ("steps", "", ()),
    *(("on", text, True) for text in ("true", "True", "yes", "1")),
    *(("on", text, False) for text in ("false", "FALSE", "no", "0")),
]  # fmt: skip


@pytest.mark.parametrize(("key", "text", "value"), VALUES)
def test_every_kind_of_value_can_be_set(key: str, text: str, value: object) -> None:
    found = getattr(override(Inner(), [f"{key}={text}"]), key)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["4,", ",4", "4,,5"])
def test_an_empty_place_in_a_list_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=f"steps='{text}'; expected no empty place"):
        override(Inner(), [f"steps={text}"])


def test_nested_values_are_set_and_the_rest_stays() -> None:
    assert override(Outer(), ["inner.count=7", "seed=3"]) == Outer(Inner(count=7), 3)


def test_later_settings_win() -> None:
    assert override(Outer(), ["seed=1", "seed=2"]).seed == 2


@dataclass(frozen=True)
class Needy:
    """A part in which two values need each other."""

    one: int = knob(0, "the first")
    two: int = knob(0, "the second")

    def __post_init__(self) -> None:
        if self.one != self.two:
            raise BadInput(f"one={self.one}", f"two={self.two}", "set both")


@pytest.mark.parametrize("words", [["one=1", "two=1"], ["two=1", "one=1"], ["one=3", "two=1", "one=1"]])
def test_settings_that_need_each_other_come_in_any_order(words: list[str]) -> None:
    assert override(Needy(), words) == Needy(1, 1)
    with pytest.raises(BadInput, match="set both"):
        override(Needy(), words[:1])


@pytest.mark.parametrize("words", [["seed=1", "seed.x=2"], ["seed.x=2", "seed=1"], ["inner=1", "inner.count=2"]])
def test_a_key_and_one_below_it_are_refused(words: list[str]) -> None:
    with pytest.raises(BadInput, match="as one value or as several"):
        override(Outer(), words)


def test_spaces_around_key_and_value_are_ignored() -> None:
    assert override(Outer(), [" inner.name = b "]).inner.name == "b"


def test_the_config_given_is_not_changed() -> None:
    given_config = Outer()
    override(given_config, ["inner.count=7"])
    assert given_config == Outer()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sead=1", "key 'sead'; expected one of inner, seed; did you mean 'seed'"),
        ("inner.cuont=1", r"'inner\.cuont'.*count, label, limit, name, on, rate, steps; did you mean 'count'"),
        ("a=", "one of inner, seed"),
        ("ключ=1", "'ключ'.*one of inner, seed"),
        ("inner.=1", "'inner.'"),
    ],
)
def test_wrong_key_lists_the_right_ones(setting: str, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        override(Outer(), [setting])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("inner.count=many", r"inner\.count='many'; expected a value of type int"),
        ("inner.count=1.5", r"inner\.count='1\.5'; expected a value of type int"),
        ("inner.count=", r"inner\.count=''; expected a value of type int"),
        ("inner.rate=fast", "expected a value of type float"),
        ("inner.on=maybe", "expected a value of type bool"),
        ("inner.limit=some", "expected a value of type int"),
        ("inner.steps=1,two", r"'two'; expected a value of type int"),
        ("seed==1", r"seed='=1'; expected a value of type int; correct seed"),
    ],
)
def test_wrong_value_is_refused_with_the_type(setting: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        override(Outer(), [setting])


@pytest.mark.parametrize("setting", ["seed", "", "inner.count", "=", "=b", " =b", "=="])
def test_a_setting_without_key_or_value_is_refused_with_example(setting: str) -> None:
    with pytest.raises(BadInput, match=f"found setting {setting!r}; expected KEY=VALUE; for example inner.count=1"):
        override(Outer(), [setting])


@pytest.mark.parametrize(
    ("setting", "message"), [("inner=1", r"a key such as inner\.count"), ("seed.x=1", "a key such as seed")]
)
def test_key_that_ends_too_early_or_too_late_is_refused(setting: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        override(Outer(), [setting])


CONFIGS = st.builds(
    Outer,
    inner=st.builds(
        Inner, count=st.integers(), rate=st.floats(allow_nan=False), on=st.booleans(), name=st.text(),
        limit=st.none() | st.integers(), label=st.none() | st.text(), steps=st.lists(st.integers()).map(tuple),
    ),
    seed=st.integers(),
)  # fmt: skip


@settings(max_examples=15)
@given(config=CONFIGS)
def test_config_comes_back_from_json(config: Outer) -> None:
    assert updated(Outer(), json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"sead": 1}, "'sead'.*one of inner, seed; did you mean 'seed'"),
        ({"inner": {"cuont": 1}}, "'inner.cuont'.*did you mean 'count'"),
        ({"inner": 1}, "key 'inner'; expected a key such as inner.count"),
        ({"seed": {"x": 1}}, "key 'seed.x'; expected a key such as seed"),
        ({"seed": "1"}, "seed='1'; expected a value of type int; correct seed"),
        ({"seed": True}, "seed=True; expected a value of type int"),
        ({"seed": 1.0}, "seed=1.0; expected a value of type int"),
        ({"seed": None}, "seed=None; expected a value of type int"),
        ({"inner": {"on": 1}}, "inner.on=1; expected a value of type bool"),
        ({"inner": {"rate": "2"}}, "inner.rate='2'; expected a value of type float"),
        ({"inner": {"limit": 1.5}}, "inner.limit=1.5; expected a value of type int"),
        ({"inner": {"steps": 3}}, "inner.steps=3; expected a value of type tuple"),
        ({"inner": {"steps": [1, "2"]}}, "inner.steps='2'; expected a value of type int"),
    ],
)
def test_stored_key_or_type_that_does_not_fit_is_refused(stored: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        updated(Outer(), stored)


def test_what_is_not_stored_stays() -> None:
    assert updated(Outer(Inner(rate=0.25), 3), {"inner": {"count": 7}}) == Outer(Inner(count=7, rate=0.25), 3)


def test_stored_whole_numbers_become_floats_where_needed() -> None:
    assert to_dict(updated(Outer(), {"inner": {"rate": 2}})) == to_dict(override(Outer(), ["inner.rate=2"]))
    assert updated(Outer(), {"inner": {"rate": 10**400}}).inner.rate == float("inf")


def test_keys_are_dotted_and_explained() -> None:
    found = keys(Outer)
    assert list(found) == [*(f"inner.{name}" for name in Inner.__dataclass_fields__), "seed"]
    assert (found["inner.count"], found["seed"]) == ("how many", "the seed")


@settings(max_examples=15)
@given(config=CONFIGS)
def test_every_key_can_be_set_to_what_it_is(config: Outer) -> None:
    held = to_dict(config)
    texts = {name: str(value) for name, value in held["inner"].items() if isinstance(value, (int, float))}
    assert to_dict(override(config, [f"inner.{name}={text}" for name, text in texts.items()])) == held


@dataclass(frozen=True)
class Named(Outer):
    """Has a field that is no knob."""

    name: str = ""


def test_a_field_that_is_not_a_setting_cannot_be_set() -> None:
    assert set(keys(Named)) == set(keys(Outer))
    with pytest.raises(UnknownName, match="key 'name'; expected one of inner, seed"):
        override(Named(), ["name=x"])


def test_values_are_spelt_as_they_are_set() -> None:
    found = values(Outer(Inner(on=True, steps=(4, 5))))
    assert (found["inner.on"], found["inner.limit"], found["inner.steps"]) == ("true", "none", "4,5")
    assert override(Outer(), [f"{key}={value}" for key, value in found.items()]) == Outer(Inner(on=True, steps=(4, 5)))
