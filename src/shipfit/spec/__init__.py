"""What users write: Deployment, Pipeline, Policy and PriceList, read from YAML into validated models."""

from shipfit.spec.deployment import Cluster, Deployment, Hardware, Promise, Router, Slo, Workload
from shipfit.spec.load import blame, load, locate
from shipfit.spec.pipeline import Calibration, Gate, Generation, Pipeline, Recipe, Serving, Tasks, TextSource
from shipfit.spec.policy import ChannelRules, Policy, Retention
from shipfit.spec.precision import Precision
from shipfit.spec.prices import Price, PriceList
from shipfit.spec.signing import SignedBy, Signing, by_key

__all__ = [
    "Calibration",
    "ChannelRules",
    "Cluster",
    "Deployment",
    "Gate",
    "Generation",
    "Hardware",
    "Pipeline",
    "Policy",
    "Precision",
    "Price",
    "PriceList",
    "Promise",
    "Recipe",
    "Retention",
    "Router",
    "Serving",
    "SignedBy",
    "Signing",
    "Slo",
    "Tasks",
    "TextSource",
    "Workload",
    "blame",
    "by_key",
    "load",
    "locate",
]
