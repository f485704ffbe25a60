"""The Deployment spec: what is served where, and what was promised to its users."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from shipfit.spec.base import Document, Name, Positive, Section
from shipfit.spec.precision import Precision
from shipfit.spec.signing import SignedBy


class Hardware(Section):
    """A kind of GPU that may be used, and how many there are."""

    gpu: str
    """Name in the GPU catalogue (`shipfit gpus` lists it), such as `A100-SXM4-80GB`; `cpu` for this machine."""
    count: Annotated[int, Field(ge=1, le=16384)] = 1
    """How many of them there are (for `cpu`: how many cores may be used)."""
    per_machine: PositiveInt | None = None
    """How many of them one machine has; left out, as many as a usual machine of that kind has."""


class Promise(Section):
    """What every user may count on."""

    context: PositiveInt
    """Tokens that one request may hold, prompt and answer together."""
    concurrency: PositiveInt
    """Requests in flight at the same time, over all replicas."""


class Slo(Section):
    """The limits that a load test and a canary are judged by. Times are in milliseconds; one left out is not judged."""

    ttft_p95_ms: Positive | None = None
    """Time to first token, 95th percentile, counted from when the request was due."""
    tpot_p95_ms: Positive | None = None
    """Time per output token after the first, 95th percentile."""
    e2e_p95_ms: Positive | None = None
    """Whole request, 95th percentile, counted from when the request was due."""
    error_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest share of requests that may fail."""


class Workload(Section):
    """The traffic of a load test: arrivals are a Poisson process, whatever the server does (open loop)."""

    request_rate: Positive
    """Requests a second."""
    input_tokens: PositiveInt
    """Tokens of a prompt."""
    output_tokens: PositiveInt
    """Tokens of an answer."""
    duration_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """Seconds of traffic."""
    seed: int = 0
    """Seed of arrivals and prompts."""


class Router(Section):
    """The OpenAI-compatible address in front of the replicas."""

    port: Annotated[int, Field(ge=1024, le=65535)] = 8000
    """Port on which local deployments listen, on loopback."""


class Cluster(Section):
    """Where in Kubernetes a deployment is served; `shipfit deploy` takes it there."""

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    """The namespace; it must exist."""
    context: str | None = None
    """The context of the kubeconfig; left out, the current one."""
    values: str | None = None
    """Values of the chart `llm-serving`, seen from this file's folder: all that Kubernetes alone decides, such as
    images, secrets, cache, ingress and monitoring. They come after what the plan decides, and win."""
    grows: bool = False
    """Whether nodes come when pods wait for them, as with a cluster autoscaler: what is free now is then no limit.
    Name the GPUs under `hardware`."""


class Deployment(Document):
    """What is served where: one file under `deploy/<environment>/`."""

    kind: Literal["Deployment"]
    """Says that this file is a Deployment."""
    model: str
    """The source model: `org/name` on Hugging Face (`@revision` may follow), a folder (`./path` or `/path`), an
    object store URL (`s3://bucket/path`), or `bundled:gemma-3-270m`."""
    precision: Precision | None = None
    """Serve in this precision. Left out: the least aggressive one that the hardware allows for the promise."""
    artifact: str | None = None
    """A published artifact to serve, as `name@channel`; left out, the source model itself is served."""
    store: str | None = None
    """Object store URL of the artifact, such as `s3://models/prod`; left out, the embedded one."""
    artifact_signed_by: SignedBy | None = None
    """Whose signature the artifact must bear, whatever the policy in the store says: who can write to the store can
    change that."""
    kv_cache_dtype: Literal["auto", "fp8"] | None = None
    """Number format of the KV cache; `auto` is the checkpoint's own. Left out: `fp8` only where nothing at hand holds
    the promise with `auto`."""
    hardware: Annotated[list[Hardware], Field(min_length=1)] | None = None
    """The GPUs at hand. Left out, `shipfit deploy` and `shipfit plan --cluster` read them from the cluster."""
    across_machines: bool = False
    """Whether a replica may span machines (as pipeline stages); else it stays within one."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of a GPU's memory that vLLM may take. Left out: vLLM's default, and a little more where it is needed."""
    promise: Promise
    """What users may count on."""
    slo: Slo = Slo()
    """What a load test judges by."""
    workload: Workload | None = None
    """The traffic to load-test with."""
    replicas: PositiveInt | None = None
    """How many replicas; left out, as many as the promise needs."""
    spare: bool = False
    """Whether the GPUs of one more replica are kept free, so that an update never serves with fewer."""
    prices: str | None = None
    """A PriceList, seen from this file's folder: the plan is then the cheapest that holds the promise."""
    router: Router = Router()
    """The address in front of the replicas."""
    chat_template: str | None = None
    """A Jinja file, seen from this one's folder, for models that bring no chat template."""
    served_name: str | None = None
    """The `model` that clients send; left out, `name`."""
    cluster: Cluster | None = None
    """Where in Kubernetes it is served; left out, on this machine, by `shipfit up`."""

    @model_validator(mode="after")
    def _workload_fits_promise(self) -> Deployment:
        if self.workload and self.workload.input_tokens + self.workload.output_tokens > self.promise.context:
            raise ValueError(
                f"workload: input_tokens + output_tokens ({self.workload.input_tokens} + {self.workload.output_tokens})"
                f" exceed promise.context ({self.promise.context}); lower them or raise promise.context"
            )
        return self

    @model_validator(mode="after")
    def _only_artifacts_are_signed(self) -> Deployment:
        if self.artifact_signed_by and self.artifact is None:
            raise ValueError("artifact_signed_by needs artifact: a source model bears no signature")
        return self

    @model_validator(mode="after")
    def _pods_reach_the_store(self) -> Deployment:
        if self.cluster and self.artifact and (self.store or "file:").startswith("file:"):
            raise ValueError(
                "store: pods reach neither a folder nor the embedded store of this machine; name an object store,"
                " such as s3://models/production"
            )
        return self

    @property
    def model_name(self) -> str:
        """The ``model`` that clients send."""
        return self.served_name or self.name

    @property
    def artifact_reference(self) -> tuple[Name, str] | None:
        """Name and channel of ``artifact``; the channel is ``stable`` where none is said."""
        if self.artifact is None:
            return None
        name, _, channel = self.artifact.partition("@")
        return name, channel or "stable"
