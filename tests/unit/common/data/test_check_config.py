"""What is wrong with a data configuration is said before any bag is made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.check_config import check_target, require_root
from negsift.common.data.config import DATASETS, ROOTS, DataConfig
from negsift.common.errors import BadData, BadInput, UnknownName
from tests.unit.clips import write_folder
from tests.unit.tables import as_table, random_bags, third_positive, write


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataConfig]:
    root = tmp_path_factory.mktemp("data")
    write(root / "table", as_table(random_bags(9), third_positive(9)))
    for name in ("train/bird", "train/cat", "test/bird", "test/cat"):
        (root / "images" / name).mkdir(parents=True)
    (root / "cifar10").mkdir()
    info = '{"info": {"features": {"label": {"_type": "ClassLabel", "names": ["bird", "cat"]}}}}'
    file = pa.table({"img": [b""], "label": np.zeros(1, dtype=np.int64)}).replace_schema_metadata({"huggingface": info})
    pq.write_table(file, root / "cifar10" / "train.parquet")
    write_folder(root / "audioset", 6, 2)
    clips = DataConfig("audioset", str(root / "audioset"), audio=AudioConfig(classes="all"))
    rooted = {name: DataConfig(name, str(root / name)) for name in ("table", "images", "cifar10")}
    return {
        "digits": DataConfig(),
        "audio-demo": replace(clips, name="audio-demo", root=None),
        "audioset": clips,
    } | rooted


KNOWN = {"digits": "8", "audio-demo": "rise", "table": "bird", "images": "cat", "cifar10": "cat", "audioset": "0"}


@pytest.mark.parametrize("name", DATASETS)
def test_a_target_is_looked_for_among_the_classes_of_the_data(configs: dict[str, DataConfig], name: str) -> None:
    check_target(replace(configs[name], target=KNOWN[name]))
    with pytest.raises(UnknownName, match="data.target 'zz'; expected one of "):
        check_target(replace(configs[name], target="zz"))


def test_a_dataset_of_ones_own_is_checked_when_it_is_loaded() -> None:
    config = DataConfig("stripes", target="down")
    check_target(config)
    assert config.reads("density")
    assert config.reads("target")


@pytest.mark.parametrize("name", ROOTS)
def test_data_that_another_machine_will_read_may_be_absent_here(name: str, tmp_path: Path) -> None:
    config = DataConfig(name, str(tmp_path / "elsewhere"), "zz")
    check_target(config, here=False)
    with pytest.raises(BadInput, match="elsewhere"):
        check_target(config)
    with pytest.raises(BadData, match=r"no data.root; expected .*; add data.root=FOLDER"):
        require_root(replace(config, root=None))
