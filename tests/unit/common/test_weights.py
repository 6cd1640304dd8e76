"""Snapshots of weights: copies, named by content, checked against the model."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DeviceMesh, Shard, distribute_tensor

from negsift.common.errors import BadWeights
from negsift.common.types import Snapshot
from negsift.common.weights import load_snapshot, take_snapshot


def net() -> nn.Module:
    """Weights, buffers and an integer counter."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def changed(**entries: Any) -> dict[str, Tensor]:  # Any: tensors by "0_weight" for 0.weight
    return net().state_dict() | {name.replace("_", ".", 1): value for name, value in entries.items()}


def test_snapshot_is_not_reached_by_later_training() -> None:
    model = net()
    snapshot = take_snapshot(model.state_dict(), version=3)
    before = snapshot.weights["0.weight"].copy()
    with torch.no_grad():
        model[0].weight.add_(1.0)  # type: ignore[index, operator]  # a Sequential
    np.testing.assert_array_equal(snapshot.weights["0.weight"], before)


def test_snapshot_of_arrays_is_a_copy_too() -> None:
    array = np.ones(3)
    snapshot = take_snapshot({"a": array}, version=0)
    array[:] = 2.0
    assert snapshot.weights["a"].tolist() == [1.0, 1.0, 1.0]


def test_loaded_weights_are_those_taken() -> None:
    source, target = net(), nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    load_snapshot(target, take_snapshot(source.state_dict(), version=0))
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in source.state_dict().items())


def test_loading_does_not_alias_the_arrays() -> None:
    model, snapshot = net(), take_snapshot(net().state_dict(), version=0)
    for array in snapshot.weights.values():
        array.flags.writeable = False
    load_snapshot(model, snapshot)
    with torch.no_grad():
        model[0].weight.fill_(7.0)  # type: ignore[index, operator]  # a Sequential
    assert 7.0 not in snapshot.weights["0.weight"]


def test_digest_depends_on_content_only() -> None:
    weights = net().state_dict()
    arrays = {name: value.numpy() for name, value in weights.items()}
    reference = take_snapshot(weights, version=0).digest
    assert {take_snapshot(given, version).digest for given in (weights, arrays) for version in (0, 5)} == {reference}


@pytest.mark.parametrize(
    "entries",
    [
        {"0_bias": torch.ones(4)},
        {"0_bias": torch.full((4,), 1e-9)},
        {"0_bias": torch.zeros(4, dtype=torch.float64)},
        {"0_bias": torch.zeros(2, 2)},
        {"1_num_batches_tracked": torch.tensor(1)},
        {"3_bias": torch.zeros(4)},
    ],
    ids=["values", "tiny values", "type", "shape", "counter", "name"],
)
def test_digest_differs_for_other_content(entries: dict[str, Tensor]) -> None:
    plain = changed(**{"0_bias": torch.zeros(4)})
    assert take_snapshot(plain, 0).digest != take_snapshot(plain | changed(**entries), 0).digest


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_named_and_counted(value: float) -> None:
    bias = torch.tensor([0.0, value, 0.0, value])
    with pytest.raises(
        BadWeights, match=r"2 of 4 values of '0\.bias' not finite; expected finite weights; training diverged"
    ):
        take_snapshot(changed(**{"0_bias": bias}), version=0)


def test_integers_need_not_be_finite_floats() -> None:
    assert take_snapshot({"count": torch.tensor(2**62)}, version=0).weights["count"] == 2**62


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.bfloat16])
def test_values_of_every_precision_come_back(dtype: torch.dtype) -> None:
    source, target = net().to(dtype), net().to(dtype)
    source[0].weight.data.mul_(-3.0)  # type: ignore[index, operator, union-attr]  # a Sequential
    load_snapshot(target, take_snapshot(source.state_dict(), version=0))
    assert torch.equal(target[0].weight, source[0].weight)  # type: ignore[index, arg-type]  # the same
    assert target[0].weight.dtype == dtype  # type: ignore[index, union-attr]  # the same


def load(weights: dict[str, Tensor]) -> Snapshot:
    snapshot = take_snapshot(weights, version=0)
    load_snapshot(net(), snapshot)
    return snapshot


def test_missing_entry_is_named() -> None:
    weights = changed()
    del weights["2.bias"]
    with pytest.raises(BadWeights, match=r"no weights '2\.bias'; expected shape \(2,\); publish the state_dict"):
        load(weights)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_names_of_torchs_wrappers_make_no_difference(wrapper: str) -> None:
    long = {f"{wrapper}{name}": value for name, value in changed().items()}
    renamed = load(long)  # into the module inside
    assert list(load_snapshot(net(), renamed).weights) == list(changed())
    outer = nn.Module()
    outer.add_module("module", net())
    assert list(load_snapshot(outer, renamed).weights) == [f"module.{name}" for name in changed()]


def test_a_part_called_module_is_no_wrapper() -> None:
    both = nn.ModuleDict({"module": nn.Linear(3, 2), "other": nn.Linear(3, 2)})
    swapped = {
        name.replace("module.", "") if "module" in name else name: value for name, value in both.state_dict().items()
    }
    assert set(load_snapshot(both, take_snapshot(swapped, 0)).weights) == set(both.state_dict())


def test_weights_of_a_larger_model_are_recognised() -> None:
    with pytest.raises(
        BadWeights, match=r"weights 'net\.0\.weight'; expected '0\.weight'.*of model\.net, a part of this"
    ):
        load({f"net.{name}": value for name, value in changed().items()})


def test_entry_too_many_is_named() -> None:
    with pytest.raises(BadWeights, match=r"weights '3\.bias' of shape \(4,\); expected no such entry"):
        load(changed(**{"3_bias": torch.zeros(4)}))


def test_entry_of_another_shape_is_named() -> None:
    with pytest.raises(BadWeights, match=r"weights '0\.weight' of shape \(4, 5\); expected shape \(4, 3\)"):
        load(changed(**{"0_weight": torch.zeros(4, 5)}))


def test_of_several_misfits_always_the_same_is_named() -> None:
    other = nn.Sequential(nn.Linear(9, 9), nn.BatchNorm1d(9), nn.Linear(9, 9)).state_dict()
    with pytest.raises(BadWeights, match=r"weights '0\.weight'"):
        load(other)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool])
def test_numbers_that_loading_would_change_are_named(dtype: torch.dtype) -> None:
    with pytest.raises(BadWeights, match=r"found (complex|bool) weights '0\.weight'; expected real ones"):
        load({**changed(), "0.weight": torch.ones(4, 3, dtype=dtype)})


def test_arrays_of_another_byte_order_are_the_same_weights() -> None:
    swapped = {name: value.numpy().astype(value.numpy().dtype.newbyteorder(">")) for name, value in changed().items()}
    assert take_snapshot(swapped, 0).digest == take_snapshot(changed(), 0).digest


NOT_NUMBERS: dict[str, tuple[Any, str]] = {  # Any: entries of a state dict
    "meta": (torch.zeros(2, device="meta"), "on the meta device"),
    "sparse": (torch.eye(2).to_sparse(), r"of layout torch\.sparse_coo.*use to_dense\(\)"),
    "quantized": (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), r"of torch\.qint8"),
    "float8": (torch.ones(2).to(torch.float8_e4m3fn), r"of torch\.float8_e4m3fn.*float32 or bfloat16"),
    "lazy": (nn.UninitializedParameter(), "of a lazy layer, which have no shape yet.*run the model"),
    "dicts": ({"step": 3}, "of type dict"),
    "objects": (np.array([None]), "of type ndarray"),
    "text": ("abc", "of type str"),
}


@pytest.mark.parametrize("name", NOT_NUMBERS)
def test_entries_that_are_no_dense_numbers_are_named(name: str) -> None:
    entry, message = NOT_NUMBERS[name]
    with pytest.raises(BadWeights, match=rf"weights '0\.bias' {message}"):
        take_snapshot({**changed(), "0.bias": entry}, version=0)


class Sharded(Tensor):
    """A DTensor outside of its process group."""

    def full_tensor(self) -> Tensor:
        raise RuntimeError("no process group")


def test_a_dtensor_without_a_process_group_is_refused() -> None:
    with pytest.raises(BadWeights, match=r"sharded over processes \(a DTensor\).*gather them with full_tensor\(\)"):
        take_snapshot(changed(**{"0_bias": torch.zeros(4).as_subclass(Sharded)}), version=0)


@pytest.fixture
def process_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_dtensors_are_gathered() -> None:
    plain = {"weight": torch.arange(6.0).view(2, 3)}
    mesh = DeviceMesh("cpu", [0])
    sharded = {name: distribute_tensor(value, mesh, [Shard(0)]) for name, value in plain.items()}
    assert take_snapshot(sharded, 0).digest == take_snapshot(plain, 0).digest


def test_weights_of_a_part_are_recognised() -> None:
    larger = torch.nn.ModuleDict({"net": net()})
    with pytest.raises(BadWeights, match=r"no weights 'net\.0\.weight'.*or give the sampler that part"):
        load_snapshot(larger, take_snapshot(changed(), 0))


class WithState(nn.Linear):
    """A layer with extra state of any kind."""

    def __init__(self, state: object = None) -> None:
        super().__init__(2, 2)
        self.state = state

    def get_extra_state(self) -> object:
        return self.state

    def set_extra_state(self, state: object) -> None:
        self.state = state


@pytest.mark.parametrize(
    "state", [{"step": 3, "seen": [torch.ones(2)]}, None, "text", torch.arange(3), np.ones(2), (1, 2.0), b"bytes"]
)
def test_extra_state_of_any_kind_comes_back(state: object) -> None:
    source, target = nn.Sequential(WithState(state)), nn.Sequential(WithState(torch.zeros(9)))
    load_snapshot(target, take_snapshot(source.state_dict(), 0))
    assert repr(target[0].state) == repr(state)


def test_the_digest_depends_on_extra_state() -> None:
    layer = WithState({"step": 3})
    before = take_snapshot(layer.state_dict(), 0).digest
    assert take_snapshot(layer.state_dict(), 1).digest == before
    layer.state = {"step": 4}
    assert take_snapshot(layer.state_dict(), 0).digest != before


def test_extra_state_that_cannot_travel_is_named() -> None:
    with pytest.raises(BadWeights, match=r"extra state '_extra_state' that can't be pickled.*leave locks"):
        take_snapshot(WithState(threading.Lock()).state_dict(), 0)
