"""Lines of other libraries are kept from the terminal, and nothing else is."""

import os

import pytest

from negsift.service.cluster.quiet import without_line


def test_only_the_line_named_is_kept_back(capfd: pytest.CaptureFixture[str]) -> None:
    with without_line("log level"):
        os.write(2, b"one\nSet log level to 3\ntwo\n")
    os.write(2, b"log level again\n")
    assert capfd.readouterr().err == "one\ntwo\nlog level again\n"


def test_what_was_said_before_an_exception_appears(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        os.write(2, b"why\n")
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"), without_line("log level"):
        fail()
    assert capfd.readouterr().err == "why\n"
