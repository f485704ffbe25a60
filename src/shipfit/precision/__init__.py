"""Precisions: number formats and quantization schemes as data, and which hardware accepts them."""

from shipfit.precision.scheme import Scheme, scheme, schemes
from shipfit.spec.precision import Precision

__all__ = ["Precision", "Scheme", "scheme", "schemes"]
