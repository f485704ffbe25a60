"""What was measured of each pipeline, kept between runs; and whether that is still of the recipes at hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, JsonValue, TypeAdapter

from shipfit.artifacts import fingerprint
from shipfit.core.paths import write_atomically
from shipfit.quantize.inputs import LIMITS
from shipfit.spec import Pipeline, load

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = ROOT / "pipelines"
ROWS = ROOT / "docs" / "precisions" / "rows.json"


class Run(BaseModel):
    """How an artifact was made, in the run that made it.

    Attributes:
        seconds: wall time from the pipeline's start to the artifact's answer.
        cores: that it could use.
        load: the load average of the last minute at the start and at the end; this run's own work included.
    """

    seconds: float
    cores: int
    load: tuple[float, float]


class Answer(BaseModel):
    """What an artifact went on with, greedily.

    Attributes:
        engine: that gave it, with its version; empty where none did.
        prompt: what was asked.
        text: the answer.
        refused: why vLLM does not serve it here, in vLLM's words; None where it does, or is not meant to.
    """

    engine: str = ""
    prompt: str = ""
    text: str = ""
    refused: str | None = None


class Row(BaseModel):
    """A pipeline's artifact: published, pulled and asked, or refused by the gate.

    Attributes:
        digest: of all that the pipeline says but the gate's limits: with another, the row is stale.
        fingerprint: of the artifact.
        engine: that made it, with its version.
        recipe: with every setting settled.
        calibration: samples and tokens of each; None where the recipe needs no text.
        quantize_s: wall time of the engine's stage.
        run: the run that made it; None where a command before this one did.
        source_bytes: of the source's weights.
        weight_bytes: of the artifact's.
        figures: the gate's, those that are numbers.
        intervals: 95% intervals of those that have one.
        failures: why the gate refused it; empty where it is published.
        answer: of the engine that serves it, or stands in for that.
        planned: why shipfit's plan would not serve it on this machine; None where it would.
    """

    digest: str
    fingerprint: str
    engine: str
    recipe: dict[str, JsonValue]
    calibration: tuple[int, int] | None
    quantize_s: float
    run: Run | None
    source_bytes: int
    weight_bytes: int
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    failures: tuple[str, ...] = ()
    answer: Answer
    planned: str | None


class Refusal(BaseModel):
    """A pipeline that is refused here before any work.

    Attributes:
        digest: as of a row.
        refusal: why, in the words of the check.
    """

    digest: str
    refusal: str


Rows = dict[str, Row | Refusal]
"""By the name of the pipeline's file, without its suffix."""

_ROWS = TypeAdapter(Rows)


def pipeline_files() -> list[Path]:
    """Every pipeline of the bundled model."""
    return sorted(PIPELINES.glob("gemma-3-270m-*.yaml"))


def read_rows() -> Rows:
    """What earlier runs measured; nothing before the first."""
    return _ROWS.validate_json(ROWS.read_bytes()) if ROWS.exists() else {}


def write_rows(rows: Rows) -> None:
    """Keep rows for later runs, without those of files that are gone."""
    known = {file.stem for file in pipeline_files()}
    kept = {name: rows[name] for name in sorted(rows) if name in known}
    ROWS.parent.mkdir(exist_ok=True)
    write_atomically(
        ROWS, json.dumps(_ROWS.dump_python(kept, mode="json"), indent=1, ensure_ascii=False) + "\n"
    )


def digest(pipeline: Pipeline) -> str:
    """Digest of all that a pipeline says of its artifact and of how that is measured, the limits apart."""
    said = pipeline.model_dump(mode="json", include={"source", "recipe", "calibration"})
    measured = pipeline.gate.model_dump(
        mode="json", include={"dataset", "samples", "tokens", "seed", "generation"}, exclude=LIMITS
    )
    return fingerprint({**said, "gate": measured})


def stale(files: Iterable[Path], rows: Mapping[str, Row | Refusal]) -> Iterator[str]:
    """A line for each pipeline that has no row, or one of another recipe, and for each row without a pipeline."""
    names = set()
    for file in files:
        names.add(file.stem)
        row = rows.get(file.stem)
        if row is None:
            yield f"{file.name} was not measured"
        elif row.digest != digest(load(file, Pipeline)):
            yield f"{file.name} says something else than what was measured"
    yield from (f"there is no {name}.yaml any more" for name in sorted(rows.keys() - names))
