"""Recorded selections made again: the same whatever the shards, and told apart from what was changed."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from negsift.common.errors import BadInput, Interrupted
from negsift.common.overrides import override
from negsift.deploy.main import main
from negsift.deploy.recipes import recipe
from negsift.deploy.replay import replay
from negsift.deploy.run import Runner
from negsift.deploy.run_config import RunConfig
from negsift.trainer.folder import RunFolder
from negsift.trainer.kept_weights import needed_epochs
from negsift.trainer.selection_file import read_selection_file
from tests.unit.tables import as_table, random_bags, third_positive, write
from tests.unit.trainer.test_loggers import Notes

EPOCHS = 3
POLICIES = {
    "random": "strategy.name=random",
    "full": "strategy.name=full sampling.every=2",
    "entropy": "strategy.name=entropy sampling.every=2",
    "badge, stale": "strategy.name=badge sampling.staleness=1",
    "kl_prob": "strategy.name=kl_prob sampling.random_rounds=0",
    "kl_embedding, stale": "strategy.name=kl_embedding sampling.staleness=2",
    "svm_margin, candidates": "strategy.name=svm_margin sampling.candidates=100",
    "margin, rescore": "strategy.name=margin sampling.rescore=64",
    "gradient_embedding, rescore, stale": (
        "strategy.name=gradient_embedding sampling.rescore=64 sampling.staleness=2 sampling.random_rounds=0"
    ),
    "margin, guards, stale": (
        "strategy.name=margin sampling.guard.skip=0.02 sampling.guard.window=2 sampling.guard.rest=2 sampling.staleness=2"
    ),
    "ht_gumbel, positives": "strategy.name=ht_gumbel sampling.guard.positives=0.9",
    "cluster_margin, bfloat16": "strategy.name=cluster_margin strategy.keep=3 fleet.scoring.precision=bfloat16",
}


def configured(name: str, *settings: str) -> RunConfig:
    quick = (
        f"training.epochs={EPOCHS}",
        "training.keep_weights=all",
        "fleet.block=16",
        "fleet.shards=2",
        "data.bag_size=5",
    )
    quick += ("data.image_size=16", "data.bag_size=4") if name == "digits" else ()
    return override(recipe(name), [*quick, *settings])


def train(folder: Path, name: str, *settings: str) -> Path:
    with Runner() as runner:
        runner.run(configured(name, *settings), folder)
    return folder


def lines(folder: Path, epoch: int | None = None, shards: int | None = None) -> list[tuple[bool, str]]:
    return [(verdict.same, verdict.line) for verdict in replay(folder, epoch, "local", shards)]


def digits(folder: Path, settings: str) -> Path:
    return train(folder, "digits", *settings.split())


def photos(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("bird", "cat"):
        (folder / name).mkdir(parents=True)
        for number in range(60):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits(tmp_path_factory.mktemp("run") / "run", "strategy.name=entropy sampling.every=2")


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


@pytest.mark.parametrize("settings", POLICIES.values(), ids=POLICIES)
def test_selections_of_any_policy_are_the_same_on_other_shards(settings: str, tmp_path: Path) -> None:
    folder = digits(tmp_path / "run", settings)
    made = [f"epoch {epoch}" for epoch in range(0, EPOCHS, 2 if "every" in settings else 1)]
    for shards in (1, 5):
        verdicts = lines(folder, shards=shards)
        assert [line.partition(":")[0] for _, line in verdicts] == made
        assert all(same and "the same bit for bit" in line for same, line in verdicts), verdicts


def test_selections_of_a_folder_of_images_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "cache"))
    root = f"data.root={photos(tmp_path / 'photos')}"
    words = ("data.target=bird", "data.image_size=16", "data.bag_size=2", "sampling.ratio=4", "strategy.name=badge")
    folder = train(tmp_path / "run", "images", root, *words)
    assert all(same for same, _ in lines(folder, shards=3))
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "cat" / "7.png")
    assert all("differs: pool " in line and "; positives " in line for _, line in lines(folder))


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag table, and beside it a run on its first version; by then it has a second."""
    table, where = as_table(random_bags(200), third_positive(200)), tmp_path_factory.mktemp("bags")
    write(where / "table", table)
    words = (f"data.root={where / 'table'}", "data.target=bird", "data.val_share=0.2", "sampling.ratio=2")
    train(where / "run", "table", *words, "strategy.name=kl_prob", "sampling.rescore=32")
    write(where / "table", as_table(random_bags(100, 1), third_positive(100), first=200), append=True)
    return where


def test_selections_of_a_table_are_those_of_the_version_that_the_run_began_with(bags: Path) -> None:
    assert all(same for same, _ in lines(bags / "run", shards=3))


def test_a_version_that_is_gone_or_another_is_told(bags: Path, tmp_path: Path) -> None:
    first, second = (bags / "table" / f"manifest-00000{version}.json" for version in (1, 2))
    kept = first.rename(tmp_path / "kept")
    with pytest.raises(BadInput, match="no version 1 of .*table; expected one of 2 to 2"):
        lines(bags / "run")
    first.write_text(second.read_text().replace('"version": 2', '"version": 1'))
    assert all("differs: pool" in line for _, line in lines(bags / "run"))
    kept.rename(first)


def one_weight(state: dict[str, Any]) -> None:
    """Changes a weight by one bit."""
    next(iter(state["weights"].values())).view(torch.int32).view(-1)[0] ^= 1


def last_pick(state: dict[str, Any]) -> None:
    """Another last selection."""
    state["asked"]["previous"][0] ^= 1


def a_part(state: dict[str, Any]) -> None:
    del state["asked"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (one_weight, r"epoch 2: differs: weights [0-9a-f]{12}…, not the recorded [0-9a-f]{12}…"),
        (last_pick, r"epoch 2: differs: state [0-9a-f]{12}…, not the recorded [0-9a-f]{12}…"),
        (a_part, r"epoch 2: differs: .*weights/epoch=0002.pt unreadable \(KeyError\('asked'\)\)"),
        (lambda state: state["weights"].clear(), "epoch 2: differs: weights [0-9a-f]{12}…, not .*"),
    ],
)
def test_what_was_kept_and_changed_is_named(change: Callable[[dict[str, Any]], object], says: str, copy: Path) -> None:
    path = copy / "weights" / "epoch=0002.pt"
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    (_, first), (same, second) = lines(copy)
    assert "epoch 0: the same" in first
    assert not same
    assert re.fullmatch(says, second), second


@pytest.mark.parametrize("name", ["weights/epoch=0002.pt", "selections/epoch=0002.parquet"])
def test_one_bit_anywhere_in_a_file_is_noticed_or_means_nothing(name: str, copy: Path) -> None:
    before, random = (copy / name).read_bytes(), np.random.default_rng(0)
    for place in random.integers(0, len(before), 12):
        damaged = bytearray(before)
        damaged[place] ^= 1 << int(random.integers(8))
        (copy / name).write_bytes(damaged)
        ((same, line),) = lines(copy, 2)
        assert same or ("weights" in line if "weights" in name else "selections" in line), line


def test_another_score_in_a_selection_is_noticed(copy: Path) -> None:
    path = copy / "selections" / "epoch=0002.parquet"
    table = pq.read_table(path)
    score = table["score"].to_numpy().copy()
    score[3] = np.nextafter(score[3], 1)
    pq.write_table(table.set_column(2, "score", pa.array(score)), path)
    ((same, line),) = lines(copy, 2)
    assert not same
    assert line.endswith("epoch=0002.parquet damaged (its content does not fit its seal)")


def test_settings_that_were_changed_are_named_with_both_values(copy: Path) -> None:
    config = RunFolder(copy).config
    assert config is not None
    config["strategy"]["name"], config["seed"] = "margin", 7
    RunFolder(copy).write_json("config.json", config)
    assert lines(copy, 0) == [
        (False, "epoch 0: differs: strategy.name margin, not the recorded entropy; seed 7, not the recorded 0")
    ]


def test_an_epoch_that_repeats_a_selection_names_the_one_that_made_it(run: Path) -> None:
    ((same, line),) = lines(run, 1)
    assert same
    assert line.startswith("epoch 1, which repeats epoch 0: the same bit for bit: ")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("RUN --epoch 2 --shards 3", 0, "epoch 2: the same bit for bit: .* negatives by entropy, weights of epoch 2"),
        ("RUN --epoch 3", 2, "found no selection of epoch 3 in .*; expected an epoch from 0 to 2"),
        ("RUN --epoch -1", 2, "found no selection of epoch -1"),
        ("RUN --epoch two", 2, "invalid int value"),
        ("RUN --shards 0", 2, "found fleet.shards=0; expected 1 or more"),
        ("RUN --fleet slurm", 2, "invalid choice: 'slurm'"),
        ("RUN/nowhere", 2, "found no run in .*nowhere"),
        ("", 2, "arguments"),
    ],
)
def test_the_command_says_it_in_one_line(
    words: str, code: int, says: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *words.replace("RUN", str(run)).split()]) == code
    said = capsys.readouterr()
    assert re.search(says, said.err if code == 2 else said.out.splitlines()[-1])


def test_weights_that_are_not_kept_are_told_with_the_epochs_whose_are(copy: Path) -> None:
    (copy / "weights" / "epoch=0000.pt").unlink()
    with pytest.raises(
        BadInput, match=r"no weights kept of the selection made for epoch 0; expected one of epochs \[2\]"
    ):
        lines(copy, 1)
    assert main(["replay", str(copy)]) == 0
    (copy / "weights" / "epoch=0002.pt").unlink()
    with pytest.raises(BadInput, match="no weights kept in .*copy"):
        lines(copy)


def test_a_difference_is_exit_code_1(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "weights" / "epoch=0000.pt").write_bytes(b"")
    assert main(["replay", str(copy)]) == 1
    assert re.search(
        r"epoch 0: differs: .*weights/epoch=0000.pt unreadable .*\nepoch 2: the same", capsys.readouterr().out
    )


def test_a_selection_without_a_record_is_an_error(copy: Path) -> None:
    path = copy / "selections" / "epoch=0000.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    with pytest.raises(BadInput, match="a selection of epoch 0 without a record"):
        lines(copy, 0)


@pytest.mark.parametrize(
    ("keep", "fresh", "best", "needed"),
    [
        ("last", [1, 1, 1], 0, {2}), ("best", [1, 1, 1], 0, {0, 2}), ("best", [1, 1, 1], 2, {2}),
        ("all", [1, 1, 1], 0, {0, 1, 2}), ("last", [1, 0, 0], 2, {0}), ("best", [1, 0, 1, 0], 1, {0, 2}),
        ("all", [1, 0, 1, 0], 1, {0, 2}),
    ],
)  # fmt: skip
def test_weights_are_kept_of_the_selections_that_are_asked_for(
    keep: str, fresh: list[int], best: int, needed: set[int]
) -> None:
    history = [{"epoch": epoch, "fresh": bool(made)} for epoch, made in enumerate(fresh)]
    assert needed_epochs(keep, history, best) == needed


def test_a_run_keeps_the_last_weights_and_other_ones_may_be_kept_when_it_is_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Runner() as runner, pytest.raises(Interrupted):
        runner.run(configured("digits", "training.keep_weights=last"), folder, (Notes(interrupted_at=1),))
    assert RunFolder(folder).inputs_of == [1]
    with Runner() as runner:
        runner.run(configured("digits", "training.keep_weights=all"), folder)
    assert RunFolder(folder).inputs_of == [1, 2]


BOTH_SIDES = (
    "sampling.positives=20 training.budget=260 training.schedule=linear training.warmup=0.1 training.stratified=true "
    "training.bag_loss=0.5 training.instance_loss.positive=1 augment.flip=true model.init=kaiming"
)


CHOSEN = "sampling.positives=20 sampling.positives_by=ht_gumbel training.prior=balanced sampling.random_rounds=0"
GUARDS = "sampling.guard.rest=2 sampling.guard.positives=0.9 sampling.staleness=1 sampling.random_rounds=0"
OFFSET = "strategy.name=ht_gumbel training.correction=offset sampling.candidates=64 sampling.random_rounds=0"
MEMORY = "strategy.name=ht_gumbel sampling.score=memory training.optimiser=muon model.pooling=attention"


@pytest.mark.parametrize(
    "settings",
    ["sampling.every=2", "sampling.rescore=64 sampling.staleness=2", BOTH_SIDES, CHOSEN, GUARDS, OFFSET, MEMORY],
)
def test_a_run_that_was_stopped_and_resumed_has_the_same_files(settings: str, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    words = ("strategy.name=kl_prob", *settings.split())
    train(whole, "digits", *words)
    with Runner() as runner, pytest.raises(Interrupted):
        runner.run(configured("digits", *words), stopped, (Notes(interrupted_at=0),))
    train(stopped, "digits", *words)
    files = [path.relative_to(whole) for part in ("selections", "weights") for path in (whole / part).iterdir()]
    assert [name for name in files if (stopped / name).read_bytes() != (whole / name).read_bytes()] == []


def test_a_record_says_what_made_the_selection(run: Path) -> None:
    made = read_selection_file(run / "selections" / "epoch=0001.parquet").made
    assert {"pool", "positives", "weights", "state"} < made.keys()
    assert (made["epoch"], made["version"], made["k"], made["target"], made["seed"]) == (0, 0, 17, "8", 0)
    assert made["policy"]["every"] == 2


def test_a_selection_in_the_place_of_another_or_of_none_differs(tmp_path: Path) -> None:
    folder = digits(tmp_path, "strategy.name=entropy")
    places = [folder / f"selections/epoch=000{epoch}.parquet" for epoch in range(EPOCHS)]
    shutil.copy(places[2], places[1])
    assert [(same, "made for epoch 2 in the file of epoch 1" in line) for same, line in lines(folder)][1] == (
        False,
        True,
    )
    places[1].unlink()
    assert [same for same, _ in lines(folder)] == [True, False, True]
    for place in (places[0], places[2]):
        place.unlink()
    with pytest.raises(BadInput, match="no selections in"):
        lines(folder)
