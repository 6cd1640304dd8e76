"""The error tree: whole sentences, and no loss on the way between processes."""

import copy
import pickle
import re

import pytest

from negsift.common.errors import BadInput, Interrupted, NegsiftError, ServiceError, UnknownName

SENTENCES = {
    BadInput: ("640 asked for", "at most 512", "lower sampling.ratio"),
    UnknownName: ("strategy", "bagde", ["badge", "random"]),
    ServiceError: ("no answer from scorer-3", "look at the dashboard"),
    Interrupted: ("epoch 3 is kept",),
    NegsiftError: ("something",),
}


def tree(kind: type[NegsiftError]) -> list[type[NegsiftError]]:
    return [kind] + [each for child in kind.__subclasses__() for each in tree(child)]


def sample(kind: type[NegsiftError]) -> NegsiftError:
    """An error of the kind, with the arguments of its nearest ancestor above."""
    return kind(*next(SENTENCES[base] for base in kind.__mro__ if base in SENTENCES))  # type: ignore[index]


@pytest.mark.parametrize("kind", tree(NegsiftError))
@pytest.mark.parametrize("way", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"])
def test_every_error_comes_back_as_itself(kind: type[NegsiftError], way: object) -> None:
    error = sample(kind)
    back = way(error)  # type: ignore[operator]  # one of the two above
    assert (type(back), str(back), back.args, vars(back)) == (kind, str(error), error.args, vars(error))


def test_a_name_where_there_are_none_does_not_list_them() -> None:
    assert (
        str(UnknownName("job", "x", []))
        == "found job 'x'; expected a name that is known, and none is; list what there is"
    )


@pytest.mark.parametrize("kind", tree(BadInput))
def test_bad_input_says_found_expected_and_remedy(kind: type[BadInput]) -> None:
    error = sample(kind)
    assert isinstance(error, BadInput)
    assert str(error) == f"found {error.found}; expected {error.expected}; {error.remedy}"
    assert all((error.found, error.expected, error.remedy))


@pytest.mark.parametrize("kind", tree(BadInput))
def test_bad_input_is_a_value_error(kind: type[BadInput]) -> None:
    assert issubclass(kind, ValueError)


def test_unknown_name_lists_the_known_and_the_nearest() -> None:
    text = str(UnknownName("strategy", "bagde", ["random", "badge"]))
    assert text == "found strategy 'bagde'; expected one of badge, random; did you mean 'badge'?"


def test_case_does_not_hide_the_nearest() -> None:
    assert str(UnknownName("strategy", "AUTO", ["random", "auto"])).endswith("did you mean 'auto'?")


def test_unknown_name_near_to_none_just_lists() -> None:
    assert str(UnknownName("strategy", "xyz", ["random"])).endswith("one of random; choose from that list")


def test_service_error_says_what_to_do() -> None:
    assert str(sample(ServiceError)) == "no answer from scorer-3; look at the dashboard"


def test_interruption_says_what_is_saved() -> None:
    assert str(sample(Interrupted)) == "interrupted; epoch 3 is kept"


def test_of_many_names_the_most_similar_ones_are_listed() -> None:
    text = str(UnknownName("key", "group", [f"unlike_{number}" for number in range(40)] + ["group_mb", "group_id"]))
    assert re.search(r"one of 42 names, such as group_id, group_mb, .*; did you mean 'group_\w\w'\?", text)
    assert len(text) < 300
