"""How large each step of the GPU benchmark is, on a GPU and with `--pretend` on a CPU."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Bags of each pool, points, and how often something is timed."""

    images: int = 40_000
    resnet_images: int = 8_000
    features: int = 400_000
    clips: int = 1_500
    blocks: tuple[int | str, ...] = (64, "auto", 4096)
    precisions: tuple[str, ...] = ("float32", "tf32", "bfloat16")
    k: int = 1_000
    times: int = 3
    points: tuple[int, int] = (10_000_000, 512)
    centres: int = 10_000
    epochs: int = 12


FULL = Sizes()
PRETEND = Sizes(
    images=200, resnet_images=16, features=2_000, clips=4, blocks=(16, "auto"), precisions=("float32", "bfloat16"), k=20,
    times=1, points=(20_000, 16), centres=200, epochs=1,
)  # fmt: skip
"""Enough that every line of every step runs."""
