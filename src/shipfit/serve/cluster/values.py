"""From a plan to values of the chart ``llm-serving``: only what the plan or the deployment decides."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from shipfit import __version__
from shipfit.core.units import GIB
from shipfit.hardware import CPU, Gpu, gpu
from shipfit.serve.arguments import plan_flags
from shipfit.serve.cluster.gpus import Offer
from shipfit.sizing import Plan
from shipfit.spec import Deployment, Slo

Values = dict[str, Any]
"""Values of a Helm chart."""

MODEL = "main"
"""What the deployment's own model is called in the chart's values; the owner's file may add others beside it."""

_PROCESSES = 2
"""Of vLLM beside one a GPU: the API server and the engine's core
(docs.vllm.ai/en/stable/configuration/optimization, "CPU Resources for GPU Deployments": 2 cores and one a GPU)."""

_PROCESS_GIB = 4
"""Host memory to ask for, for each of them. Nothing is limited by it; loaded weights pass through the page cache."""


@dataclass(frozen=True)
class Artifact:
    """A published artifact as a release serves it.

    Attributes:
        store: URL of the store.
        fingerprint: the very artifact.
        gate: what its gate measured, by name.
    """

    store: str
    name: str
    fingerprint: str
    gate: dict[str, float] = field(compare=False)

    def record(self) -> Values:
        """As the release keeps it."""
        return {
            "store": self.store,
            "name": self.name,
            "fingerprint": self.fingerprint,
            "gate": dict(self.gate),
        }

    @classmethod
    def recorded(cls, record: Values | None) -> Artifact | None:
        """The one that a release keeps; None where it keeps none."""
        return cls(**record) if record else None


@dataclass(frozen=True)
class Weights:
    """What the replicas load.

    Attributes:
        artifact: a published artifact; None where the source model itself is served.
        model: ``org/name@commit`` on the hub; empty where an artifact is served.
        size: bytes.
        quantized: whether the weights are quantized already.
    """

    artifact: Artifact | None
    model: str
    size: int
    quantized: bool

    @property
    def name(self) -> str:
        """As people say it."""
        if self.artifact:
            return f"{self.artifact.name} ({self.artifact.fingerprint[:12]})"
        return self.model


def release_name(deployment: Deployment) -> str:
    """What the release is called: names of Services hold no dots."""
    return deployment.name.replace(".", "-")


def render(
    deployment: Deployment,
    plan: Plan,
    weights: Weights,
    offer: Offer | None,
    *,
    rollout: Literal["surge", "replace"] = "surge",
    template: str = "",
    holder: str = "",
    previous: Artifact | None = None,
) -> Values:
    """The values of a deployment.

    Args:
        offer: how the cluster calls the plan's GPUs; None where it has none, or on a processor.
        rollout: whether a replica's successor starts before it ends, or after.
        template: text of the chat template.
        holder: the release's name among the pins of artifacts.
        previous: the artifact that was served before.

    Raises:
        InputError: the plan's precision cannot be made of these weights while loading.
    """
    model: Values = {
        "servedName": deployment.model_name,
        "weights": _weights(weights),
        "replicas": plan.replicas,
        "nodes": plan.machines,
        "rollout": rollout,
        "engine": {
            "args": plan_flags(plan, weights.name, quantized=weights.quantized),
            "resources": _resources(plan),
            "sharedMemory": f"{plan.gpus_each}Gi",
        },
    }
    if plan.gpu == CPU:
        # Pods do not own the cores they run on, so none is bound; there are as many threads as cores are asked for.
        model["engine"]["env"] = {
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(plan.cores or 1),
        }
    else:
        model["accelerator"] = _accelerator(gpu(plan.gpu), plan.gpus_each, offer)
    if template:
        model["chatTemplate"] = template
    if slo := _slo(deployment.slo):
        model["slo"] = slo
    return {
        "models": {MODEL: model},
        "record": record(deployment, plan, weights, holder, previous),
    }


def record(
    deployment: Deployment, plan: Plan, weights: Weights, holder: str, previous: Artifact | None
) -> Values:
    """What the release keeps of how it came about; the same inputs give the same record."""
    return {
        "id": holder,
        "shipfit": __version__,
        "deployment": deployment.name,
        "spec": spec_digest(deployment),
        "weights": weights.name,
        "artifact": weights.artifact.record() if weights.artifact else None,
        "previous": previous.record() if previous else None,
        "plan": {
            "precision": str(plan.precision),
            "gpu": plan.gpu,
            "gpus": plan.gpus,
            "machines": plan.machines,
            "replicas": plan.replicas,
            "context": plan.max_model_len,
            "memory": plan.memory.model_dump(mode="json", exclude_none=True),
            "speed": plan.speed.model_dump(mode="json", exclude_none=True) if plan.speed else None,
        },
    }


def same(record: Values | None, other: Values) -> bool:
    """Whether two records say the same; but for the speed, which a fresh pod measures anew of its processor."""
    return _unmeasured(record or {}) == _unmeasured(other)


def _unmeasured(record: Values) -> Values:
    return record | {"plan": {**record.get("plan", {}), "speed": None}}


def spec_digest(deployment: Deployment) -> str:
    """A hash of what a deployment says, and the values that its owner wrote, however they are written."""
    cluster = deployment.cluster
    owned = deployment.resolve(cluster.values) if cluster and cluster.values else None
    values = yaml.safe_load(owned.read_bytes()) if owned and owned.is_file() else None
    said = deployment.model_dump_json() + json.dumps(values, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def artifacts_of(record: Values) -> set[Artifact]:
    """The artifacts that a release's record names: what it serves, and what it served before."""
    previous = Artifact.recorded(record.get("previous"))
    return served_artifacts(record) | ({previous} if previous else set())


def served_artifacts(record: Values) -> set[Artifact]:
    """The artifacts that a release serves: its own, and its canary's."""
    records = (record, record.get("canary") or {})
    found = (Artifact.recorded(each.get("artifact")) for each in records)
    return {each for each in found if each}


def _weights(weights: Weights) -> Values:
    if weights.artifact is None:
        return {"model": weights.model, "bytes": weights.size}
    found = weights.artifact.record()
    del found["gate"]
    return {"artifact": found, "bytes": weights.size}


def _accelerator(kind: Gpu, count: int, offer: Offer | None) -> Values:
    """Where the cluster has none of the kind, what its vendor's discovery would call it: so the pods' wish is said."""
    resource = offer.resource if offer else kind.resource
    labels = dict([offer.selector]) if offer else {}
    if not labels and kind.label:
        labels = {"nvidia.com/gpu.product": kind.label}
    # Nodes with GPUs usually keep other pods away by a taint of the resource's name.
    tainted = "nvidia.com/gpu" if resource.startswith("nvidia.com/") else resource
    return {
        "resource": resource,
        "count": count,
        "nodeSelector": labels,
        "tolerations": [{"key": tainted, "operator": "Exists", "effect": "NoSchedule"}],
    }


def _resources(plan: Plan) -> Values:
    if plan.gpu == CPU:
        memory = plan.memory
        gib = memory.weights_gib + memory.activation_gib + memory.non_torch_gib + memory.kv_cache_gib
        amount = f"{math.ceil(gib + 1)}Gi"  # and a GiB for /dev/shm and temporary files
        return {"requests": {"cpu": str(plan.cores or 1), "memory": amount}, "limits": {"memory": amount}}
    processes = _PROCESSES + plan.gpus_each
    return {"requests": {"cpu": str(processes), "memory": f"{processes * _PROCESS_GIB}Gi"}}


def _slo(slo: Slo) -> dict[str, float]:
    limits = {"ttftMs": slo.ttft_p95_ms, "tpotMs": slo.tpot_p95_ms}
    return {name: limit for name, limit in limits.items() if limit is not None}


def bytes_of(plan: Plan) -> int:
    """About how many bytes the weights of a plan are, where no manifest says it."""
    return round(plan.memory.weights_gib * plan.gpus * GIB)
