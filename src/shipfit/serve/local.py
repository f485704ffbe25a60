"""Deployments on this machine: up, down, status."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.process import Process, python_module
from shipfit.core.progress import Progress
from shipfit.serve import sessions
from shipfit.serve.arguments import DRAIN_S, SHUTDOWN_TIMEOUT_S
from shipfit.serve.folder import DeploymentState, DeploymentStatus, Folder, Launch
from shipfit.serve.launching import prepare
from shipfit.serve.logs import last_line
from shipfit.serve.planning import plan_deployment
from shipfit.sizing import Plan
from shipfit.spec import Deployment

_started: dict[str, Process] = {}
"""Supervisors that this process started, by deployment: they end with it (attached), or are its children so long."""

_POLL_S = 0.2
_STOP_LIMIT_S = (
    DRAIN_S + SHUTDOWN_TIMEOUT_S + 20.0
)  # the supervisor keeps its own limits; this one is for its death


@dataclass(frozen=True)
class Running:
    """A deployment that answers.

    Attributes:
        base_url: what OpenAI clients take, such as ``http://127.0.0.1:8000/v1``.
        model_name: the ``model`` to send.
        model_path: the folder that is served, with its tokenizer.
        replicas: how many.
    """

    name: str
    base_url: str
    api_key: str
    model_name: str
    model_path: Path
    plan: Plan
    replicas: int


@dataclass(frozen=True)
class ProcessStatus:
    """One process of a deployment.

    Attributes:
        pid: None while it does not run.
        address: a port on loopback, or a Unix socket.
        resident_bytes: memory of it and of all that it started; shared pages counted once.
        since: when its state began, in seconds since 1970.
        note: why it is not ready; empty where it is.
    """

    name: str
    state: str
    pid: int | None
    address: str
    restarts: int
    resident_bytes: int
    since: float
    log: Path
    note: str


@dataclass(frozen=True)
class Status:
    """A deployment at this moment.

    Attributes:
        state: as its supervisor says; ``stopped`` where it was never started, ``died`` where the supervisor was
            killed and could not say.
        address: what OpenAI clients take; None where nothing runs.
        supervisor: its process id; None where it does not run.
    """

    name: str
    state: DeploymentState | str
    address: str | None
    model_name: str | None
    revision: str | None
    supervisor: int | None
    note: str
    logs: Path
    processes: list[ProcessStatus]


def up(deployment: Deployment, progress: Progress, *, attached: bool) -> Running:
    """Serve a deployment on this machine; returns when its address answers.

    Running already with the same plan, model and settings, it is left as it is.

    Args:
        attached: end it when this process ends, however it ends. Call it from the main thread then: the kernel ends
            the deployment with the thread that started it.

    Raises:
        InputError: it runs already, and differently; says in what.
        VerdictError: the deployment fits nothing at hand.
        EnvironmentFailure: the port is taken, the artifact is not there or damaged, or a process did not start.
    """
    folder = Folder.of(deployment.name)
    with folder.starting(progress):
        plan = plan_deployment(deployment)
        launch = prepare(deployment, plan, folder, progress)
        old, status = folder.launch(), folder.status()
        if old and status and status.supervisor.leader_lives():
            _same_or_explain(old, launch, deployment)
            progress.note(f"{deployment.name} runs already at {_base_url(old)}")
            _wait_ready(folder, old, status.supervisor, progress)
            return _running(folder, old)
        _end_leftovers(folder, progress)
        _check_port(launch.port, deployment)
        folder.write_launch(launch)
        (folder.path / "status.json").unlink(missing_ok=True)
        with progress.step(f"starting {len(launch.replicas)} x vLLM and the router"):
            _start(folder, launch, progress, attached=attached)
    return _running(folder, launch)


def down(name: str, progress: Progress) -> None:
    """Stop a deployment: requests in flight are finished first. Nothing of it is left, running or not.

    Raises:
        EnvironmentFailure: a process could not be ended.
    """
    folder = Folder.of(name)
    status = folder.status()
    if status and status.supervisor.leader_lives():
        with progress.step(f"stopping {name}"):
            _stop_supervisor(status.supervisor)
    if name in _started:
        _started.pop(name).stop()
    _end_leftovers(folder, progress)


def status(name: str) -> Status:
    """What runs of a deployment, and what state it is in."""
    folder = Folder.of(name)
    launch, seen = folder.launch(), folder.status()
    if launch is None or seen is None:
        return Status(name, "stopped", None, None, None, None, "", folder.logs, [])
    lives = seen.supervisor.leader_lives()
    state = seen.state if lives or seen.state in ("stopped", "failed") else "died"
    return Status(
        name=name,
        state=state,
        address=_base_url(launch) if lives else None,
        model_name=launch.model_name,
        revision=launch.revision,
        supervisor=seen.supervisor.pid if lives else None,
        note=seen.note if state == "failed" else "",
        logs=folder.logs,
        processes=_processes(folder, launch, seen) if lives else [],
    )


def running(name: str) -> Running | None:
    """The deployment, if its address can be used now."""
    folder = Folder.of(name)
    launch, seen = folder.launch(), folder.status()
    if launch is None or seen is None or seen.state not in ("ready", "degraded"):
        return None
    return _running(folder, launch) if seen.supervisor.leader_lives() else None


def _running(folder: Folder, launch: Launch) -> Running:
    return Running(
        name=launch.name,
        base_url=_base_url(launch),
        api_key=folder.api_key(),
        model_name=launch.model_name,
        model_path=launch.model_path,
        plan=launch.plan,
        replicas=len(launch.replicas),
    )


def _base_url(launch: Launch) -> str:
    return f"http://127.0.0.1:{launch.port}/v1"


def _same_or_explain(old: Launch, new: Launch, deployment: Deployment) -> None:
    keys = sorted(old.identity.keys() | new.identity.keys())
    different = [
        f"{key} {old.identity.get(key, 'none')}, now {new.identity.get(key, 'none')}"
        for key in keys
        if old.identity.get(key) != new.identity.get(key)
    ]
    if different:
        file = deployment.path or deployment.name
        raise InputError(
            f"{deployment.name} runs already with {'; '.join(different)}",
            hint=f"run `shipfit down {file}` first",
            where=str(deployment.path) if deployment.path else None,
        )


def _check_port(port: int, deployment: Deployment) -> None:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise EnvironmentFailure(
                f"port {port} is taken by another program",
                hint=f"end that, or set router.port in {deployment.path or 'the deployment'}",
            ) from None


def _start(folder: Folder, launch: Launch, progress: Progress, *, attached: bool) -> None:
    process = Process(
        python_module("shipfit.serve.supervisor", str(folder.path)),
        log=folder.log("supervisor"),
        survives_us=not attached,
    )
    try:
        supervisor = sessions.Session.of(process.pid)
        if supervisor is None:
            raise EnvironmentFailure("the supervisor did not start", log=folder.log("supervisor"))
        _wait_ready(folder, launch, supervisor, progress)
        _started[launch.name] = process
    except BaseException:
        process.stop(_STOP_LIMIT_S)
        _end_leftovers(folder, progress)
        raise


def _wait_ready(folder: Folder, launch: Launch, supervisor: sessions.Session, progress: Progress) -> None:
    """Until every replica is healthy and the router passes requests on.

    Raises:
        EnvironmentFailure: a process failed; everything is stopped then.
    """
    while True:
        lives = supervisor.leader_lives()  # before the status: what it wrote last counts
        seen = folder.status()
        if seen and seen.state == "failed":
            raise EnvironmentFailure(f"{launch.name}: {seen.note}", log=seen.failed_log)
        if not lives:
            raise EnvironmentFailure(
                f"{launch.name} was stopped while it started", log=folder.log("supervisor")
            )
        if seen and seen.state == "ready" and _answers(folder, launch):
            return
        if seen:
            progress.update(_what_they_do(folder, seen))
        time.sleep(_POLL_S)


def _what_they_do(folder: Folder, seen: DeploymentStatus) -> str:
    busy = [child for child in seen.children if child.state != "ready"]
    return "; ".join(
        f"{child.name}: {last_line(folder.log(child.name))[:70] or child.state}" for child in busy
    )


def _answers(folder: Folder, launch: Launch) -> bool:
    headers = {"Authorization": f"Bearer {folder.api_key()}"}
    try:
        answer = httpx.get(f"{_base_url(launch)}/models", headers=headers, timeout=5, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK


def _stop_supervisor(supervisor: sessions.Session) -> None:
    """SIGTERM, and a second one, which skips the draining, if the user does not want to wait."""
    os.kill(supervisor.pid, signal.SIGTERM)
    try:
        sessions.wait_for_end(supervisor, _STOP_LIMIT_S)
    except KeyboardInterrupt:
        os.kill(supervisor.pid, signal.SIGTERM)
        sessions.wait_for_end(supervisor, SHUTDOWN_TIMEOUT_S)
        raise


def _end_leftovers(folder: Folder, progress: Progress) -> None:
    """End what a supervisor that was killed, or that hangs, has left behind."""
    launch, seen = folder.launch(), folder.status()
    if seen:
        left = [seen.supervisor, *(child.session for child in seen.children if child.session)]
        if number := sessions.kill(left):
            progress.note(f"ended {number} processes that an earlier run left behind")
    if launch:
        launch.discard_temporary()


def _processes(folder: Folder, launch: Launch, seen: DeploymentStatus) -> list[ProcessStatus]:
    places = {each.name: str(folder.path / each.socket) for each in launch.replicas}
    places[launch.router.name] = f"127.0.0.1:{launch.port}"
    return [
        ProcessStatus(
            name=child.name,
            state=child.state,
            pid=child.session.pid if child.session else None,
            address=places.get(child.name, ""),
            restarts=child.restarts,
            resident_bytes=sessions.resident_bytes(child.session) if child.session else 0,
            since=child.since,
            log=folder.log(child.name),
            note=child.note,
        )
        for child in seen.children
    ]
