from __future__ import annotations

from dataclasses import dataclass, field

from shipfit.quantize.cluster.tasks import Cluster
from shipfit.quantize.stages import Needs


@dataclass
class Nodes:
    """A Ray of which only its nodes are asked."""

    nodes: list[Needs] = field(default_factory=list)
    grows: bool = True

    def check(self, doing: str) -> None:
        raise NotImplementedError


def test_a_stage_takes_all_of_the_largest_node_and_never_fits_a_head_without_processors() -> None:
    head = Needs(cpus=0, memory_bytes=2**32)
    assert Cluster(Nodes([head, Needs(cpus=4), Needs(cpus=2)])).cpus == 4
    assert Cluster(Nodes([head])).cpus == 1
    assert Cluster(Nodes()).cpus == 1
