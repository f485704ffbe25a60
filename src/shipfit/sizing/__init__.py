"""Sizing: the memory model, the speed model and the planner. Pure functions on facts, hardware and precisions."""

from shipfit.sizing.planning.cost import Prices
from shipfit.sizing.planning.options import Pool, served_as
from shipfit.sizing.planning.plan import Memory, Plan, PredictedSpeed, Quality, Rejected
from shipfit.sizing.planning.planner import make_plan
from shipfit.sizing.seats import seats
from shipfit.sizing.settings import Settings
from shipfit.sizing.size import Sizing, size
from shipfit.sizing.speed import Replica, Speed, max_rate, serve, steady

__all__ = [
    "Memory",
    "Plan",
    "Pool",
    "PredictedSpeed",
    "Prices",
    "Quality",
    "Rejected",
    "Replica",
    "Settings",
    "Sizing",
    "Speed",
    "make_plan",
    "max_rate",
    "seats",
    "serve",
    "served_as",
    "size",
    "steady",
]
