"""Class lists and the ontology."""

import json
from pathlib import Path

import pytest

from negsift.common.data.audioset.audioset40 import AUDIOSET40
from negsift.common.data.audioset.classes import read_names, read_ontology, read_vocabulary
from negsift.common.data.audioset.segments import Segment
from negsift.common.errors import BadData, UnknownName

COUNTS = {"/m/04rlf": 9, "/m/09x0r": 8, "/m/c": 5, "/m/b": 3, "/m/a": 3, "/m/abstract": 7}
SEGMENTS = [Segment("x", None, (mid,)) for mid, count in COUNTS.items() for _ in range(count)]
NAMES = 'index,mid,display_name\n0,/m/b,"Bee, wasp"\n1,/m/a,Ape\n2,/m/c,Cat\n3,/m/unused,Unused\n'
ONTOLOGY = [
    {"id": "/m/top", "child_ids": ["/m/left", "/m/right"], "restrictions": []},
    {"id": "/m/left", "child_ids": ["/m/leaf"], "restrictions": []},
    {"id": "/m/right", "child_ids": ["/m/leaf"], "restrictions": []},
    {"id": "/m/leaf", "child_ids": [], "restrictions": []},
    {"id": "/m/abstract", "child_ids": ["/m/top"], "restrictions": ["abstract"]},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "class_labels_indices.csv").write_text(NAMES)
    (tmp_path / "ontology.json").write_text(json.dumps(ONTOLOGY))
    return tmp_path


def mids(root: Path, wanted: str) -> tuple[str, ...]:
    return read_vocabulary(root, wanted, SEGMENTS, {}).mids


def test_audioset40_is_forty_distinct_classes_whatever_is_listed(root: Path) -> None:
    assert len(set(AUDIOSET40)) == len(set(AUDIOSET40.values())) == 40
    assert mids(root, "audioset40") == tuple(AUDIOSET40)
    assert (AUDIOSET40["/m/07yv9"], AUDIOSET40["/m/07pggtn"]) == ("Vehicle", "Chirp, tweet")
    assert "/m/09x0r" not in AUDIOSET40


def test_all_are_those_listed_in_the_order_of_the_index(root: Path) -> None:
    assert mids(root, "all") == ("/m/b", "/m/a", "/m/c", "/m/04rlf", "/m/09x0r", "/m/abstract")


def test_most_frequent_skips_music_speech_and_abstract_classes(root: Path) -> None:
    assert mids(root, "top:2") == ("/m/c", "/m/b")
    assert mids(root, "top:9") == ("/m/c", "/m/b", "/m/a")


def test_a_users_list_takes_mids_and_names(root: Path) -> None:
    (root / "mine.txt").write_text("Cat\n\n/m/04rlf\nBee, wasp\nCat\n")
    assert mids(root, str(root / "mine.txt")) == ("/m/c", "/m/04rlf", "/m/b")


def test_classes_without_a_name_in_the_index_keep_their_mids(root: Path) -> None:
    vocabulary = read_vocabulary(root, "all", SEGMENTS, {"/m/a": "named by the list", "/m/04rlf": "Music"})
    assert vocabulary.classes == ("Bee, wasp", "Ape", "Cat", "Music", "/m/09x0r", "/m/abstract")


def test_an_index_without_heading_is_read(tmp_path: Path) -> None:
    (tmp_path / "class_labels_indices.csv").write_text('0,/m/b,"Bee, wasp"\n')
    assert read_names(tmp_path) == {"/m/b": "Bee, wasp"}


def test_without_an_index_the_forty_have_names(tmp_path: Path) -> None:
    assert read_names(tmp_path)["/m/0bt9lr"] == "Dog"


def test_descendants_are_all_below_through_every_path(root: Path) -> None:
    ontology = read_ontology(root)
    assert ontology is not None
    assert ontology.descendants("/m/top") == {"/m/left", "/m/right", "/m/leaf"}
    assert ontology.descendants("/m/leaf") == frozenset()
    assert ontology.restricted == {"/m/abstract"}


def test_a_cycle_in_the_ontology_ends(root: Path) -> None:
    (root / "ontology.json").write_text(json.dumps([{"id": "a", "child_ids": ["b"]}, {"id": "b", "child_ids": ["a"]}]))
    ontology = read_ontology(root)
    assert ontology is not None
    assert ontology.descendants("a") == {"b"}


@pytest.mark.parametrize("wanted", ["top:0", "top:x", "top:²", "forty", ""])
def test_unknown_lists_are_reported_with_the_known(wanted: str, root: Path) -> None:
    with pytest.raises(UnknownName, match="data.audio.classes.*a file of classes, all, audioset40, top:K"):
        mids(root, wanted)


def test_a_class_without_a_clip_is_reported(root: Path) -> None:
    (root / "mine.txt").write_text("Cat\nCta\n")
    with pytest.raises(UnknownName, match="class in mine.txt 'Cta'.*/m/c \\(Cat\\)"):
        mids(root, str(root / "mine.txt"))


@pytest.mark.parametrize(
    ("content", "message"), [(b"\n \n", "no class in .*mine.txt"), (b"\xff\xfeC", "mine.txt unreadable")]
)
def test_a_list_without_class_or_in_other_encoding_is_reported(content: bytes, message: str, root: Path) -> None:
    (root / "mine.txt").write_bytes(content)
    with pytest.raises(BadData, match=message):
        mids(root, str(root / "mine.txt"))


def test_an_index_of_another_encoding_is_reported(tmp_path: Path) -> None:
    (tmp_path / "class_labels_indices.csv").write_bytes('0,/m/b,"Café"\n'.encode("latin-1"))
    with pytest.raises(BadData, match="class_labels_indices.csv unreadable .*UTF-8"):
        read_names(tmp_path)


@pytest.mark.parametrize("text", ["0;/m/b;Bee\n1;/m/a;Ape\n", "0,/m/b,Bee,wasp\n", "index,mid\n"])
def test_an_index_of_another_form_is_reported(text: str, tmp_path: Path) -> None:
    (tmp_path / "class_labels_indices.csv").write_text(text)
    with pytest.raises(BadData, match="class_labels_indices.csv, line 1"):
        read_names(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["{", "{}x", '[{"id": "a"}]', '["a"]', '[{"id": "a", "child_ids": "/m/b"}]', '[{"id": "a", "child_ids": [3]}]'],
)
def test_a_broken_ontology_is_reported(text: str, tmp_path: Path) -> None:
    (tmp_path / "ontology.json").write_text(text)
    with pytest.raises(BadData, match="ontology.json unreadable"):
        read_ontology(tmp_path)
