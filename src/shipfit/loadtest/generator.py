"""Running guidellm: our schedule and prompts in, its record of every request out.

guidellm sends what its ``replay`` profile is told, at the times it is told. Its own Poisson profile would do less: at
the end of the time it drops what is in flight, so the slowest answers would be missing from the figures.

The key goes into its configuration file, which only we can read; nothing of it is in the argument list.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipfit.core.errors import EnvironmentFailure, MeasurementError
from shipfit.core.paths import state_dir, write_atomically
from shipfit.core.process import Process, child_environment, describe_exit, last_words
from shipfit.core.progress import Progress
from shipfit.core.worker import run_worker
from shipfit.environments import Environment, ensure
from shipfit.loadtest.client import CpuWatch
from shipfit.loadtest.records import RequestRecord, parse
from shipfit.spec import Workload

PATIENCE_S = 60.0
"""A request may be silent for this long, and the last ones have this long after the traffic's end."""

_STARTUP_S = 120.0
_WORKER = Path(__file__).with_name("worker.py")
_ENVIRONMENT = {
    # One: with its default of ten processes, a small machine sends late and in bursts.
    "GUIDELLM__MAX_WORKER_PROCESSES": "1",
    # See LostRecordsError: fewer time-outs of that wait. More than a second would make every run longer.
    "GUIDELLM__MP_POLL_INTERVAL": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
    "NO_PROXY": "127.0.0.1,localhost,::1",
    "no_proxy": "127.0.0.1,localhost,::1",
}


class LostRecordsError(MeasurementError):
    """The generator did its work and lost a part of its record.

    guidellm 0.8.1 drops the record of the request that ends last when a wait of its coordinator
    (``WorkerProcessGroup.request_updates``) times out between the signal that all is done and the record's arrival;
    on busy cores, and with its default time-out of 0.1 s, that was one run in six.
    """


@dataclass(frozen=True)
class Target:
    """Where requests go.

    Attributes:
        base_url: ends in ``/v1``.
        model: what requests name.
        tokenizer: path of the model's tokenizer.json.
    """

    base_url: str
    api_key: str
    model: str
    tokenizer: Path


@dataclass(frozen=True)
class Traffic:
    """What was sent and came back.

    Attributes:
        records: in the order in which they were due.
        cpu_share: what the busiest process of the client took of a core while requests were sent; None if the
            traffic was too short to tell.
    """

    records: list[RequestRecord]
    cpu_share: float | None


def generate(
    target: Target,
    workload: Workload,
    due: Sequence[float],
    progress: Progress,
    *,
    log: Path,
    patience_s: float = PATIENCE_S,
) -> Traffic:
    """Send the requests at their times and wait for the answers.

    Args:
        due: seconds after the beginning, in order.
        log: gets what guidellm prints.
        patience_s: see ``PATIENCE_S``.

    Raises:
        EnvironmentFailure: guidellm failed, or did not end in its time.
        LostRecordsError: guidellm lost records.
    """
    environment = ensure("guidellm", progress=progress)
    with tempfile.TemporaryDirectory(dir=state_dir("loadtest")) as name:
        folder = Path(name)  # mode 0700
        progress.update("making prompts")
        run_worker(
            environment.python,
            _WORKER,
            {
                "tokenizer": str(target.tokenizer),
                "path": str(folder / "requests.jsonl"),
                "due": list(due),
                "input_tokens": workload.input_tokens,
                "output_tokens": workload.output_tokens,
                "seed": workload.seed,
            },
            doing="making prompts",
            log=log,
            report=progress.update,
        )
        configuration = _configuration(folder, target, workload, patience_s)
        write_atomically(folder / "config.json", json.dumps(configuration), mode=0o600)
        watch = _run(environment, folder, workload, patience_s, progress, log)
        return _read(folder / "report.json", workload, due, watch, log)


def _configuration(folder: Path, target: Target, workload: Workload, patience_s: float) -> dict[str, Any]:
    backend = {
        "kind": "openai_http",
        "target": target.base_url,
        "model": target.model,
        "api_key": target.api_key,
        "request_format": "/v1/completions",
        "stream": True,
        "timeout": patience_s,
        "follow_redirects": False,
        "validate_backend": False,  # it asks for /health, which the router keeps inside
    }
    return {
        "spec": {
            "backend": backend,
            "profile": {"kind": "replay", "schedule_turn": "timestamp"},
            "constraints": [{"kind": "max_duration", "seconds": workload.duration_s + patience_s}],
            "tokenizer": {"kind": "huggingface_auto", "model": str(target.tokenizer.parent)},
            "data": [
                {
                    "kind": "json_file",
                    "path": str(folder / "requests.jsonl"),
                    "load_kwargs": {"split": "train"},
                }
            ],
            "seed": {"kind": "static", "value": workload.seed},
            # No prompts and answers in the output, and no opinions on them: the figures are ours to judge.
            "metrics": {"kind": "generative", "sample_size": 0, "warnings": []},
            "outputs": [{"kind": "json", "path": str(folder / "report.json")}],
        }
    }


def _run(
    environment: Environment,
    folder: Path,
    workload: Workload,
    patience_s: float,
    progress: Progress,
    log: Path,
) -> CpuWatch:
    begun: list[float] = []

    def on_line(line: str) -> None:
        if "Starting benchmark" in line:
            begun.append(time.monotonic())

    argv: list[str | Path] = [
        environment.program("guidellm"),
        "run",
        "--config",
        folder / "config.json",
        "--disable-console",
    ]
    env = child_environment({**_ENVIRONMENT, "HF_HOME": str(folder / "hf")})
    limit = time.monotonic() + _STARTUP_S + workload.duration_s + 2 * patience_s
    with Process(argv, env=env, cwd=folder, log=log, on_line=on_line) as process:
        watch = CpuWatch(process.pid)
        while process.returncode is None:
            if time.monotonic() > limit:
                raise EnvironmentFailure("the load generator did not end in its time", log=log)
            watch.sample()
            passed = time.monotonic() - begun[0] if begun else 0.0
            progress.update("sending requests" if begun else "starting guidellm", _fraction(passed, workload))
            time.sleep(0.5)
        code = process.wait()
        if code != 0:
            raise EnvironmentFailure(
                f"the load generator failed: guidellm {describe_exit(code)}: {last_words(process.tail)}",
                log=log,
            )
    return watch


def _fraction(passed_s: float, workload: Workload) -> float:
    return min(1.0, passed_s / workload.duration_s)


def _read(path: Path, workload: Workload, due: Sequence[float], watch: CpuWatch, log: Path) -> Traffic:
    try:
        output = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EnvironmentFailure("the load generator ended without a report", log=log) from error
    records = parse(output, expected_tokens=workload.output_tokens)
    state = output["benchmarks"][0]["scheduler_state"]
    beginning = state["start_time"]
    # What guidellm saw begin and never saw end, although it ended by itself.
    lost = min(state["processing_requests"], len(due) - len(records))
    if lost > 0:
        raise LostRecordsError(
            f"guidellm lost the records of {lost} of {len(due)} requests",
            hint="run the command again",
            log=log,
        )
    return Traffic(
        records=_with_missing(records, due),
        cpu_share=watch.busiest(beginning + due[0], beginning + due[-1]),
    )


def _with_missing(records: list[RequestRecord], due: Sequence[float]) -> list[RequestRecord]:
    """Add what was due and is not in the report: it was never sent."""
    known = {record.scheduled_s for record in records}
    missing = [
        RequestRecord(scheduled_s=moment, error="unfinished", detail="never sent")
        for moment in due
        if moment not in known
    ]
    return sorted([*records, *missing], key=lambda record: record.scheduled_s)
