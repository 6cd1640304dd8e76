"""Amounts as people write them, and as they read them."""

from argparse import ArgumentTypeError

import pytest

from negsift.deploy.plan.amounts import amount, bytes_text, seconds_text, whole_amount


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e8", 1e8), ("100M", 1e8), ("1.5k", 1500.0), ("64GiB", 64 * 2**30), ("64GB", 64e9), ("64 gi", 64 * 2**30),
        ("15,360", 15360.0), ("1_000", 1000.0), ("2T", 2e12), (" 7 ", 7.0), ("512B", 512.0), ("1e+3", 1000.0),
    ],
)  # fmt: skip
def test_an_amount_has_a_power_of_ten_or_of_two(text: str, value: float) -> None:
    assert amount(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "1x", "0", "-5", "nan", "inf", "1e400", "1.2.3", "i", "K", "5i", "1e19", "1 2"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="no amount above 0"):
        amount(text)


def test_what_is_counted_comes_in_whole_ones() -> None:
    assert whole_amount("1.5k") == 1500
    with pytest.raises(ArgumentTypeError, match="no whole number"):
        whole_amount("1.5")


def test_sizes_and_times_keep_three_digits_or_four() -> None:
    assert [bytes_text(size) for size in (12, 15 * 2**20, 999 * 2**20, 2**30, 1.5 * 2**40, 300 * 2**40)] == [
        "12 bytes", "15 MiB", "999 MiB", "1 GiB", "1.5 TiB", "300 TiB",
    ]  # fmt: skip
    assert [seconds_text(seconds) for seconds in (0.01234, 7.0, 1234.5, 7200.0)] == [
        "0.0123 s",
        "7 s",
        "1,234 s",
        "2.0 h",
    ]
