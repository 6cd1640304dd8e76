"""Models by name, for programs that can't send a network: those for images and for clips, and two for features."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import nn

from negsift.common.config import check_knobs, knob
from negsift.common.data.audio.config import ClipForm
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadInput, UnknownName
from negsift.common.models.bag import BagClassifier
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.config import CLIP_MODELS, MODELS, POOLINGS, ModelConfig
from negsift.common.models.encoders import make_model
from negsift.common.models.pooling import make_pooling
from negsift.common.models.psla import make_clip_model
from negsift.common.overrides import updated

FEATURE_MODELS = ("linear", "mlp")


@dataclass(frozen=True)
class NamedModel:
    """A classifier of two classes: `linear` or `mlp` for features, or a model of `list` for images or clips."""

    name: str = knob("linear", "linear, mlp, simple_cnn, resnet18, psla or small_attention")
    pooling: str = knob("mean_softmax", "aggregation of instances: see `list`")
    hidden: int = knob(64, "features of the mlp's only hidden layer", least=1)
    mean: float | None = knob(None, "of log-mel, for clips; none: PSLA's, at 16 kHz and 128 bands")
    std: float | None = knob(None, "standard deviation that goes with the mean", above=0)

    def __post_init__(self) -> None:
        models = (*FEATURE_MODELS, *MODELS, *CLIP_MODELS)
        for kind, name, known in (("model", self.name, models), ("pooling", self.pooling, POOLINGS)):
            if name not in known:
                raise UnknownName(kind, name, known)
        check_knobs(self, "model")


def named_model(given: Mapping[str, object], payload: Payload) -> BagClassifier | ClipClassifier:
    """The model for bags of `payload`. Parameters: `encoder.0.weight`, `encoder.0.bias` of an mlp, and `head.weight`,
    `head.bias`; those of an image model are as `make_model` has them, those of a model for clips as `make_clip_model`.

    Raises BadInput where model and payload don't go together, or statistics are missing.
    """
    config = updated(NamedModel(), given, "model.")
    fitting: Collection[str] = {"features": FEATURE_MODELS, "audio": CLIP_MODELS}.get(payload.column, MODELS)
    if config.name not in fitting:
        raise BadInput(f"model {config.name!r} for a pool of {payload}", f"one of {', '.join(fitting)}", "name another")
    if config.name in CLIP_MODELS:
        return make_clip_model(ModelConfig(config.name), _form(config, payload), 0)
    if config.name in MODELS:
        channels, height, width = payload.shape
        return make_model(ModelConfig(config.name, config.pooling), (channels, height, width), 0)
    width = payload.shape[0]
    deep = nn.Sequential(nn.Linear(width, config.hidden), nn.ReLU())
    encoder, size = (deep, config.hidden) if config.name == "mlp" else (nn.Identity(), width)
    return BagClassifier(encoder, nn.Linear(size, 2), make_pooling(config.pooling, size))


def _form(config: NamedModel, payload: Payload) -> ClipForm:
    """The form of clips, whose statistics belong to the model, but aren't among its weights."""
    given, (frames, mels) = (config.mean, config.std), payload.shape
    mean, std = (payload.audio.given_stats() or given) if given == (None, None) else given
    if mean is None or std is None:
        found = f"model.mean={config.mean}, model.std={config.std} for {payload}"
        raise BadInput(found, "those that the model was trained with", "name both")
    return ClipForm(frames, mels, mean, std)
