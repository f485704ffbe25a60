"""Pipelines: a model quantized in its engine's own environment, gated on held-out text, published to a channel."""

from shipfit.quantize.metrics import write_metrics
from shipfit.quantize.pipeline import Outcome, run_pipeline

__all__ = ["Outcome", "run_pipeline", "write_metrics"]
