"""The model's configuration, and the models and poolings with a line each; their factories need torch."""

from dataclasses import dataclass

from negsift.common.config import check_knobs, knob
from negsift.common.errors import UnknownName

MODELS = {
    "simple_cnn": "2 convolutions and 3 linear layers, 61,326 parameters on 3x32x32",
    "resnet18": "torchvision's ResNet18 with the CIFAR stem, random weights",
}
"""Models of images; their factories are `encoders.ENCODERS`."""
VECTOR_MODELS = {
    "linear": "a linear classifier of feature vectors",
    "mlp": "feature vectors through a hidden layer of 128",
}
"""Models of feature vectors; their factories are `encoders.VECTOR_ENCODERS`."""
CLIP_MODELS = {
    "psla": "EfficientNet-B2 and four-headed attention over 33 time steps, 7,711,694 parameters",
    "small_attention": "five convolutions and the same attention, for CPUs, about 230,000 parameters",
}
"""Models of clips; their factories are `psla.CLIP_ENCODERS`."""
USUAL = {"features": "mlp", "images": "simple_cnn", "clips": "small_attention"}
"""The model of the bags of a table where `model.name` is AUTO."""
POOLINGS = {
    "mean_softmax": "mean of instance logits, then softmax",
    "softmax_mean": "softmax of every instance, then the mean",
    "softmax_max": "softmax of every instance, then the maximum of each class, renormalised",
    "attention": "gated attention over instances, then softmax",
}
"""Poolings of instance logits into bag logits; `pooling.make_pooling` makes them."""


INITS = {
    "torch": "as torch initialises each layer",
    "kaiming": "normal by fan-in (He et al., arXiv 1502.01852), biases and the head 0; images and vectors only",
}
"""How weights begin; `encoders.make_classifier` sets them."""


@dataclass(frozen=True)
class ModelConfig:
    """The bag classifier: its network, pooling and initial weights."""

    name: str = knob("simple_cnn", "network: see `negsift list models`; auto: the usual one of a table's bags")
    pooling: str = knob("mean_softmax", "pooling of instances: see `negsift list poolings`")
    init: str = knob("torch", f"how weights begin: {' or '.join(INITS)}")
    weights: str | None = knob(None, "file of initial weights, for models of clips")

    def __post_init__(self) -> None:
        check_knobs(self, "model")
        if self.pooling not in POOLINGS:
            raise UnknownName("pooling", self.pooling, POOLINGS)
        if self.init not in INITS:
            raise UnknownName("model.init", self.init, INITS)
