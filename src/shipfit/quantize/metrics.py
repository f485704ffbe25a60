"""A run's figures in Prometheus' text format, for the textfile collector of node_exporter or a push gateway.

| metric | labels | meaning |
|---|---|---|
| shipfit_pipeline_exit_code | pipeline | of the run: 0, or the code of ``shipfit quantize`` |
| shipfit_pipeline_end_seconds | pipeline | when it ended, in Unix time |
| shipfit_pipeline_unchanged | pipeline | 1 where nothing had to be done |
| shipfit_pipeline_stage_seconds | pipeline, stage | how long each stage took |
| shipfit_artifact_created_seconds | pipeline | when the artifact in the channel was committed, in Unix time |
| shipfit_artifact_bytes | pipeline | bytes of the artifact in the channel |
| shipfit_gate_figure | pipeline, figure | what the gate measured: of it, or of what it refused |
| shipfit_gate_limit | pipeline, limit | what that was held to |
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from shipfit.core.errors import ExitCode, ShipfitError, from_os_error

if TYPE_CHECKING:
    from shipfit.artifacts import GateResult
    from shipfit.quantize.pipeline import Outcome


def write_metrics(path: Path, pipeline: str, ended: Outcome | ShipfitError) -> None:
    """Write a run's figures, in place of those of an earlier run.

    Args:
        path: usually ``*.prom``.
        pipeline: its name.
        ended: what the run led to. Of a verdict the figures are told, too.

    Raises:
        EnvironmentFailure: the file cannot be written.
    """
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()

    def tell(name: str, meaning: str, value: float, **labels: str) -> None:
        gauge = gauges.get(name) or Gauge(name, meaning, ["pipeline", *labels], registry=registry)
        gauges[name] = gauge
        gauge.labels(pipeline=pipeline, **labels).set(value)

    gauges: dict[str, Gauge] = {}
    code = ended.exit_code if isinstance(ended, ShipfitError) else ExitCode.YES
    tell("shipfit_pipeline_exit_code", "Exit code of the run", code)
    tell("shipfit_pipeline_end_seconds", "When the run ended", time.time())
    if not isinstance(ended, ShipfitError):
        manifest = ended.manifest
        tell("shipfit_pipeline_unchanged", "Whether nothing had to be done", ended.unchanged)
        for stage, seconds in ended.seconds.items():
            tell("shipfit_pipeline_stage_seconds", "How long a stage took", seconds, stage=stage)
        created = manifest.created_at.timestamp()
        tell("shipfit_artifact_created_seconds", "When the artifact was committed", created)
        tell("shipfit_artifact_bytes", "Bytes of the artifact", manifest.total_bytes)
    gate: GateResult | None = getattr(ended, "gate", None)
    if gate:
        for figure, value in gate.figures.items():
            tell("shipfit_gate_figure", "What the gate measured", value, figure=figure)
        for limit, value in gate.limits.items():
            tell("shipfit_gate_limit", "What the gate held it to", value, limit=limit)
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise from_os_error(error, "writing the metrics") from error
