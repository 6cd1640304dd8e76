"""The tables with lines of explanation and the factories have the same names."""

from collections.abc import Mapping

import numpy as np
import pytest

from negsift.common.data.catalogue import LOADERS
from negsift.common.data.config import CLIPS, DATASETS
from negsift.common.data.table.sources.kinds import OPENERS
from negsift.common.data.table.sources.source import SOURCES
from negsift.common.models.config import CLIP_MODELS, MODELS, POOLINGS, VECTOR_MODELS
from negsift.common.models.encoders import ENCODERS, VECTOR_ENCODERS
from negsift.common.models.pooling import make_pooling
from negsift.common.models.psla import CLIP_ENCODERS
from negsift.trainer.config import METRICS
from negsift.trainer.metrics import bag_metrics

PAIRS: dict[str, tuple[Mapping[str, str], Mapping[str, object]]] = {
    "datasets": (DATASETS, LOADERS), "sources": (SOURCES, OPENERS), "models of images": (MODELS, ENCODERS),
    "models of vectors": (VECTOR_MODELS, VECTOR_ENCODERS), "models of clips": (CLIP_MODELS, CLIP_ENCODERS),
    "metrics": (METRICS, bag_metrics(np.array([0.0, 1.0]), np.array([0, 1]))),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_every_name_has_a_line_and_a_factory(name: str) -> None:
    lines, factories = PAIRS[name]
    assert set(lines) == set(factories)
    assert all(lines.values())


@pytest.mark.parametrize("name", POOLINGS)
def test_every_pooling_can_be_made(name: str) -> None:
    assert make_pooling(name, 4).weights is not None


def test_datasets_of_clips_are_datasets() -> None:
    assert set(CLIPS) <= set(DATASETS)
