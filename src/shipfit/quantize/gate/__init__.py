"""The gate: figures measured on held-out text, the limits of the spec, and what follows from both.

Pure functions decide; the scripts in ``workers/`` measure, each in the environment that has what it needs.
"""

from shipfit.quantize.gate.decide import Verdict, decide
from shipfit.quantize.gate.evidence import Evidence, from_result, merge, to_result
from shipfit.quantize.gate.limits import limits_of
from shipfit.quantize.gate.measurements import WORKERS, Measurement, measurements, with_task_files
from shipfit.quantize.gate.page import write_page

__all__ = [
    "WORKERS",
    "Evidence",
    "Measurement",
    "Verdict",
    "decide",
    "from_result",
    "limits_of",
    "measurements",
    "merge",
    "to_result",
    "with_task_files",
    "write_page",
]
