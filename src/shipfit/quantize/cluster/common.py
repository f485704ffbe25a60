"""What both kinds of Ray have in common: whether it is installed, how it is set, what its nodes hold."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Protocol

from shipfit.core.errors import EnvironmentFailure
from shipfit.quantize.stages import Needs

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Else Ray packs up the working folder and makes environments of its own when shipfit is run by `uv run`.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray's future default; without it every start warns of the change.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class Ray(Protocol):
    """A Ray that stages run on."""

    @property
    def nodes(self) -> list[Needs]:
        """What each of its nodes holds in all."""

    @property
    def grows(self) -> bool:
        """Whether nodes may be added while a stage waits."""

    def check(self, doing: str) -> None:
        """Look whether it is still there.

        Raises:
            EnvironmentFailure: it is not, and ``doing`` failed by that.
        """


def require_ray() -> None:
    """Make sure that Ray can be imported.

    Raises:
        EnvironmentFailure: it is not installed.
    """
    if find_spec("ray") is None:
        raise EnvironmentFailure(
            "running a pipeline needs Ray, which is not installed", hint="pip install 'shipfit[ray]'"
        )


def configure() -> None:
    """Set what has to be set before Ray is imported."""
    os.environ.update(_SETTINGS)


def nodes_of_ray() -> list[Needs]:
    """What each living node of the Ray that we are connected to holds in all."""
    import ray

    return [
        Needs(
            cpus=int(node["Resources"].get("CPU", 0)),
            gpus=int(node["Resources"].get("GPU", 0)),
            memory_bytes=int(node["Resources"].get("memory", 0)),
        )
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]


def one_line(error: BaseException) -> str:
    """What Ray says of an error, in one line."""
    return " ".join(str(error).split())[:200]
