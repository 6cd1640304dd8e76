"""The model of a table's bags where none is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from negsift.common.models.config import ModelConfig
from negsift.deploy.pinned import pinned
from negsift.deploy.recipes import recipe
from negsift.deploy.run_config import RunConfig, default_folder
from negsift.trainer.folder import RunFolder
from tests.unit.clip_tables import build
from tests.unit.clips import write_folder
from tests.unit.tables import as_table, random_bags, third_positive, write


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, RunConfig]:
    write(tmp_path / "features", as_table(random_bags(9), third_positive(9)))
    build(write_folder(tmp_path / "clips", 6, 2), tmp_path / "sounds")
    base = recipe("table")
    return {
        name: replace(base, data=replace(base.data, root=str(tmp_path / name), target="0"))
        for name in ("features", "sounds")
    }


def test_features_go_through_an_mlp_and_clips_through_small_attention(
    tables: dict[str, RunConfig], tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    models = {name: pinned(config, folder).model.name for name, config in tables.items()}
    assert models == {"features": "mlp", "sounds": "small_attention"}
    first = replace(tables["sounds"], data=replace(tables["sounds"].data, version=1))
    assert pinned(first, folder).model.name == "small_attention"
    named = replace(tables["sounds"], model=ModelConfig(name="psla"))
    assert pinned(named, folder) == replace(named, data=replace(named.data, version=1))


def test_a_run_of_features_keeps_the_folder_that_it_had_when_its_model_was_named(tables: dict[str, RunConfig]) -> None:
    config = tables["features"]
    assert default_folder(config) == default_folder(replace(config, model=ModelConfig(name="mlp")))
