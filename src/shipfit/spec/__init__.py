"""What users write: Deployment, Pipeline and PriceList, read from YAML into validated models."""

from shipfit.spec.deployment import Deployment, Hardware, Promise, Router, Slo, Workload
from shipfit.spec.load import blame, load, locate
from shipfit.spec.pipeline import Calibration, Gate, Pipeline, Recipe
from shipfit.spec.precision import Precision
from shipfit.spec.prices import Price, PriceList

__all__ = [
    "Calibration",
    "Deployment",
    "Gate",
    "Hardware",
    "Pipeline",
    "Precision",
    "Price",
    "PriceList",
    "Promise",
    "Recipe",
    "Router",
    "Slo",
    "Workload",
    "blame",
    "load",
    "locate",
]
