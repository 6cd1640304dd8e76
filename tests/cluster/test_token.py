"""A Ray that negsift starts is its own, lets nobody in without the token, and leaves the environment as it was."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import ray

from tests.cluster.serving import LIMIT_S, ROOT, await_line, outside, program

OWN = """
import os, sys
import ray
from negsift.service.cluster.connect import connect
before = dict(os.environ)
connect()
print("up", ray.get_runtime_context().gcs_address, before == dict(os.environ), flush=True)
sys.stdin.read()
"""
PLAIN = """
import ray
ray.init(log_to_driver=False)
print(ray.get(ray.remote(lambda: "inside").options(num_cpus=0).remote()))
"""
TRIES = """
import json, os, sys
from unittest.mock import patch
from negsift.common.errors import BadInput
from negsift.service.cluster.connect import connect
for changes in json.loads(sys.argv[1]):
    with patch.dict(os.environ, changes):
        try:
            connect()
        except BadInput as error:
            print(error)
"""
REFUSED: list[tuple[dict[str, str], str]] = [
    ({}, "no token for the Ray cluster at RAY_ADDRESS="),
    ({"RAY_AUTH_TOKEN": "guessed"}, "a token that the Ray cluster at RAY_ADDRESS="),
    ({"RAY_AUTH_MODE": "disabled"}, "RAY_AUTH_MODE=disabled for the Ray cluster at RAY_ADDRESS="),
    ({"RAY_AUTH_MODE": "tokens"}, "RAY_AUTH_MODE 'tokens'; expected one of disabled, token; did you mean 'token'"),
    ({"RAY_AUTH_TOKEN": "two\nlines"}, "a token with characters that can't be sent"),
    ({"RAY_AUTH_TOKEN": "ä"}, "a token with characters that can't be sent"),
    ({"RAY_AUTH_TOKEN_PATH": "/nowhere"}, "no token in RAY_AUTH_TOKEN_PATH=/nowhere"),
]
STATUS = ("-m", "deploy", "serve", "status")


@dataclass(frozen=True)
class Own:
    """What a program that has started Ray said, and its home folder."""

    address: str
    unchanged: str
    home: Path


@pytest.fixture(scope="module")
def own(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    """A Ray that negsift has started where Ray by itself would join the tests' Ray, and where there is no token yet."""
    home = tmp_path_factory.mktemp("h")
    (home / "ray").mkdir()
    (home / "ray" / "ray_current_cluster").write_text(ray.get_runtime_context().gcs_address)
    apart = {"RAY_ADDRESS": "", "RAY_TMPDIR": str(home), "RAY_worker_niceness": "0"}
    running = program("-c", OWN, stdin=subprocess.PIPE, env=without_token(home) | apart)
    _, address, unchanged = await_line(running, "up ").split()
    yield Own(address, unchanged, home)
    running.communicate()


class Anything(grpc.GenericRpcHandler):
    """Answers all questions."""

    def service(self, call: object) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


def without_token(home: Path) -> dict[str, str]:
    return {key: value for key, value in outside().items() if key != "RAY_AUTH_TOKEN"} | {"HOME": str(home)}


def run(words: tuple[str, ...], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, *words)
    return subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S)


def told(tries: list[dict[str, str]], env: Mapping[str, str]) -> list[str]:
    """What a program is told that connects with these changes of its environment."""
    return run(("-c", TRIES, json.dumps(tries)), env).stdout.splitlines()


def test_a_ray_of_somebody_elses_on_this_machine_is_not_joined(own: Own) -> None:
    assert own.address != ray.get_runtime_context().gcs_address


def test_the_environment_is_as_it_was(own: Own) -> None:
    assert own.unchanged == "True"


def test_only_its_owner_can_read_a_new_token(own: Own) -> None:
    token = own.home / ".ray" / "auth_token"
    assert len(token.read_text()) == 64
    assert [path.stat().st_mode & 0o777 for path in (token.parent, token)] == [0o700, 0o600]
    assert os.listdir(token.parent) == ["auth_token"]


@pytest.mark.parametrize("mode", [{}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "guessed"}])
def test_a_program_without_the_token_is_refused(own: Own, mode: dict[str, str], tmp_path: Path) -> None:
    hasty = {"RAY_ADDRESS": own.address, "RAY_NUM_REDIS_GET_RETRIES": "1"}
    answer = run(("-c", PLAIN), without_token(tmp_path) | hasty | mode)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "Unauthenticated" in answer.stderr


def test_a_program_with_the_token_gets_in(own: Own) -> None:
    answer = run(("-c", PLAIN), without_token(own.home) | {"RAY_ADDRESS": own.address, "RAY_AUTH_MODE": "token"})
    assert answer.stdout == "inside\n", answer.stderr


def test_negsift_says_which_token_is_missing(own: Own, tmp_path: Path) -> None:
    said = told([changes for changes, _ in REFUSED], without_token(tmp_path) | {"RAY_ADDRESS": own.address})
    for line, (_, message) in zip(said, REFUSED, strict=True):
        assert message in line


def test_a_server_that_is_no_ray_is_told(own: Own, tmp_path: Path) -> None:
    port = ray.nodes()[0]["MetricsExportPort"]  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    (line,) = told([{"RAY_ADDRESS": f"127.0.0.1:{port}"}], without_token(tmp_path))
    assert f"no Ray cluster at RAY_ADDRESS=127.0.0.1:{port} (what listens there is no Ray)" in line


def test_a_missing_token_is_one_clear_line_of_the_command_line(own: Own, tmp_path: Path) -> None:
    answer = run(STATUS, without_token(tmp_path) | {"RAY_ADDRESS": own.address})
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert "no token for the Ray cluster at RAY_ADDRESS=" in answer.stderr


def test_a_cluster_that_demands_no_token_is_told_where_the_user_wants_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads, [Anything()])
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        env = without_token(tmp_path) | {"RAY_ADDRESS": address}
        (line,) = told([{"RAY_AUTH_MODE": "token"}], env)
        server.stop(None).wait()
    assert f"RAY_AUTH_MODE=token for the Ray cluster at RAY_ADDRESS={address}, which demands no token" in line


def test_negsift_finds_the_token_by_itself(own: Own) -> None:
    answer = run(STATUS, without_token(own.home) | {"RAY_ADDRESS": own.address})
    assert "no service up on this cluster" in answer.stderr
