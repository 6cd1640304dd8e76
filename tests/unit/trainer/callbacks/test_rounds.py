"""Rounds of selection for the loops of other libraries: when they are, on which rank, and how they go on."""

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

import negsift
from negsift.common.errors import BadInput
from negsift.trainer.callbacks.rounds import SelectionRounds
from negsift.trainer.selection_inputs import state_digest
from tests.unit.toys import MeanNet
from tests.unit.trainer.callbacks.toy_loop import K, Recorder, epoch_bags, recorder


def weights_of(round: int) -> dict[str, torch.Tensor]:
    return {name: value + round / 10 for name, value in MeanNet().state_dict().items()}


def test_an_epoch_has_one_selection_however_often_it_is_asked_for() -> None:
    bags, sampler = epoch_bags(), recorder(MeanNet())
    rounds = SelectionRounds(bags, sampler)
    rounds.start(MeanNet())
    assert [rounds.at_epoch(epoch, lambda: weights_of(0)) for epoch in (0, 0, 1)] == [True, False, True]
    assert not rounds.at_step(8, lambda: weights_of(0))
    assert bags.index.tolist() == sampler.picks[1] != sampler.picks[0]
    rounds.close()
    assert not sampler.closed  # it is its maker's


def test_rounds_of_steps_begin_with_training_and_end_with_every_nth_step() -> None:
    rounds = SelectionRounds(epoch_bags(), recorder(MeanNet(), "random"), every_n_steps=3)
    rounds.start(MeanNet())
    assert [rounds.at_epoch(epoch, lambda: weights_of(0)) for epoch in (0, 1)] == [True, False]
    assert [step for step in range(1, 8) if rounds.at_step(step, lambda: weights_of(0))] == [3, 6]
    assert rounds.round == 2


@pytest.mark.parametrize("made", [False, True])
def test_a_state_goes_on_as_if_nothing_had_been(made: bool) -> None:
    whole = recorder(MeanNet())
    rounds = SelectionRounds(epoch_bags(), whole)
    rounds.start(MeanNet())
    for epoch in range(2):
        rounds.at_epoch(epoch, lambda epoch=epoch: weights_of(epoch))  # type: ignore[misc]  # a default of the loop's
    state = rounds.state_dict()
    rounds.at_epoch(2, lambda: weights_of(2))

    bags, made_of = epoch_bags(), list[Recorder]()
    again = SelectionRounds(bags, (lambda model: made_of.append(recorder(model)) or made_of[0]) if made else recorder(MeanNet()))  # type: ignore[func-returns-value]  # fmt: skip
    again.load_state_dict(state)
    again.start(MeanNet())
    assert bags.index.tolist() == whole.picks[1]
    assert not again.at_epoch(1, lambda: weights_of(7))
    again.at_epoch(2, lambda: weights_of(2))
    assert bags.index.tolist() == whole.picks[2]
    again.close()
    assert [each.closed for each in made_of] == [True] * made


def test_the_state_after_training_is_that_of_its_last_round() -> None:
    rounds = SelectionRounds(epoch_bags(), recorder)
    rounds.start(MeanNet())
    rounds.at_epoch(0, lambda: weights_of(0))
    state = rounds.state_dict()
    rounds.close()
    again = SelectionRounds(epoch_bags(), recorder)
    again.load_state_dict(state)
    for later in (rounds, again):
        assert state_digest(later.state_dict()["sampler"]) == state_digest(state["sampler"])


def test_a_round_before_training_says_what_to_do() -> None:
    rounds = SelectionRounds(epoch_bags(), recorder)
    with pytest.raises(BadInput, match="training has not started; expected a sampler; build it before training"):
        rounds.at_epoch(0, lambda: weights_of(0))
    with pytest.raises(BadInput, match="every_n_steps=0; expected 1 or more"):
        SelectionRounds(epoch_bags(), recorder, every_n_steps=0)


@pytest.mark.parametrize(
    ("name", "file", "library"),
    [
        ("LightningSelection", "lightning", "lightning.pytorch"),
        ("HuggingFaceSelection", "huggingface", "transformers"),
        ("AcceleratedSelection", "accelerate", "accelerate"),
    ],
)
def test_a_callback_without_its_library_names_the_extra(
    name: str, file: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = library.partition(".")[0]
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"negsift.trainer.callbacks.{file}", raising=False)
    with pytest.raises(ImportError, match=rf"found no {extra} for {name}; .*pip install 'negsift\[{extra}\]'"):
        getattr(negsift, name)


def rank(number: int, store: Path, end: Connection) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(str(store), 2), rank=number, world_size=2)
    bags, made = epoch_bags(), list[Recorder]()
    rounds = SelectionRounds(bags, lambda model: made.append(recorder(model, "entropy")) or made[0])  # type: ignore[func-returns-value]
    rounds.start(MeanNet())
    found = [rounds.at_epoch(epoch, lambda: weights_of(number)) and bags.index.tolist() for epoch in range(2)]
    try:
        rounds.at_epoch(2, lambda: {})
    except BadInput as error:
        end.send((len(made), found, type(error).__name__))
    dist.barrier()
    os._exit(0)  # a forked process may wait for ever for threads of its parent's


def test_rank_0_selects_and_all_ranks_have_its_negatives_and_its_errors(tmp_path: Path) -> None:
    context, ends = multiprocessing.get_context("fork"), [multiprocessing.Pipe() for _ in range(2)]
    ranks = [context.Process(target=rank, args=(each, tmp_path / "store", ends[each][1])) for each in range(2)]
    for process in ranks:
        process.start()
    answers = [here.recv() if here.poll(30) else None for here, _ in ends]
    for process in ranks:
        process.join(30)
    assert [process.exitcode for process in ranks] == [0, 0]
    (made, found, error), (others_made, others_found, others_error) = answers  # type: ignore[misc]  # both answered
    assert (made, others_made) == (1, 0)
    assert found == others_found
    assert len(set(found[0])) == K
    assert error == others_error == "BadWeights"


@pytest.mark.parametrize(
    ("bags", "sampler", "message"),
    [
        ([torch.ones(2, 3)], lambda model: None, "bags of type list; expected EpochBags"),
        (epoch_bags(), None, "a NoneType as sampler; expected a sampler, or"),
    ],
)
def test_what_rounds_cannot_use_is_refused(bags: Any, sampler: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        SelectionRounds(bags, sampler)
