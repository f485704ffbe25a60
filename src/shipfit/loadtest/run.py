"""A load test from its deployment to its report."""

from __future__ import annotations

import ipaddress
import shlex
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from shipfit import __version__
from shipfit.core.errors import InputError, MeasurementError
from shipfit.core.paths import state_dir
from shipfit.core.progress import Progress
from shipfit.environments import pinned_version
from shipfit.loadtest import statistics
from shipfit.loadtest.generator import LostRecordsError, Target, Traffic, generate
from shipfit.loadtest.report import LoadTestReport
from shipfit.loadtest.schedule import arrivals
from shipfit.serve.local import Running
from shipfit.spec import Deployment, Workload
from shipfit.spec.base import API_VERSION


def run_load_test(deployment: Deployment, running: Running, progress: Progress) -> LoadTestReport:
    """Send the deployment's workload to it and judge the answers by its SLO.

    Raises:
        InputError: the deployment states no workload, or too large a one, or its address is not on this machine.
        MeasurementError: the client did not keep up; the SLO is not judged.
        EnvironmentFailure: the load generator failed.
    """
    workload = require_workload(deployment)
    require_loopback(running.base_url)
    target = Target(running.base_url, running.api_key, running.model_name, _tokenizer(running.model_path))
    due = arrivals(workload)
    log = state_dir("reports", deployment.name) / "loadtest.log"
    begun = datetime.now(UTC)
    with progress.step(f"{len(due)} requests over {workload.duration_s:g} s"):
        try:
            traffic = generate(target, workload, due, progress, log=log)
        except LostRecordsError as error:
            progress.note(f"{error.message}; sending all of them again")
            traffic = generate(target, workload, due, progress, log=log)
    report = make_report(deployment, workload, running, traffic, begun)
    if not report.client.healthy:
        raise MeasurementError(
            f"the load generator did not keep up, so the SLO is not judged: {'; '.join(report.client.problems)}",
            hint="lower workload.request_rate, or run it where more cores are free",
            log=log,
        )
    return report


def require_workload(deployment: Deployment) -> Workload:
    """The deployment's workload.

    Raises:
        InputError: it states none.
    """
    if deployment.workload is None:
        raise InputError(
            "is missing, so there is no traffic to test with",
            hint="add it, with request_rate, input_tokens and output_tokens",
            where=str(deployment.path or deployment.name),
            field="workload",
        )
    return deployment.workload


def require_loopback(url: str) -> None:
    """Refuse to load any other machine than this one.

    Raises:
        InputError: the address is not on the loopback interface.
    """
    host = urlsplit(url).hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise InputError(
            f"{host or url} is not on this machine", hint="a load test goes to a deployment of `shipfit up`"
        )


def make_report(
    deployment: Deployment, workload: Workload, running: Running, traffic: Traffic, begun: datetime
) -> LoadTestReport:
    """The report of the traffic."""
    records = traffic.records
    good = [record for record in records if record.succeeded]
    failed = len(records) - len(good)
    figures = statistics.latency(records)
    rates = statistics.throughput(records, workload)
    prompts = statistics.distribution(record.input_tokens for record in good)
    answers = statistics.distribution(record.output_tokens for record in good)
    return LoadTestReport(
        apiVersion=API_VERSION,
        name=deployment.name,
        created_at=begun,
        base_url=running.base_url,
        model=running.model_name,
        command=f"shipfit loadtest {shlex.quote(_shown(deployment.path))}",
        versions={"shipfit": __version__, "guidellm": pinned_version("guidellm")},
        workload=workload,
        slo=deployment.slo,
        requests=len(records),
        succeeded=len(good),
        input_tokens=prompts.mean if prompts else None,
        output_tokens=answers.mean if answers else None,
        latency=figures,
        throughput=rates,
        errors=statistics.errors(records),
        client=statistics.client_health(records, rates, figures.ttft_ms, traffic.cpu_share),
        verdict=statistics.judge(deployment.slo, figures, failed / len(records)),
        notes=statistics.caveats(figures, failed),
        records=records,
    )


def _tokenizer(model_path: Path) -> Path:
    path = model_path / "tokenizer.json"
    if not path.exists():
        raise InputError(
            f"{model_path} has no tokenizer.json, which prompts are made with",
            hint="save the model's tokenizer by transformers, which writes one",
        )
    return path


def _shown(path: Path | None) -> str:
    """The deployment's file as a person would type it here."""
    if path is None:
        return "FILE"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
