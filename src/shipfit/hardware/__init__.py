"""Hardware: the catalogue of GPUs, a data file with a source for each, and this machine's processor by a probe."""

from shipfit.hardware.catalogue import CPU, anonymous, gpu, gpus
from shipfit.hardware.gpu import Cpu, Gpu

__all__ = ["CPU", "Cpu", "Gpu", "anonymous", "gpu", "gpus"]
