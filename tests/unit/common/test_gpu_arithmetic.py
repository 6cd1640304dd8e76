"""The process-wide settings of float32 products: set while a GPU is given work, shared, and restored."""

import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from negsift.common.gpu_arithmetic import AS_SET, IEEE, TF32, gpu_arithmetic, products_are_tf32

WAYS = {"ieee": IEEE, "tf32": TF32}


def settings() -> list[object]:
    cudnn = torch.backends.cudnn
    products = [torch.backends.cuda.matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision]
    return [*products, cudnn.benchmark, cudnn.deterministic]


def by_the_new_settings() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"


def by_the_old_settings() -> None:
    torch.set_float32_matmul_precision("high")


USERS: dict[str, Callable[[], None]] = {
    "nothing set": lambda: None, "new settings": by_the_new_settings, "old settings": by_the_old_settings
}  # fmt: skip


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision = "none"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("way", WAYS)
def test_within_it_is_as_asked_and_afterwards_as_the_user_has_it(user: str, way: str) -> None:
    USERS[user]()
    before = settings()
    with gpu_arithmetic(WAYS[way]):
        assert settings() == [way, way, way, False, True]
        assert products_are_tf32() == (way == "tf32")
    assert settings() == before
    with gpu_arithmetic(AS_SET):
        assert settings() == before
    assert products_are_tf32() == (user != "nothing set")


def test_after_an_error_too() -> None:
    before = settings()
    with pytest.raises(ZeroDivisionError), gpu_arithmetic(TF32):
        raise ZeroDivisionError
    assert settings() == before


def test_threads_of_one_way_share_it_and_another_way_waits_for_them() -> None:
    inside, found, leave = threading.Barrier(3), [], threading.Event()

    def share() -> None:
        with gpu_arithmetic(IEEE):
            inside.wait(10)
            leave.wait(10)
            found.append(torch.backends.cudnn.conv.fp32_precision)

    def other() -> None:
        with gpu_arithmetic(AS_SET):
            found.append(torch.backends.cudnn.conv.fp32_precision)

    sharing = [threading.Thread(target=share) for _ in range(2)]
    for thread in sharing:
        thread.start()
    inside.wait(10)  # both are inside at once
    waiting = threading.Thread(target=other)
    waiting.start()
    assert found == []
    leave.set()
    for thread in (*sharing, waiting):
        thread.join(10)
    assert found == ["ieee", "ieee", "tf32"]
