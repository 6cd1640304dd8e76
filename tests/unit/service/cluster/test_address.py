"""What RAY_ADDRESS may be; what it may not is one line, at once."""

import pytest

from negsift.common.errors import BadInput
from negsift.deploy.main import main
from negsift.service.cluster.address import named_address, require_answer

NO_ADDRESS = [
    "foo", "host", ":1", "http://x:1", "https://127.0.0.1:8265", "ray://", "ray://host", "ray://:1", "127.0.0.1:",
    "127.0.0.1:port", "127.0.0.1:٦٣٧٩", "127.0.0.1:123456", "127.0.0.1:1/path", "::1:6379", "hé:6379", "🦑:1", " ", "a b:1",
    "127.0.0.1:1\n", "AUTO", "x" * 5000,
]  # fmt: skip
NOBODY = [
    "127.0.0.1:1",
    "ray://127.0.0.1:1",
    "[::1]:1",
    "no.such.host.invalid:6379",
    "127.0.0.1:99999",
    "..:1",
    "127.0.0.1:0",
]


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_what_is_no_address_is_one_line_that_says_what_is(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert main(["serve", "status"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert len(said.err) < 300
    assert f"found RAY_ADDRESS={address[:80]!r}; expected HOST:PORT or ray://HOST:PORT" in said.err


@pytest.mark.parametrize("address", NOBODY)
def test_an_address_without_a_cluster_is_bad_input_at_once(address: str) -> None:
    with pytest.raises(BadInput) as found:
        require_answer(address)
    assert f"no Ray cluster at RAY_ADDRESS={address} (" in str(found.value)
    assert "unset RAY_ADDRESS" in str(found.value)


@pytest.mark.parametrize("address", ["", "local"])
@pytest.mark.parametrize("command", ["status", "down"])
def test_no_cluster_is_joined_that_nobody_named(
    address: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert named_address() is None
    assert main(["serve", command]) == 2
    assert "no RAY_ADDRESS for finding a service; expected the address of a running Ray" in capsys.readouterr().err
