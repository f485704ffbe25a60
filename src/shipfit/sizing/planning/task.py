"""What is to be planned, and what came of an option."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from shipfit.models import ModelFacts
from shipfit.sizing.planning.cost import Prices
from shipfit.sizing.planning.options import Option, Pool
from shipfit.sizing.size import Sizing
from shipfit.sizing.speed import Speed
from shipfit.spec import Deployment


@dataclass(frozen=True)
class Task:
    """What is to be planned.

    Attributes:
        deployment: what was promised, and what the user has pinned.
        facts: the model.
        pools: the GPUs at hand; order breaks ties.
        prices: the user's; None where there are none.
        shared: figures that several options have in common, computed once.
    """

    deployment: Deployment
    facts: ModelFacts
    pools: Sequence[Pool]
    prices: Prices | None = None
    shared: dict[tuple[object, ...], float] = field(default_factory=dict, repr=False)

    def cost(self, option: Option, replicas: int) -> float:
        """What an option is compared by: its price an hour, else the GB of GPU memory that it takes."""
        gpu = option.pool.gpu
        each = self.prices.hour[gpu.name] if self.prices else gpu.memory_gb
        return (replicas + self.spare(option)) * option.units * each

    def spare(self, option: Option) -> int:
        """Replicas whose GPUs are kept free; a processor has no others to keep."""
        return int(self.deployment.spare and not option.cores)

    def cost_text(self, amount: float) -> str:
        """A cost as people say it."""
        return (
            f"{amount:,.2f} {self.prices.currency} an hour" if self.prices else f"{amount:,.0f} GB of memory"
        )


@dataclass(frozen=True)
class Verdict:
    """What came of an option.

    Attributes:
        option: the option.
        replicas: how many replicas; the fewest that hold the promise, or those that came nearest.
        refusal: the first reason against it; None where it holds the promise.
        dearer: whether that is its cost alone.
        possible: whether the hardware and the checkpoint allow it at all, memory and speed aside.
        utilization: share of a GPU's memory for vLLM; None for its default.
        sizing: the memory of one replica; None where that was not looked at.
        speed: what the workload sees; None without a workload, or where it was not looked at.
    """

    option: Option
    replicas: int
    refusal: str | None
    dearer: bool = False
    possible: bool = True
    utilization: float | None = None
    sizing: Sizing | None = None
    speed: Speed | None = None

    @property
    def place(self) -> str:
        """Where: ``4 x L4``, ``3 replicas of 2 x L4``."""
        return self.option.place if self.replicas == 1 else f"{self.replicas} replicas of {self.option.place}"

    @property
    def name(self) -> str:
        """As people say it: ``bf16 on 3 replicas of 2 x L4``."""
        return f"{self.option.precision} on {self.place}"

    @property
    def holds(self) -> bool:
        """Whether it holds the promise."""
        return self.refusal is None
