"""What users write: Deployment and Pipeline, read from YAML into validated models."""

from shipfit.spec.deployment import Deployment, Hardware, Promise, Router, Slo, Workload
from shipfit.spec.load import load
from shipfit.spec.pipeline import Calibration, Gate, Pipeline, Recipe
from shipfit.spec.schema import KINDS, json_schema

__all__ = [
    "KINDS",
    "Calibration",
    "Deployment",
    "Gate",
    "Hardware",
    "Pipeline",
    "Promise",
    "Recipe",
    "Router",
    "Slo",
    "Workload",
    "json_schema",
    "load",
]
