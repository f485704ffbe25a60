"""Before hours are spent: can the source be quantized here, in what memory and time, and served where it is to be?

Nothing of the model but its ``config.json`` and headers is read for it. What cannot go well is refused at once, with
the figures.
"""

from shipfit.quantize.preflight.calibration import Needs, needs
from shipfit.quantize.preflight.check import preflight, require_possible
from shipfit.quantize.preflight.disk import require_disk

__all__ = ["Needs", "needs", "preflight", "require_disk", "require_possible"]
