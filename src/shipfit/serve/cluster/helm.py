"""Helm for one release: rendering, changing, and the history that it keeps in the cluster. Helm 3 and 4."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipfit.core.errors import EnvironmentFailure, InputError, ShipfitError
from shipfit.core.process import Process
from shipfit.environments import embedded
from shipfit.serve.cluster.kubectl import OUT_OF_REACH
from shipfit.serve.cluster.programs import Done, call

HISTORY = 10
"""Revisions that Helm keeps, its own default: so far back a rollback goes."""

_TIMEOUT_S = 60
_PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")
_SCHEMA = re.compile(r"^- (?:at )?'?(?P<path>[^\s':]*)'?: (?P<what>.+)$")
_CANARY = "canary"
_FAILED = re.compile(r'^\w+ ".*" failed')
_WENT_BACK = re.compile(r"^Rollback to (?P<number>\d+)$")
_TEMPLATE_FAILS = re.compile(r"execution error at \([^)]*\): (?P<what>.+)$")


@dataclass(frozen=True)
class Revision:
    """A revision of a release, as ``helm history`` tells it.

    Attributes:
        status: ``deployed``, ``superseded``, ``failed``, ``pending-upgrade`` and so on.
        updated: when, in Helm's words.
    """

    number: int
    status: str
    updated: str
    description: str

    @property
    def pending(self) -> bool:
        """Whether Helm is at it, or was cut off."""
        return self.status in _PENDING

    @property
    def came_up(self) -> bool:
        """Whether it serves, or served once: a failed one too is called superseded, where going back from it failed."""
        return self.status in ("deployed", "superseded") and not _FAILED.match(self.description)

    @property
    def canary(self) -> bool:
        """Whether it was made to try a canary."""
        return self.description.startswith(_CANARY)


@dataclass(frozen=True)
class Current:
    """A release as it is in the cluster.

    Attributes:
        revisions: the oldest first; none where there is no release.
        values: of the revision that serves.
        manifest: the objects that Helm sent last, as YAML, whatever became of them.
    """

    revisions: list[Revision] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    manifest: str = ""

    @property
    def serving(self) -> Revision | None:
        """The revision that serves; None where none ever came up."""
        return next((each for each in reversed(self.revisions) if each.status == "deployed"), None)

    @property
    def settled(self) -> Revision | None:
        """The latest revision that came up and tries no canary: what serves, or served before the canary came."""
        return next((each for each in reversed(self.revisions) if self._whole(each)), None)

    @property
    def before(self) -> Revision | None:
        """The latest that served something else than what serves now, canaries left out; None where there is none."""
        now = self._origin(self.serving) if self.serving else None
        served = (each for each in reversed(self.revisions) if self._whole(each))
        return next((each for each in served if self._origin(each) != now), None)

    def _whole(self, revision: Revision) -> bool:
        origin = self._origin(revision)
        return revision.came_up and not any(each.canary for each in self.revisions if each.number == origin)

    def _origin(self, revision: Revision) -> int:
        """The number of the revision that first was what this one is: going back makes a new one of the same."""
        went_back = _WENT_BACK.match(revision.description)
        if went_back is None:
            return revision.number
        number = int(went_back["number"])
        return next((self._origin(each) for each in self.revisions if each.number == number), number)

    @property
    def pending(self) -> Revision | None:
        """The latest revision, where Helm is at it or was cut off."""
        return self.revisions[-1] if self.revisions and self.revisions[-1].pending else None


@dataclass(frozen=True)
class Helm:
    """Helm for one release.

    Attributes:
        release: its name.
        namespace: where it is.
        context: of the kubeconfig; None for the current one.
    """

    release: str
    namespace: str
    context: str | None = None

    def template(
        self, values: Sequence[Path], *, blamed: Path | None, version: tuple[int, int], upgrade: bool
    ) -> str:
        """The objects of the chart, as YAML; asks no cluster.

        Args:
            values: files; a later one wins.
            blamed: the file that is wrong where a value is.
            version: of Kubernetes, (major, minor).
            upgrade: whether a release is there already.

        Raises:
            InputError: a value is unknown to the chart or not allowed; names it.
            EnvironmentFailure: there is no Helm, or it failed for another reason.
        """
        words = ["template", self.release, str(chart()), "--no-hooks", *_files(values)]
        words.append(f"--kube-version={version[0]}.{version[1]}")
        done = self._call(*words, *(["--is-upgrade"] if upgrade else []))
        if done.code != 0:
            raise _refused(done, str(blamed or values[-1]))
        return done.out

    def merged(self, values: Sequence[Path]) -> dict[str, Any]:
        """What files of values say together, as Helm would keep it; asks no cluster.

        Raises:
            EnvironmentFailure: there is no Helm, or it cannot render them.
        """
        words = ["install", self.release, str(chart()), "--dry-run=client", "--no-hooks", "--output=json"]
        done = self._call(*words, *_files(values))
        if done.code != 0:
            raise EnvironmentFailure(done.failure)
        found: dict[str, Any] = json.loads(done.out)["config"]
        return found

    def current(self) -> Current:
        """What is in the cluster.

        Raises:
            EnvironmentFailure: Helm or the cluster failed.
        """
        found = self.revisions()
        if not found:
            return Current()
        serving = Current(found).serving or found[-1]
        with ThreadPoolExecutor() as pool:
            values = pool.submit(self.values, serving.number)
            manifest = pool.submit(self.manifest, found[-1].number)
            return Current(found, values.result(), manifest.result())

    def revisions(self) -> list[Revision]:
        """Those that Helm keeps, the oldest first; none where there is no release.

        Raises:
            EnvironmentFailure: Helm or the cluster failed.
        """
        done = self._call("history", self.release, f"--max={HISTORY}", "--output=json")
        if done.code != 0:
            if "not found" in done.said:
                return []
            raise EnvironmentFailure(done.failure, hint=OUT_OF_REACH)
        return [
            Revision(each["revision"], each["status"], str(each["updated"]), each["description"])
            for each in json.loads(done.out)
        ]

    def values(self, revision: int) -> dict[str, Any]:
        """The values that a revision was made with.

        Raises:
            InputError: Helm does not keep that revision.
            EnvironmentFailure: Helm or the cluster failed.
        """
        found: dict[str, Any] | None = json.loads(self._get("values", revision, "--output=json"))
        return found or {}

    def manifest(self, revision: int) -> str:
        """The objects of a revision, as YAML.

        Raises:
            InputError: Helm does not keep that revision.
            EnvironmentFailure: Helm or the cluster failed.
        """
        return self._get("manifest", revision)

    def upgrade(
        self, values: Sequence[Path], log: Path, timeout: float, *, canary_percent: int | None = None
    ) -> Process:
        """Begin to install or upgrade; Helm waits until all is ready, and is at it for as long.

        Stopped, it marks its revision as failed.

        Args:
            log: what it says.
            timeout: seconds that it waits.
            canary_percent: of the requests for the canary that it tries, which its history then says; None for none.
        """
        words = ["upgrade", self.release, str(chart()), "--install", *_files(values)]
        if canary_percent:
            words.append(f"--description={_CANARY} {canary_percent}%")
        return self._begin(*words, f"--history-max={HISTORY}", timeout=timeout, log=log)

    def rollback(self, revision: int, log: Path, timeout: float) -> Process:
        """Begin to go back to a revision; otherwise as ``upgrade``."""
        words = ["rollback", self.release, str(revision), f"--history-max={HISTORY}"]
        return self._begin(*words, timeout=timeout, log=log)

    def uninstall(self) -> None:
        """Remove the release with its history; its objects end by themselves from then on.

        Raises:
            EnvironmentFailure: Helm or the cluster failed.
        """
        done = self._call("uninstall", self.release)
        if done.code != 0 and "not found" not in done.said:
            raise EnvironmentFailure(done.failure)

    def _get(self, what: str, revision: int, *words: str) -> str:
        done = self._call("get", what, self.release, f"--revision={revision}", *words)
        if done.code != 0:
            if "not found" in done.said:
                raise InputError(f"release {self.release} has no revision {revision}")
            raise EnvironmentFailure(done.failure, hint=OUT_OF_REACH)
        return done.out

    def _begin(self, *words: str, timeout: float, log: Path) -> Process:
        # What somebody changed by hand becomes again what the release says. Helm 3 does that unasked.
        force = [] if self._call("version", "--short").out.startswith("v3.") else ["--force-conflicts"]
        return Process(self._argv(*words, *force, "--wait", f"--timeout={timeout:.0f}s"), log=log)

    def _call(self, *words: str) -> Done:
        return call(self._argv(*words), shown=("helm", *words[:2]), timeout=_TIMEOUT_S)

    def _argv(self, *words: str) -> list[str]:
        where = [f"--kube-context={self.context}"] if self.context else []
        return ["helm", *words, f"--namespace={self.namespace}", *where]


def chart() -> Path:
    """The folder of the chart: the repository's, or the copy in an installed shipfit."""
    return embedded("helm", "llm-serving")


def _files(values: Sequence[Path]) -> list[str]:
    return [word for each in values for word in ("--values", str(each))]


def _refused(done: Done, file: str) -> ShipfitError:
    """Why the chart does not render, with the value that is to blame where Helm names it."""
    for line in done.errors:
        if match := _SCHEMA.match(line.strip()):
            path = match["path"].strip("/").replace("/", ".")
            return InputError(
                match["what"],
                hint="helm/llm-serving/README.md lists the values",
                where=file,
                field=path or None,
            )
        if fails := _TEMPLATE_FAILS.search(line):
            return InputError(fails["what"], where=file)
        if "failed to parse" in line or "error converting YAML" in line:
            return InputError(f"is not valid YAML: {line.rpartition('yaml: ')[2]}", where=file)
    return EnvironmentFailure(done.failure)
