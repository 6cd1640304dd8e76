"""A sweep has each class once, by whatever name."""

from dataclasses import replace
from pathlib import Path

import pytest

from negsift.common.data.catalogue import class_in, load_split
from negsift.common.data.config import DataConfig
from negsift.common.errors import BadInput
from negsift.common.overrides import to_dict
from negsift.deploy.recipes import digits
from negsift.deploy.sweep.run import SweepOptions, _require_room, run_sweep
from negsift.deploy.sweep.study import Study
from negsift.deploy.sweep.trial import trial_of
from negsift.deploy.sweep.tuning import Placement
from negsift.trainer.folder import RunFolder
from tests.unit.clips import HIGH, data, write_folder


@pytest.mark.parametrize("targets", [("8", "08"), ("nine", "08", "8"), ("3", "8", "0008")])
def test_two_names_of_one_class_are_refused_before_any_trial(targets: tuple[str, ...], tmp_path: Path) -> None:
    study = Study("digits", digits(), [{"data.target": targets}], 2)
    with pytest.raises(BadInput, match="found data.target=0*8 and data.target=0*8, both class 8; expected each class"):
        run_sweep(study, tmp_path / "sweep", SweepOptions(Placement(1, 0, 1)))
    assert not (tmp_path / "sweep").exists()


def test_a_class_that_the_folder_has_by_another_name_is_refused(tmp_path: Path) -> None:
    for config in (replace(digits(), data=replace(digits().data, target=target)) for target in ("8", "nine")):
        RunFolder(tmp_path / trial_of(config).name).claim(to_dict(config))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    study = Study("digits", digits(), [{"data.target": ("08",)}], 1)
    with pytest.raises(BadInput, match="found data.target=8 and data.target=08, both class 8; .* another --out"):
        run_sweep(study, tmp_path, SweepOptions(Placement(1, 0, 1)))


def test_a_target_means_the_class_that_its_bags_are_made_for() -> None:
    split = load_split(DataConfig(target="08"))
    assert [class_in(split, target) for target in ("8", "08", "0")] == [8, 8, 0]


def test_a_mid_a_name_and_a_number_of_audioset_are_one_class(tmp_path: Path) -> None:
    split = load_split(data(write_folder(tmp_path / "audioset"), HIGH))
    assert [class_in(split, target) for target in (HIGH, "High tone, beep", "0", "00", "1")] == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("cpus", "gpus", "fits"), [(1.0, 0.0, True), (2.0, -1.0, True), (3.0, 0.0, False), (1.0, 0.5, False)]
)
def test_trials_that_no_node_can_hold_are_refused_at_once(
    cpus: float, gpus: float, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("negsift.deploy.sweep.run.total_resources", lambda: {"CPU": 2.0})
    if fits:
        _require_room(Placement(cpus, gpus, 0))
        return
    with pytest.raises(BadInput, match=r"on a cluster with 2 CPU and 0 GPU; expected room for one trial"):
        _require_room(Placement(cpus, gpus, 0))
