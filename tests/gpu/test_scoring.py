"""On a GPU: cheaper ways to score are the same on any number of shards, and near those of a CPU."""

from typing import Any

import numpy as np
import pytest
import torch

from negsift.common.models.copying import on_cpu
from tests.unit.common.models.test_copying import POOL, KeepsAttention
from tests.unit.service.scoring.test_scoring_config import how
from tests.unit.service.test_sampler import CASES, K
from tests.unit.toys import select

pytestmark = [
    pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
    pytest.mark.filterwarnings("ignore:TensorFloat32"),  # torch.compile advises to allow it; scores are to be float32
]  # fmt: skip
WAYS = [
    {"precision": "bfloat16"},
    {"precision": "tf32"},
    {"channels_last": True},
    {"frozen": True},
    {"resident": True},
    {"compile": True},
]


@pytest.mark.parametrize("case", ["equal", "ragged", "shared", "own network"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_shards_make_no_difference(case: str, way: dict[str, Any]) -> None:
    pool, positives, model = CASES[case]()
    one, three = (select(pool, model, "badge", K, positives=positives, shards=n, options=how(**way)) for n in (1, 3))
    np.testing.assert_array_equal(one.index, three.index)
    np.testing.assert_array_equal(one.score, three.score)


@pytest.mark.parametrize("case", ["equal", "ragged"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_scores_stay_near_the_plain_ones(case: str, way: dict[str, Any]) -> None:
    pool, _, model = CASES[case]()
    plain, cheap = (select(pool, model, "margin", 40, options=how(**given)) for given in ({}, way))
    scores = [found.score[np.argsort(found.index)] for found in (plain, cheap)]
    np.testing.assert_allclose(scores[1], scores[0], rtol=0.1, atol=0.05)


def test_a_model_on_a_gpu_travels_as_cpu_tensors() -> None:
    model = KeepsAttention().cuda()
    model(torch.stack(POOL[:4]).cuda()).sum().backward()
    sent = on_cpu(model)
    assert {value.device.type for value in (*sent.parameters(), sent.attention)} == {"cpu"}
    assert {value.device.type for value in (*model.parameters(), model.attention)} == {"cuda"}
