"""A run's model and bags of the shape of its own: random numbers, or the first row groups of its table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import torch

from negsift.common.config import AUTO
from negsift.common.data.audio.config import ClipForm
from negsift.common.data.bagset import BagSet
from negsift.common.data.config import CLIPS
from negsift.common.data.instances import Instances
from negsift.common.data.protocols import BagDataset
from negsift.common.data.table.bag_filter import BagFilter
from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.check import check_files
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, read_manifest
from negsift.common.data.table.memory_use import row_group_bytes, streaming_bytes
from negsift.common.data.table.reader import read_columns
from negsift.common.data.table.row_index import RowIndex
from negsift.common.data.table.schema import Payload
from negsift.common.data.table.sources.feature_column import feature_column
from negsift.common.data.table.writer import GROUP_MB, TableWriter
from negsift.common.errors import BadInput
from negsift.common.models.bag import BagClassifier
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.config import USUAL
from negsift.common.models.encoders import make_model, make_vector_model
from negsift.common.models.psla import make_clip_model
from negsift.deploy.plan.workload import BagForm
from negsift.deploy.run_config import RunConfig

Model = BagClassifier | ClipClassifier
_MOST_BYTES, _GROUPS = 256 << 20, 8


@dataclass(frozen=True)
class Sample:
    """A run's model and the form of its bags; `bags(n)` are n of them, or as many as there are of a table's."""

    model: Model
    form: BagForm
    bags: Callable[[int], BagDataset]


@contextmanager
def sample_of(config: RunConfig, bag_bytes: float | None, features: int | None, sample_bytes: int) -> Iterator[Sample]:
    """A sample, of some `sample_bytes`, of the bags that `config` trains on. `bag_bytes` is the decoded size of a bag,
    where the recipe leaves it open, and `features` the numbers of an instance in a table that is not there yet. Raises
    BadInput where it is not known what the bags are.
    """
    data, seed, model = config.data, config.seed, replace(config.model, weights=None)
    validated = data.val_share / (1 - data.val_share)
    if bag_bytes is not None and bag_bytes > _MOST_BYTES:
        raise BadInput(f"--bag-bytes {bag_bytes:,.0f}", f"at most {_MOST_BYTES:,}", "correct it")
    if data.name == "table" and data.root is not None:
        _require_open(bag_bytes is None and features is None, "--bag-bytes or --features with data.root")
        location = Location.of(data.root)
        yield _of_table(location, config, read_manifest(location, data.version))
    elif data.name == "table":
        _require_known(bag_bytes is not None and features is not None)
        assert bag_bytes is not None
        assert features is not None
        with TemporaryDirectory(prefix="negsift-plan-") as folder:
            location = _write_table(Path(folder) / "pool", features, _whole(bag_bytes, 2 * features), sample_bytes)
            yield _of_table(location, config, read_manifest(location), GROUP_MB << 20)
    elif data.name in CLIPS:
        _require_open(bag_bytes is None and features is None, f"--bag-bytes or --features with {config.recipe}")
        form = ClipForm(data.audio.frames, data.audio.mels, 0.0, 1.0)
        clip_bytes = 2 * form.frames * form.mels
        yield Sample(
            make_clip_model(model, form, seed), BagForm(1, clip_bytes, clip_bytes, validated), lambda n: _clips(n, form)
        )
    else:
        _require_open(features is None, f"--features with {config.recipe}")
        shape = (1 if data.name == "digits" else 3, data.image_size, data.image_size)
        size = int(np.prod(shape))
        count = data.bag_size if bag_bytes is None else _whole(bag_bytes, size)
        bag = BagForm(count, count * size, count * size, validated)
        yield Sample(make_model(model, shape, seed), bag, lambda n: _images(n, count, shape))


def _of_table(location: Location, config: RunConfig, manifest: Manifest, group_bytes: int = 0) -> Sample:
    """The first row groups of a table. With `group_bytes` the planned one's are larger than this one's."""
    payload = manifest.payload
    if payload.views:
        raise BadInput("a table of views", "bags that hold their instances", "plan with a table without views=")
    groups = [group for file in manifest.files for group in file.groups]
    rows, instances = manifest.rows, manifest.instances
    decoded = instances * payload.instance_bytes / rows
    stored = sum(group.size_bytes for group in groups) / rows
    everything = RowIndex(location, manifest, BagFilter(None), tuple(_mask(group.rows) for group in groups))
    scale = max(1.0, group_bytes * len(groups) / (rows * (decoded + 8)))
    needed = streaming_bytes(everything)
    needed += int((scale - 1) * 4 * max(row_group_bytes(payload, group) for group in groups))
    validated, used = _splits(location, manifest, config.data.val_share)
    tensor = decoded * np.dtype(payload.output_dtype).itemsize / np.dtype(payload.decoded[0]).itemsize
    form = BagForm(instances / rows, decoded, stored, validated, scale * rows / len(groups), needed, used, tensor)

    def bags(count: int) -> BagDataset:
        taken = np.cumsum([0, *(group.rows for group in groups[:-1])]) < count
        masks = (
            _mask(group.rows) if take else bytes(-(-group.rows // 8)) for group, take in zip(groups, taken, strict=True)
        )
        return TableBags(RowIndex(location, manifest, BagFilter(None), tuple(masks)))

    return Sample(_table_model(config, payload), form, bags)


def _splits(location: Location, manifest: Manifest, share: float) -> tuple[float, float]:
    """The bags to validate on for each one to train on, and the share of all that are to train on, by the splits that
    the table's first file marks and those set aside for want of a mark.
    """
    checked = check_files(location, manifest.files[:1], manifest.payload)
    marks = [mark for table in read_columns(location, checked, ["split"]) for mark in table["split"].to_pylist()]
    marked = {name: marks.count(name) / len(marks) for name in ("val", "test")}
    rest, missing = 1 - sum(marked.values()), [name for name in marked if not marked[name]]
    used = rest * (1 - share * len(missing))
    if used <= 0:
        raise BadInput(f"data.val_share={share} for each of {len(missing)} splits", "less than all bags", "lower it")
    return (marked["val"] or rest * share) / used, used


def _table_model(config: RunConfig, payload: Payload) -> Model:
    name = USUAL[payload.kind] if config.model.name == AUTO else config.model.name
    model, shape = replace(config.model, name=name, weights=None), payload.shape
    if payload.column == "features":
        return make_vector_model(model, shape[0], config.seed)
    if payload.sound:
        return make_clip_model(model, ClipForm(shape[0], shape[1], 0.0, 1.0), config.seed)
    return make_model(model, (shape[0], shape[1], shape[2]), config.seed)


def _write_table(folder: Path, width: int, instances: int, sample_bytes: int) -> Location:
    """A table of random features."""
    location, random = Location.of(folder), np.random.default_rng(0)
    bags = max(_GROUPS, sample_bytes // (2 * width * instances))
    with TableWriter(
        location, Payload("features", "float16", (width,)), group_mb=sample_bytes / _GROUPS / 2**20
    ) as writer:
        for part in np.array_split(np.arange(bags), _GROUPS):
            feats_MD = random.standard_normal((len(part) * instances, width), dtype=np.float32).astype(np.float16)
            column = feature_column(feats_MD, np.arange(len(part) + 1, dtype=np.int64) * instances)
            names = [f"bag-{number:09d}" for number in part]
            writer.add(
                pa.table(
                    {"bag_id": names, "labels": [["yes"] if not n % 100 else [] for n in part], "features": column}
                )
            )
    return location


def _images(bags: int, instances: int, shape: tuple[int, int, int]) -> BagSet:
    """Bags of random images, each in one bag."""
    count = bags * instances
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    table = Instances(np.zeros(count, dtype=np.int64), ("no", "yes"), in_memory=pixels)
    offsets, label = np.arange(bags + 1, dtype=np.int64) * instances, np.zeros(bags, dtype=np.int64)
    return BagSet(
        table, np.arange(count, dtype=np.int64), offsets, label, "sample-class1", np.arange(bags, dtype=np.int64)
    )


def _clips(count: int, form: ClipForm) -> list[torch.Tensor]:
    """Random features of clips."""
    values = np.random.default_rng(0).standard_normal((count, form.frames, form.mels), dtype=np.float32)
    return list(torch.from_numpy(values.astype(np.float16)))


def _mask(rows: int) -> bytes:
    return np.packbits(np.ones(rows, dtype=bool)).tobytes()


def _whole(bag_bytes: float, instance_bytes: int) -> int:
    """The instances of a bag of so many bytes."""
    count = round(bag_bytes / instance_bytes)
    if not count:
        found, expected = f"--bag-bytes {bag_bytes:g}", f"{instance_bytes:,} or more, the size of an instance"
        raise BadInput(found, expected, "correct --bag-bytes, or data.image_size or --features")
    return count


def _require_open(given: bool, found: str) -> None:
    if not given:
        raise BadInput(found, "sizes of bags that the recipe leaves open", "leave it out")


def _require_known(known: bool) -> None:
    if not known:
        found, expected = "a table that is not there", "data.root, or --bag-bytes with --features"
        raise BadInput(found, expected, "build a table of some of your bags and name it, or say how large bags are")
