"""Models by name, for programs that can't send a network to the service: for images, for clips and for features."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import nn

from negsift.common.config import check_knobs, knob
from negsift.common.data.audio.config import ClipForm
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadInput, UnknownName
from negsift.common.models.bag import BagClassifier
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.config import CLIP_MODELS, MODELS, POOLINGS, VECTOR_MODELS, ModelConfig
from negsift.common.models.encoders import linear, make_model, mlp
from negsift.common.models.pooling import make_pooling
from negsift.common.models.psla import make_clip_model
from negsift.common.overrides import updated


@dataclass(frozen=True)
class NamedModel:
    """A classifier of two classes: `linear` or `mlp` for features, or an image or clip model that `list` shows."""

    name: str = knob("linear", "linear, mlp, simple_cnn, resnet18, psla or small_attention")
    pooling: str = knob("mean_softmax", "aggregation of instances: see `list`")
    hidden: int = knob(64, "width of the mlp's hidden layer", least=1)
    mean: float | None = knob(None, "mean of the clips' log-mel; none: PSLA's, at 16 kHz and 128 bands")
    std: float | None = knob(None, "standard deviation of the clips' log-mel", above=0)

    def __post_init__(self) -> None:
        models = (*VECTOR_MODELS, *MODELS, *CLIP_MODELS)
        for kind, name, known in (("model", self.name, models), ("pooling", self.pooling, POOLINGS)):
            if name not in known:
                raise UnknownName(kind, name, known)
        check_knobs(self, "model")


def named_model(values: Mapping[str, object], payload: Payload) -> BagClassifier | ClipClassifier:
    """The model that `values`, the fields of a NamedModel, describe, for bags of `payload`.

    Parameters of a feature model are `head.weight` and `head.bias`, and for an mlp `encoder.0.weight` and
    `encoder.0.bias`. Image models have those of `make_model`, clip models those of `make_clip_model`. Raises
    BadInput for a model that does not fit the payload and for missing statistics, UnknownName.
    """
    config = updated(NamedModel(), values, "model.")
    fitting: Collection[str] = {"features": VECTOR_MODELS, "audio": CLIP_MODELS}.get(payload.column, MODELS)
    if config.name not in fitting:
        raise BadInput(f"model {config.name!r} for a pool of {payload}", f"one of {', '.join(fitting)}", "name another")
    if config.name in CLIP_MODELS:
        return make_clip_model(ModelConfig(config.name), _form(config, payload), 0)
    if config.name in MODELS:
        channels, height, width = payload.shape
        return make_model(ModelConfig(config.name, config.pooling), (channels, height, width), 0)
    (width,) = payload.shape
    encoder, size = mlp(width, config.hidden) if config.name == "mlp" else linear(width)
    return BagClassifier(encoder, nn.Linear(size, 2), make_pooling(config.pooling, size))


def _form(config: NamedModel, payload: Payload) -> ClipForm:
    """The form of the clips, with the statistics that belong to the model but are not among its weights."""
    stated, (frames, mels) = (config.mean, config.std), payload.shape
    mean, std = (payload.audio.given_stats() or stated) if stated == (None, None) else stated
    if mean is None or std is None:
        found = f"model.mean={config.mean}, model.std={config.std} for {payload}"
        raise BadInput(found, "the statistics that the model was trained with", "give both")
    return ClipForm(frames, mels, mean, std)
