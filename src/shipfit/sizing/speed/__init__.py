"""The speed of one replica: prompts bound by compute, decoding by memory bandwidth, both by launches and messages.

``work`` counts what a step has to do, ``efficiencies`` knows what real kernels reach, ``gpu_times`` and ``cpu_times``
make seconds of the two, ``serving`` makes of those what users see. All times in seconds, all functions are pure.
"""

from shipfit.sizing.speed.replica import Replica
from shipfit.sizing.speed.serving import Speed, max_rate, prefill_s, serve, steady, step_s

__all__ = ["Replica", "Speed", "max_rate", "prefill_s", "serve", "steady", "step_s"]
