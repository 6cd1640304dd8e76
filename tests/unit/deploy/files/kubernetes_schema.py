"""What the files of deploy/kubernetes may contain, as strict JSON schemas: a subset of the real ones, written by hand.

The field names of RayCluster and RayJob (`ray.io/v1`) are those of the Go types in KubeRay's ray-operator/apis/ray/v1
(HEAD of August 2026, newest tag v1.7.0); those of PodMonitor are the Prometheus operator's (`monitoring.coreos.com/v1`);
all others are Kubernetes's own. Only fields that our files use are listed, and any other is refused, so that a
misspelt one is noticed. Where a file gets a new field, look it up there and add it here.
"""

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1}
NAME: Schema = {"type": "string", "pattern": r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"}
TRUE_OR_FALSE: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
SIZE: Schema = {"type": "string", "pattern": r"^[0-9]+(Mi|Gi|Ti)$"}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def mapping(values: Schema = TEXT) -> Schema:
    """Keys that are free: labels, say."""
    return {"type": "object", "additionalProperties": values}


def fields(required: str = "", **properties: Schema) -> Schema:
    """These fields and no others, those named in `required` always."""
    return {
        "type": "object", "properties": properties, "required": required.split(), "additionalProperties": False,
    }  # fmt: skip


def kind(version: str, name: str, spec: Schema) -> Schema:
    metadata = fields("name", name=NAME, labels=mapping())
    return fields(
        "apiVersion kind metadata spec", apiVersion=one_of(version), kind=one_of(name), metadata=metadata, spec=spec
    )


_FROM_SECRET = fields("secretKeyRef", secretKeyRef=fields("name key", name=NAME, key=TEXT))
_ENV = fields("name", name=TEXT, value=TEXT, valueFrom=_FROM_SECRET)
_LIMITS: Schema = {**fields("cpu memory", cpu=TEXT, memory=SIZE), "patternProperties": {r"^nvidia\.com/gpu$": TEXT}}
_CONTAINER = fields(
    "name image", name=NAME, image=TEXT, command=listed(TEXT), args=listed(TEXT), env=listed(_ENV),
    resources=fields("limits", limits=_LIMITS),
    volumeMounts=listed(fields("name mountPath", name=NAME, mountPath={"type": "string", "pattern": "^/"})),
)  # fmt: skip
_VOLUME = fields(
    "name", name=NAME, persistentVolumeClaim=fields("claimName", claimName=NAME),
    emptyDir=fields("medium sizeLimit", medium=one_of("Memory"), sizeLimit=SIZE),
)  # fmt: skip
_POD = fields(
    "containers", containers=listed(_CONTAINER), volumes=listed(_VOLUME), restartPolicy=one_of("Never"),
    securityContext=fields(runAsNonRoot=TRUE_OR_FALSE, fsGroup=COUNT),
    tolerations=listed(fields("key operator", key=TEXT, operator=one_of("Exists", "Equal"))),
)  # fmt: skip
_TEMPLATE = fields("spec", metadata=fields(labels=mapping()), spec=_POD)
_CLAIM = fields(
    "accessModes resources", accessModes=listed(one_of("ReadWriteOnce", "ReadWriteMany")), storageClassName=TEXT,
    resources=fields("requests", requests=fields("storage", storage=SIZE)),
)  # fmt: skip

_CLUSTER = fields(
    "rayVersion headGroupSpec", rayVersion=TEXT,
    authOptions=fields("mode", mode=one_of("disabled", "token")),
    enableInTreeAutoscaling=TRUE_OR_FALSE,
    autoscalerOptions=fields(version=one_of("v1", "v2"), idleTimeoutSeconds=COUNT),
    gcsFaultToleranceOptions=fields(
        "redisAddress", redisAddress=TEXT, redisPassword=fields("valueFrom", valueFrom=_FROM_SECRET)
    ),
    headGroupSpec=fields("template", rayStartParams=mapping(), template=_TEMPLATE),
    workerGroupSpecs=listed(
        fields(
            "groupName minReplicas maxReplicas template", groupName=NAME, replicas=COUNT, minReplicas=COUNT,
            maxReplicas=COUNT, rayStartParams=mapping(), template=_TEMPLATE,
        )
    ),
)  # fmt: skip
_JOB_ON_RAY = fields(
    "entrypoint rayClusterSpec", entrypoint=TEXT, metadata=mapping(), backoffLimit=COUNT,
    shutdownAfterJobFinishes=TRUE_OR_FALSE, ttlSecondsAfterFinished=COUNT, rayClusterSpec=_CLUSTER,
)  # fmt: skip
_MONITOR = fields(
    "selector podMetricsEndpoints",
    selector=fields(
        "matchExpressions",
        matchExpressions=listed(
            fields("key operator", key=TEXT, operator=one_of("In", "Exists"), values=listed(TEXT))
        ),
    ),
    podMetricsEndpoints=listed(
        fields(
            "port", port=NAME, interval={"type": "string", "pattern": "^[0-9]+s$"},
            relabelings=listed(fields("targetLabel", sourceLabels=listed(TEXT), targetLabel=TEXT)),
        )
    ),
)  # fmt: skip

KINDS: dict[str, Schema] = {
    "RayCluster": kind("ray.io/v1", "RayCluster", _CLUSTER),
    "RayJob": kind("ray.io/v1", "RayJob", _JOB_ON_RAY),
    "PodMonitor": kind("monitoring.coreos.com/v1", "PodMonitor", _MONITOR),
    "PersistentVolumeClaim": kind("v1", "PersistentVolumeClaim", _CLAIM),
    "Job": kind("batch/v1", "Job", fields("template", backoffLimit=COUNT, template=_TEMPLATE)),
    "Service": kind("v1", "Service", fields("ports", selector=mapping(), ports=listed(fields("port", port=PORT)))),
    "StatefulSet": kind(
        "apps/v1", "StatefulSet",
        fields(
            "selector template serviceName", serviceName=NAME, replicas=COUNT, template=_TEMPLATE,
            selector=fields("matchLabels", matchLabels=mapping()),
            volumeClaimTemplates=listed(fields("metadata spec", metadata=fields("name", name=NAME), spec=_CLAIM)),
        ),
    ),
}  # fmt: skip
