"""Models by name, for programs that can't send a network: those of the image table, and two for features."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from common.config import from_dict, knob
from common.data.table.schema import Payload
from common.errors import BadInput, UnknownName
from common.knobs import check_knobs
from common.models.bag import BagClassifier
from common.models.encoders import MODELS, ModelConfig, make_model
from common.models.pooling import POOLINGS, make_pooling

FEATURE_MODELS = ("linear", "mlp")


@dataclass(frozen=True)
class NamedModel:
    """A bag classifier of two classes: `linear` or `mlp` for features, or an image model of `list`."""

    name: str = knob("linear", "linear, mlp, simple_cnn or resnet18")
    pooling: str = knob("mean_softmax", "aggregation of instances: see `list`")
    hidden: int = knob(64, "features of the mlp's only hidden layer", least=1)

    def __post_init__(self) -> None:
        models = (*FEATURE_MODELS, *MODELS)
        for kind, name, known in (("model", self.name, models), ("pooling", self.pooling, POOLINGS)):
            if name not in known:
                raise UnknownName(kind, name, known)
        check_knobs(self, "model")


def named_model(given: Mapping[str, object], payload: Payload) -> BagClassifier:
    """The model for bags of `payload`. Parameters: `encoder.0.weight`, `encoder.0.bias` of an mlp, and `head.weight`,
    `head.bias`; those of an image model are as `make_model` has them.

    Raises BadInput where model and payload don't go together.
    """
    config = from_dict(NamedModel, given)
    if (config.name in FEATURE_MODELS) != (payload.column == "features"):
        fitting = FEATURE_MODELS if payload.column == "features" else MODELS
        raise BadInput(f"model {config.name!r} for a pool of {payload}", f"one of {', '.join(fitting)}", "name another")
    if config.name in MODELS:
        channels, height, width = payload.shape
        return make_model(ModelConfig(config.name, config.pooling), (channels, height, width), 0)
    width = payload.shape[0]
    deep = nn.Sequential(nn.Linear(width, config.hidden), nn.ReLU())
    encoder, size = (deep, config.hidden) if config.name == "mlp" else (nn.Identity(), width)
    return BagClassifier(encoder, nn.Linear(size, 2), make_pooling(config.pooling, size))
