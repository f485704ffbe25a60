"""Room on this machine's disks for what a run makes, and what it keeps."""

from __future__ import annotations

from collections.abc import Sequence

from shipfit.core.disk import Wanted, require_room
from shipfit.core.paths import cache_dir, data_dir, state_dir
from shipfit.core.units import GIB
from shipfit.models import ModelFacts
from shipfit.quantize.engines import Engine
from shipfit.quantize.preflight.calibration import Needs, baseline_bytes
from shipfit.quantize.preflight.memory import wide_bytes
from shipfit.spec import Pipeline


def require_disk(pipeline: Pipeline, facts: ModelFacts, made: Sequence[tuple[Engine, Needs]]) -> None:
    """Refuse a run whose artifacts, or what it keeps of the source, this machine's disks have no room for.

    Args:
        pipeline: the spec.
        facts: of the source.
        made: the engines, each with its recipe, and what they need.

    Raises:
        EnvironmentFailure: too little is free.
    """
    artifacts = sum(needed.disk_gib for _, needed in made) * GIB
    formats = {engine.declared.writes for engine, _ in made}
    kept = baseline_bytes(facts, pipeline.gate) * len(formats)
    if "gguf" in formats:  # the source itself, in that format
        kept += wide_bytes(facts)
    wanted = [
        Wanted("what is made", artifacts, state_dir("pipelines"), "SHIPFIT_STATE_DIR"),
        Wanted("what is kept of the source", kept, cache_dir("baselines"), "SHIPFIT_CACHE_DIR"),
    ]
    if pipeline.store is None:
        wanted.append(Wanted("its copy in the store", artifacts, data_dir("store"), "SHIPFIT_DATA_DIR"))
    require_room(*wanted)
