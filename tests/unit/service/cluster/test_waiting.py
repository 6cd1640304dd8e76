"""What is said of scorers that are not there yet."""

import pytest

from negsift.service.cluster import waiting
from negsift.service.cluster.waiting import scorers_waiting, waiting_text


@pytest.mark.parametrize(
    ("unplaced", "unused", "said"),
    [
        (0, [{"CPU": 4.0}], ""),
        (1, [{"CPU": 3.0}], "1 scorer starting, with room for all; their processes are not up yet"),
        (3, [{"CPU": 1.0}, {"CPU": 1.0}], "3 scorers wait for 1 CPU each; nothing is free"),
        (1, [{"CPU": 0.5}, {"CPU": 0.5}], "1 scorer waits for 1 CPU; nothing is free"),
    ],
)
def test_scorers_that_have_room_are_starting_and_others_wait(
    unplaced: int, unused: list[dict[str, float]], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "unplaced", lambda names: unplaced)
    monkeypatch.setattr(waiting, "unused_by_node", lambda: unused)
    monkeypatch.setattr(waiting, "describe_room", lambda group: "nothing is free")
    assert scorers_waiting("scorer-.*", (1.0, 0.0)) == said


def test_workers_are_counted_as_scorers_are() -> None:
    assert waiting_text(2, "trainer worker", (1.0, 0.5), "x") == "2 trainer workers wait for 1 CPU and 0.5 GPU each; x"
