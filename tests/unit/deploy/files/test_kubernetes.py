"""deploy/kubernetes: fields are KubeRay's and Kubernetes's, names fit together, and commands are negsift's."""

import copy
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ray.scripts.scripts import start

from tests.unit.deploy.files.checkout import KUBERNETES, documents, locked
from tests.unit.deploy.files.kubernetes_schema import KINDS, Schema
from tests.unit.test_docs import require_command

Item = dict[str, Any]  # Any: YAML
ITEMS = [(path.stem, item) for path in KUBERNETES for item in documents(path)]
CLUSTERS = [(name, item["spec"].get("rayClusterSpec", item["spec"])) for name, item in ITEMS if "Ray" in item["kind"]]
CHECKS = {kind: Draft202012Validator(schema) for kind, schema in KINDS.items()}
every_item = pytest.mark.parametrize(("file", "item"), ITEMS, ids=[f"{name}-{item['kind']}" for name, item in ITEMS])
every_cluster = pytest.mark.parametrize(("file", "cluster"), CLUSTERS, ids=[name for name, _ in CLUSTERS])


@every_item
def test_all_fields_are_in_the_schema_with_values_of_their_type(file: str, item: Item) -> None:
    assert not [error.message for error in CHECKS[item["kind"]].iter_errors(item)]


@every_item
def test_every_misspelt_field_is_noticed(file: str, item: Item) -> None:
    wrong = copy.deepcopy(item)
    check = CHECKS[item["kind"]]
    for fields in list(strict(wrong, KINDS[item["kind"]])):
        for key in list(fields):
            fields[f"{key}s"] = fields.pop(key)
            assert not check.is_valid(wrong), key
            fields[key] = fields.pop(f"{key}s")
    assert wrong == item


def strict(value: object, schema: Schema) -> Iterator[Item]:
    """All mappings within, but for those with keys of free choice."""
    if isinstance(value, dict) and schema["additionalProperties"] is False:
        yield value
        for key, below in value.items():
            yield from strict(below, schema["properties"].get(key, {}))
    if isinstance(value, list):
        for below in value:
            yield from strict(below, schema["items"])


def mappings(value: object) -> Iterator[Item]:
    """All mappings within."""
    if isinstance(value, dict):
        yield value
    for below in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(below)


@every_cluster
def test_ray_is_the_locked_version_with_tokens(file: str, cluster: Item) -> None:
    assert cluster["rayVersion"] == locked("ray")
    assert cluster["authOptions"] == {"mode": "token"}


@every_cluster
def test_the_head_has_no_gpu_and_the_workers_have(file: str, cluster: Item) -> None:
    [head] = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    assert "nvidia.com/gpu" not in head["resources"]["limits"]
    assert head["image"].endswith(":cpu")
    for group in cluster["workerGroupSpecs"]:
        [worker] = group["template"]["spec"]["containers"]
        assert int(worker["resources"]["limits"]["nvidia.com/gpu"]) > 0
        assert worker["image"].endswith(":gpu")


@every_cluster
def test_groups_grow_within_bounds_and_only_where_there_is_an_autoscaler(file: str, cluster: Item) -> None:
    for group in cluster["workerGroupSpecs"]:
        assert 0 < group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        grows = group["minReplicas"] < group["maxReplicas"]
        assert grows == cluster.get("enableInTreeAutoscaling", False)
        assert not grows or cluster["autoscalerOptions"]["version"] == "v2"


@every_cluster
def test_options_of_ray_start_exist(file: str, cluster: Item) -> None:
    known = {option for parameter in start.params for option in parameter.opts}
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        assert {f"--{option}" for option in group["rayStartParams"]} <= known


@every_cluster
def test_shared_memory_is_at_least_rays_share_and_leaves_half(file: str, cluster: Item) -> None:
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        [container], volumes = group["template"]["spec"]["containers"], group["template"]["spec"]["volumes"]
        [shm] = [volume["emptyDir"]["sizeLimit"] for volume in volumes if "emptyDir" in volume]
        memory = int(container["resources"]["limits"]["memory"].removesuffix("Gi"))
        assert 0.3 * memory <= int(shm.removesuffix("Gi")) <= 0.5 * memory


@every_item
def test_pods_mount_the_volumes_they_have_and_claims_exist(file: str, item: Item) -> None:
    [volume] = [item for name, item in ITEMS if name == "volume"]
    for pod in (below for below in mappings(item) if "containers" in below):
        named = {volume["name"] for volume in pod.get("volumes", [])}
        mounted = {mount["name"] for one in pod["containers"] for mount in one.get("volumeMounts", [])}
        own = {claim["metadata"]["name"] for claim in item["spec"].get("volumeClaimTemplates", [])}
        assert mounted == named | own
        claims = [volume["persistentVolumeClaim"] for volume in pod.get("volumes", []) if "emptyDir" not in volume]
        assert all(claim["claimName"] == volume["metadata"]["name"] for claim in claims)


@every_item
def test_images_have_a_tag_that_is_not_latest(file: str, item: Item) -> None:
    for image in (below["image"] for below in mappings(item) if "image" in below):
        name, _, tag = image.partition(":")
        assert name in ("EDIT/negsift", "redis")
        assert tag not in ("", "latest")


def test_a_job_that_is_deleted_after_a_time_ends_its_cluster() -> None:
    """KubeRay refuses the one without the other."""
    [spec] = [item["spec"] for _, item in ITEMS if item["kind"] == "RayJob"]
    assert spec["shutdownAfterJobFinishes"]
    assert spec["ttlSecondsAfterFinished"] > 0


def test_the_service_and_redis_are_found_by_their_names() -> None:
    named = {item["kind"]: item for name, item in ITEMS if name == "service"}
    cluster, [container] = named["RayCluster"], named["Job"]["spec"]["template"]["spec"]["containers"]
    assert f"http://{cluster['metadata']['name']}-head-svc:8265" in container["command"]
    assert container["env"][1]["valueFrom"]["secretKeyRef"]["name"] == cluster["metadata"]["name"]
    host, port = cluster["spec"]["gcsFaultToleranceOptions"]["redisAddress"].split(":")
    assert host == named["Service"]["metadata"]["name"] == named["StatefulSet"]["spec"]["serviceName"]
    assert [{"port": int(port)}] == named["Service"]["spec"]["ports"]
    labels = named["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert labels == named["Service"]["spec"]["selector"] == named["StatefulSet"]["spec"]["selector"]["matchLabels"]


def test_the_service_asks_for_the_gpus_that_the_cluster_has() -> None:
    named = {item["kind"]: item["spec"] for name, item in ITEMS if name == "service"}
    [group] = named["RayCluster"]["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    [container] = named["Job"]["template"]["spec"]["containers"]
    assert f"shards={group['replicas'] * int(limits['nvidia.com/gpu'])}" in container["args"]


@every_item
def test_commands_of_negsift_are_understood(file: str, item: Item) -> None:
    for below in mappings(item):
        if "entrypoint" in below:
            require_command(shlex.split(below["entrypoint"]))
        if below.get("command", [""])[0] == "ray":
            require_command([*below["command"], *below["args"]])
