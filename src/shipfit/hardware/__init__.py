"""Hardware: the catalogue of GPUs, a data file with a source for each, and this machine's processor by a probe."""

from shipfit.hardware.catalogue import CPU, anonymous, gpu, gpus
from shipfit.hardware.gpu import Cpu, Gpu, Link, Mig

__all__ = ["CPU", "Cpu", "Gpu", "Link", "Mig", "anonymous", "gpu", "gpus"]
