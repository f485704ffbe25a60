"""Sizing: the memory model, the speed model and the planner. Pure functions on facts, hardware and precisions."""

from shipfit.sizing.plan import Memory, Plan, PredictedSpeed, Rejected
from shipfit.sizing.planner import make_plan
from shipfit.sizing.size import Sizing, size
from shipfit.sizing.speed import Replica, Speed, serve

__all__ = [
    "Memory",
    "Plan",
    "PredictedSpeed",
    "Rejected",
    "Replica",
    "Sizing",
    "Speed",
    "make_plan",
    "serve",
    "size",
]
