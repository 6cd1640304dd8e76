"""Models and strategies sent to a service: the architecture arrives, without weights."""

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from negsift.common.arrays import Floats
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadModel
from negsift.common.models.config import ModelConfig
from negsift.common.models.embedder import as_embedder
from negsift.common.models.encoders import make_model
from negsift.common.types import Embedded, Round
from negsift.service.serving.pickling import carry_model, carry_strategy
from negsift.service.serving.unpickling import make_embedder, make_task_strategy, pack_pickle
from negsift.service.strategies import STRATEGIES
from negsift.service.strategies.base import Prepared, Strategy
from tests.cluster.serving import ROOT
from tests.unit.toys import MeanNet, vector_model

PAYLOAD = Payload("features", "float32", (6,))


@dataclass(frozen=True)
class Own(Strategy):
    """A strategy that is in no table."""

    factor: float = 2.0

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        raise NotImplementedError


@pytest.mark.parametrize("model", [vector_model(), MeanNet(), make_model(ModelConfig("resnet18"), (3, 16, 16), 0)])
def test_an_architecture_arrives_without_its_weights_and_small(model: nn.Module) -> None:
    packed = carry_model(as_embedder(model))
    arrived = make_embedder(packed, PAYLOAD).state_dict()
    assert {name: value.shape for name, value in arrived.items()} == {
        name: value.shape for name, value in model.state_dict().items()
    }
    assert not any(value.any() for value in arrived.values())
    assert len(packed) < 1 << 19
    assert any(value.any() for value in model.state_dict().values())


def test_runs_of_one_architecture_send_the_same() -> None:
    assert carry_model(vector_model(seed=1)) == carry_model(vector_model(seed=2))
    assert carry_model(vector_model()) != carry_model(vector_model("softmax_max"))


def test_arrived_models_keep_constants_and_memory_format() -> None:
    model = make_model(ModelConfig(), (3, 16, 16), 0)
    images = torch.zeros(2, 3, 3, 16, 16, dtype=torch.uint8)
    arrived = make_embedder(carry_model(model), PAYLOAD)
    arrived.load_state_dict(model.state_dict())
    torch.testing.assert_close(arrived(images), model(images), rtol=0, atol=0)
    strides = [[value.stride() for value in each.state_dict().values()] for each in (arrived, model)]
    assert strides[0] == strides[1]


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_of_the_table_travel_by_name(name: str) -> None:
    carried = carry_strategy(STRATEGIES[name]())
    assert isinstance(carried, dict)
    assert make_task_strategy(carried) == STRATEGIES[name]()


def test_code_of_the_users_own_travels_along() -> None:
    carried = carry_strategy(Own(factor=3.0))
    assert isinstance(carried, bytes)
    read = "import sys; from negsift.service.serving.unpickling import make_task_strategy as m; print(m(sys.stdin.buffer.read()).factor)"
    elsewhere = {**os.environ, "PYTHONPATH": str(ROOT)}
    hidden = "import sys; sys.modules['tests'] = None; "
    answer = subprocess.run([sys.executable, "-c", hidden + read], input=carried, env=elsewhere, capture_output=True)
    assert answer.stdout == b"3.0\n", answer.stderr


def test_a_pickle_of_missing_code_is_reported() -> None:
    with pytest.raises(BadModel, match="No module named 'nowhere'.*install that module on the cluster"):
        make_embedder(pack_pickle(b"cnowhere\nThing\n."), PAYLOAD)
