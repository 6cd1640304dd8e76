"""deploy/clouds: Ray's own check of cluster files takes them, and what they name exists.

Ray hands `node_config` to AWS as it is. Its names are those of EC2's RunInstances; no program checks them here, since
boto3 is not installed, so that the few in use are listed below.
"""

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from tests.unit.deploy.files.checkout import CLOUDS, ROOT, commands, documents
from tests.unit.test_docs import require_command

every_file = pytest.mark.parametrize("path", CLOUDS, ids=lambda path: path.stem)
EC2 = {"ImageId": str, "InstanceType": str, "BlockDeviceMappings": list}


def read(path: Path) -> Any:  # Any: YAML
    [config] = documents(path)
    return config


def shell(config: Any) -> list[str]:
    return [line for key, lines in config.items() if key.endswith("_commands") for line in lines]


@every_file
def test_rays_own_check_takes_it(path: Path) -> None:
    validate_config(prepare_config(read(path)))


@every_file
def test_rays_own_check_refuses_every_misspelt_field(path: Path) -> None:
    config = read(path)
    for key in config:
        wrong = copy.deepcopy(config)
        wrong[f"{key}s"] = wrong.pop(key)
        with pytest.raises((ValidationError, KeyError, ValueError)):
            validate_config(prepare_config(wrong))


@every_file
def test_files_that_are_copied_exist_or_are_the_users_own(path: Path) -> None:
    mounts = read(path)["file_mounts"]
    assert mounts.pop("~/.ray/auth_token") == "~/.ray/auth_token"
    assert mounts == {"~/requirements.lock": "requirements.lock"}
    assert (ROOT / "requirements.lock").exists()


@every_file
def test_commands_are_read_by_the_shell_and_all_of_ray_start_by_ray(path: Path) -> None:
    for line in shell(read(path)):
        subprocess.run(["bash", "-n"], input=line, text=True, check=True)
        if "ray start" in line:
            start.make_context("start", line.partition("ray start ")[2].split())


@every_file
def test_nodes_install_the_lock_and_demand_a_token(path: Path) -> None:
    setup = "\n".join(read(path)["setup_commands"])
    assert "pip install -q -r ~/requirements.lock" in setup
    assert "RAY_AUTH_MODE=token" in setup
    assert "latest" not in setup


def test_nodes_of_aws_have_fields_of_ec2() -> None:
    for node in read(ROOT / "deploy/clouds/aws.yaml")["available_node_types"].values():
        assert {key: type(value) for key, value in node["node_config"].items()} == EC2


@every_file
def test_its_commands_are_understood(path: Path) -> None:
    for command in commands(path):
        require_command(command.removeprefix("RAY_AUTH_MODE=token ").split())
    assert f"ray up {path.relative_to(ROOT)}" in commands(path)
