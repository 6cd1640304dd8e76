"""A service that isn't detached ends with its program, however that ends; an unused one ends itself."""

import signal
from pathlib import Path

import pytest

from negsift.deploy.main import main
from negsift.service.config import FleetConfig
from negsift.service.serving import directory
from tests.cluster.serving import LIMIT_S, actors, await_line, eventually, outside, program
from tests.unit.tables import as_table, random_bags, third_positive, write

pytestmark = pytest.mark.usefixtures("local_ray")


@pytest.fixture
def pool(tmp_path: Path) -> str:
    write(tmp_path / "brief", as_table(random_bags(30), third_positive(30)))
    return str(tmp_path / "brief")


def named() -> set[str]:
    return {name for name in actors() if "brief" in name}


@pytest.mark.parametrize(("how", "said", "code"), [(signal.SIGKILL, "", -9), (signal.SIGINT, "brief has ended\n", 0)])
def test_nothing_is_left_of_a_service_whose_program_has_ended(
    pool: str, how: signal.Signals, said: str, code: int
) -> None:
    running = program("-m", "deploy", "serve", "up", pool, "--shards", "1", "--set", "cpus_per_shard=0.25")
    await_line(running, "brief is up at RAY_ADDRESS=")
    assert len(named()) == 2
    running.send_signal(how)
    assert running.communicate(timeout=LIMIT_S)[0] == said
    assert running.returncode == code
    assert eventually(lambda: not named())


def test_ctrl_c_while_a_service_is_described_ends_it_too(
    pool: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(actor: None) -> None:
        raise KeyboardInterrupt

    for name, stand_in in (
        ("start", lambda *given, **options: None),
        ("ask", interrupted),
        ("stop", lambda name: name),
    ):
        monkeypatch.setattr(directory, name, stand_in)
    assert main(["serve", "up", pool]) == 0
    assert capsys.readouterr().out == "brief has ended\n"


def test_a_detached_service_without_a_cluster_is_one_line(pool: str) -> None:
    alone = {key: value for key, value in outside().items() if key != "RAY_ADDRESS"}
    running = program("-m", "deploy", "serve", "up", pool, "--detached", env=alone)
    out, err = running.communicate(timeout=LIMIT_S)
    assert (running.returncode, out, err.count("\n")) == (2, "", 1)
    assert "no RAY_ADDRESS for a detached service; expected the address of a running Ray" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [(["POOL", "--idle-minutes", "-1"], "--idle-minutes -1; expected 0 or more"), (["nowhere"], "no bag table at")],
)
def test_an_unusable_pool_to_serve_is_one_clear_line(
    pool: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "up", *(pool if word == "POOL" else word for word in words)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert message in said.err


def test_an_unused_service_ends_and_says_so(pool: str) -> None:
    config = FleetConfig(kind="ray", shards=1, cpus_per_shard=0.25)
    actor = directory.start(pool, "brief", config, idle_s=2.0)
    assert directory.await_end(actor, "brief") == "brief has ended"
    assert eventually(lambda: not named())
