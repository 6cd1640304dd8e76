"""A run on slides: coords and labels of instances go from torchmil's folders to the summary and the report."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from negsift.common.errors import BadData
from negsift.deploy.main import main
from negsift.trainer.report import write_report

SLIDES = 40


def slides(root: Path) -> None:
    """Slides of 5 x 4 patches, of which one is positive in every second slide; its feature says so."""
    random = np.random.default_rng(0)
    for number in range(SLIDES):
        label = np.zeros(20, np.int64)
        label[number % 20] = number % 2
        feats = random.normal(size=(20, 4)) + 9 * label[:, None]
        coords = 256 * np.stack(np.unravel_index(np.arange(20), (5, 4)), axis=1) + 1000
        arrays = {"features": feats.astype(np.float32), "coords": coords, "inst_labels": label[:, None], "labels": number % 2}  # fmt: skip
        for name, array in arrays.items():
            (root / name).mkdir(parents=True, exist_ok=True)
            np.save(root / name / f"slide{number:02d}.npy", np.array(array))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    slides(folder / "slides")
    assert main(["pool", "build", str(folder / "pool"), "--from", str(folder / "slides")]) == 0
    words = [
        "data.target=1",
        "data.val_share=0.25",
        "model.pooling=softmax_max",
        "training.epochs=4",
        "training.lr=0.02",
    ]
    assert main(["train", "table", f"data.root={folder / 'pool'}", *words, "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_the_most_positive_instance_of_a_slide_is_at_its_coords(run: Path) -> None:
    rows = pq.read_table(run / "places.parquet").to_pylist()
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    for row in rows:
        number = int(row["bag_id"].removeprefix("slide"))
        assert number % 2 == 1
        best = int(np.argmax(row["instance_score"]))
        assert (row["x"][best], row["y"][best]) == tuple(1000 + 256 * at for at in divmod(number % 20, 4))


def test_labels_of_instances_are_compared_with_what_the_model_says_of_them(run: Path) -> None:
    found = json.loads((run / "summary.json").read_text())["instances"]
    assert found["ap"] > 0.95
    assert found["count"] == 20 * found["bags"] > 0


def test_the_report_has_a_map_of_each_and_a_damaged_file_is_reported(run: Path) -> None:
    page = (run / "report.html").read_text()
    count = len(pq.read_table(run / "places.parquet"))
    assert page.count("the most positive of 20 instances lies at ") == 3 * count
    assert "test bags with labels of instances: AP " in page
    content = (run / "places.parquet").read_bytes()
    (run / "places.parquet").write_bytes(content[:40])
    with pytest.raises(BadData, match="places.parquet: .*expected places as a run writes them"):
        write_report(run)
    (run / "places.parquet").write_bytes(content)
