"""Precisions: number formats and quantization schemes as data, and which of vLLM's kernels multiplies them where."""

from shipfit.precision.kernel import FP8_KV_CACHE, Layout, Matrix
from shipfit.precision.kernels import Choice, choose
from shipfit.precision.scheme import Quality, Scheme, compute_format, scheme, schemes
from shipfit.spec.precision import Precision

__all__ = [
    "FP8_KV_CACHE",
    "Choice",
    "Layout",
    "Matrix",
    "Precision",
    "Quality",
    "Scheme",
    "choose",
    "compute_format",
    "scheme",
    "schemes",
]
