"""Writes Envoy's configuration in a router's pod, with the keys of a Secret: ``python -m shipfit.serve.pod.router``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import Field, ValidationError

from shipfit.core.errors import ExitCode, InputError, from_os_error
from shipfit.core.paths import write_atomically
from shipfit.serve.pod import program
from shipfit.serve.pod.drain import ADMIN_PORT
from shipfit.serve.router import Canary, RoutedModel, RouterSettings, Service, render
from shipfit.spec.base import Section

_RESOLVER = Path("/etc/resolv.conf")
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - the pod's own address is not known before it runs; NetworkPolicy guards it


class CanarySettings(Section):
    """Replicas of a new version.

    Attributes:
        service: a headless Service that names them.
        percent: of the model's requests that they get.
    """

    service: str = Field(min_length=1)
    percent: int = Field(ge=1, le=99)


class ModelSettings(Section):
    """A model that is served.

    Attributes:
        name: the ``model`` of a request.
        service: a headless Service that names its replicas.
        port: theirs, and of the canary's.
        canary: of a new version, where there is one.
        wait: seconds that a request waits where no replica is known.
        wakes: whether a request is what makes the first one come.
    """

    name: str = Field(min_length=1)
    service: str = Field(min_length=1)
    port: int
    canary: CanarySettings | None = None
    wait: int = Field(default=0, ge=0)
    wakes: bool = False

    def routed(self) -> RoutedModel:
        """As the router knows it."""
        given = self.canary
        canary = Canary(self._found(given.service), given.percent) if given else None
        return RoutedModel(self.name, self._found(self.service), canary, self.wait, self.wakes)

    def _found(self, service: str) -> Service:
        return Service(absolute(service), self.port)


class Settings(Section):
    """What the chart says of a router.

    Attributes:
        port: the public port.
        admin: Envoy's administration, on loopback.
        metrics: for Prometheus and the probes.
        keys: a file with one API key a line; left out, nobody is asked for one.
    """

    port: int
    admin: int = ADMIN_PORT
    metrics: int
    keys: Path | None = None
    models: list[ModelSettings] = Field(min_length=1)


def absolute(service: str) -> str:
    """The whole name of a Service, with the cluster's domain, which is among those that a pod searches; as it is else.

    Any other name is asked for in each of them, every second, and where no pod is ready in the end outside the cluster:
    Envoy keeps replicas that are gone while nobody there answers.

    Args:
        service: ``NAME.NAMESPACE.svc``.
    """
    text = _RESOLVER.read_text() if _RESOLVER.exists() else ""
    lines = (line.split() for line in text.splitlines())
    searched = [domain for line in lines if line[:1] == ["search"] for domain in line[1:]]
    domain = next((each for each in searched if each.startswith("svc.")), None)
    return f"{service.removesuffix('.svc')}.{domain.rstrip('.')}." if domain else service


def configuration(file: Path) -> str:
    """Envoy's configuration for a file of settings.

    Raises:
        InputError: the file or the keys are not as they should be.
    """
    settings = _read(file)
    return render(
        RouterSettings(
            port=settings.port,
            api_keys=_keys(settings.keys) if settings.keys else [],
            models=[each.routed() for each in settings.models],
            address=_EVERYWHERE,
            admin=settings.admin,
            metrics_port=settings.metrics,
        )
    )


def _read(file: Path) -> Settings:
    try:
        return Settings.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(
            first["msg"], hint="render the chart again", where=str(file), field=field or None
        ) from None
    except OSError as error:
        raise from_os_error(error, "reading the settings") from error


def _keys(file: Path) -> list[str]:
    try:
        keys = file.read_text().split()
    except FileNotFoundError:
        raise InputError(
            "there is no such file", hint="check router.apiKey: the Secret and its key", where=str(file)
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot be read: {error}", hint="write text into the Secret", where=str(file)
        ) from error
    if not keys:
        raise InputError("holds no key", hint="write at least one into the Secret", where=str(file))
    return keys


def main(words: list[str]) -> ExitCode:
    """Write the configuration; returns the exit code."""
    parser = argparse.ArgumentParser(prog="shipfit.serve.pod.router", description=__doc__)
    parser.add_argument(
        "--settings", type=Path, required=True, help="what the chart says of the router, as JSON"
    )
    parser.add_argument("--to", type=Path, required=True, help="where to write the configuration")
    given = parser.parse_args(words)

    def work() -> None:
        write_atomically(given.to, configuration(given.settings), mode=0o600)

    return program.run("router", work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
