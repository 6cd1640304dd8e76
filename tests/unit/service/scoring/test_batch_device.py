"""Batches of any form that `collate` may make, moved to where they are scored."""

from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.data.bagset import BagBatch
from negsift.service.scoring.batch_device import to_device
from negsift.service.scoring.scoring_config import ScoringConfig
from tests.unit.toys import MeanNet, select, vectors

META = torch.device("meta")
Pair = namedtuple("Pair", ["bags", "name"])


@dataclass(frozen=True)
class Parts:
    """Bags and what isn't to be moved."""

    bags: Any
    name: str = "b"


class Padded(UserDict):  # type: ignore[type-arg]  # of anything
    """As Hugging Face's BatchEncoding, with an attribute of its own."""

    note = "n"


FORMS: dict[str, tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]] = {
    "tensor": (lambda x: x, lambda b: b),
    "bags": (lambda x: BagBatch(x, np.array([len(x)])), lambda b: b.instances),
    "tuple": (lambda x: (x, "b"), lambda b: b[0]),
    "list": (lambda x: [x, None], lambda b: b[0]),
    "named tuple": (lambda x: Pair(x, "b"), lambda b: b.bags),
    "dataclass": (Parts, lambda b: b.bags),
    "dict in a dataclass": (lambda x: Parts({"x": [x]}), lambda b: b.bags["x"][0]),
    "dict": (lambda x: {"x": x, "name": "b"}, lambda b: b["x"]),
    "ordered dict": (lambda x: OrderedDict(x=x), lambda b: b["x"]),
    "user's dict": (lambda x: Padded(x=x), lambda b: b["x"]),
    "packed": (lambda x: nn.utils.rnn.pack_sequence([x]), lambda b: b.data),
}


@pytest.mark.parametrize("form", FORMS)
def test_tensors_move_and_the_form_stays(form: str) -> None:
    make, tensor_in = FORMS[form]
    given = make(torch.zeros(3, 2))
    moved: Any = to_device(given, META, ScoringConfig())
    assert tensor_in(moved).device == META
    assert type(moved) is type(given)
    assert tensor_in(given).device.type == "cpu"


def test_a_mapping_that_cannot_be_changed_becomes_a_dict() -> None:
    moved: Any = to_device(MappingProxyType({"x": torch.zeros(2)}), META, ScoringConfig())
    assert moved["x"].device == META


def test_a_tensordict_is_a_batch() -> None:
    tensordict = pytest.importorskip("tensordict")

    class Net(MeanNet):
        def forward(self, batch: Any) -> Tensor:  # Any: a TensorDict
            return super().forward(batch["bags"])

    def collate(items: Any) -> Any:  # Any: a list of bags; a TensorDict
        return tensordict.TensorDict({"bags": torch.stack(list(items))}, batch_size=len(items))

    pool = vectors([3] * 20)
    found = select(pool, Net(), "badge", 5, collate=collate)
    np.testing.assert_array_equal(found.index, select(pool, MeanNet(), "badge", 5).index)


@pytest.mark.parametrize("form", ["named tuple", "dataclass"])
def test_a_model_takes_what_collate_makes(form: str) -> None:
    class Net(MeanNet):
        def forward(self, batch: Any) -> Tensor:  # Any: as the form is
            return super().forward(batch.bags)

    pool = vectors([3] * 20)
    found = select(pool, Net(), "badge", 5, collate=lambda items: FORMS[form][0](torch.stack(list(items))))
    np.testing.assert_array_equal(found.index, select(pool, MeanNet(), "badge", 5).index)
