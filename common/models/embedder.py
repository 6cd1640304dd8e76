"""From what users give as their model to an embedder: one of our classifiers, or their module, adapted."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from negsift.common.errors import BadInput, BadModel, UnknownName
from negsift.common.generators import generators_kept
from negsift.common.models.adapt import AdaptedModule
from negsift.common.models.bag import BagClassifier
from negsift.common.models.calling import require_one_argument
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.copying import independent_copy, require_module, unwrapped
from negsift.common.models.outputs import OUTPUTS

Embedder = BagClassifier | ClipClassifier | AdaptedModule


@dataclass(frozen=True)
class ModelFactory:
    """Makes the models that score, by a user's function; the other fields are the arguments of `as_embedder`."""

    make: Callable[[], nn.Module]
    head: str | None = None
    outputs: str | None = None
    collated: bool = False

    def __call__(self) -> Embedder:
        """A new model; the global random generators are left as they were."""
        with generators_kept():
            model = self.make()
        return _embedder(unwrapped(require_module(model)), self.head, self.outputs, self.collated)


def resolve_model(
    model: nn.Module | Callable[[], nn.Module], head: str | None, outputs: str | None, collated: bool
) -> tuple[Embedder, Embedder | ModelFactory]:
    """A model to look at, and what shards are made from: that model, or a function given in its place, as a factory.

    The other arguments and the errors are those of `as_embedder`.
    """
    if isinstance(model, (nn.Module, type)) or not callable(model):
        embedder = as_embedder(model, head, outputs, collated)
        return embedder, embedder
    factory = ModelFactory(model, head, outputs, collated)
    return factory(), factory


def as_embedder(model: object, head: str | None = None, outputs: str | None = None, collated: bool = False) -> Embedder:
    """`model` itself if it is one of our classifiers, or else a wrapped copy; see AdaptedModule for `head`, `outputs`.

    `collated` says that batches are made by a user's function. Raises BadModel for a model that can't be used, and
    BadInput for `outputs` that aren't the model's.
    """
    own = unwrapped(require_module(model))
    is_ours = isinstance(own, (BagClassifier, ClipClassifier))
    return _embedder(own if is_ours else independent_copy(own), head, outputs, collated)


def _embedder(model: nn.Module, head: str | None, outputs: str | None, collated: bool) -> Embedder:
    if outputs is not None and outputs not in OUTPUTS:
        raise UnknownName("outputs", str(outputs), OUTPUTS)
    if not isinstance(model, (BagClassifier, ClipClassifier)):
        if not collated:  # else a batch may name the arguments
            require_one_argument(model)
        return AdaptedModule(model, head, outputs)
    name, base = type(model).__name__, BagClassifier if isinstance(model, BagClassifier) else ClipClassifier
    if type(model).forward is not base.forward and type(model).embed is base.embed:  # scoring calls embed alone
        raise BadModel(f"{name} with a forward of its own", "an embed to go with it", "override embed and encode, too")
    if head is not None:
        raise BadInput(f"head={head!r} with a {name}", "its own head", "leave head alone")
    if outputs == "probability":
        raise BadInput(f"outputs='probability' with a {name}", "its logits", "leave outputs alone")
    return model


def logit_columns(model: Embedder) -> int | None:
    """The number of a model's logit columns; None where only a forward pass can tell."""
    if isinstance(model, AdaptedModule):
        return model.columns
    return max(2, model.head.out_features if isinstance(model, BagClassifier) else model.head.classes)
