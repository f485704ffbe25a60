"""Publishing: an artifact's files into the store, and then its manifest, which makes it visible."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shipfit.artifacts.catalogue import checked
from shipfit.artifacts.checkpoints import keep_result
from shipfit.artifacts.commit import commit, tidy
from shipfit.artifacts.guards import hold
from shipfit.artifacts.layout import checkpoint_key, log_key, measurement_key
from shipfit.artifacts.manifest import Manifest, ManifestDraft, Staged
from shipfit.artifacts.objects import Objects
from shipfit.artifacts.reading import Reader
from shipfit.artifacts.stage import stage
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import Progress

_FREE_SOME = "free some, or set SHIPFIT_DATA_DIR to another disk"


class Publisher(Reader):
    """Publishes artifacts. ``Store`` adds what becomes of them then.

    Args:
        objects: where they lie.
        free: says how many bytes may still be written, where that can be known.
    """

    def __init__(self, objects: Objects, free: Callable[[], int] | None = None) -> None:
        super().__init__(objects)
        self._free = free

    def check_writable(self, name: str) -> None:
        """Find out before hours of work whether publishing can succeed: write a small object and remove it.

        Raises:
            EnvironmentFailure: the store cannot be reached, or does not let us write.
        """
        key = f"{checked(name, 'name')}/write-check"
        doing = f"checking that {name} may be published"
        self._objects.create(key, b"", doing)
        self._objects.delete([key], doing)

    def stage(self, folder: Path, name: str, fingerprint: str, progress: Progress) -> Staged:
        """Upload an artifact's files without showing them to anybody; ``commit`` does that.

        Goes on with the files that earlier attempts at the same fingerprint brought, from any machine.

        Args:
            folder: its files, all but hidden ones.

        Raises:
            InputError: the folder holds nothing that can be published.
            EnvironmentFailure: the store failed or is full; what has arrived stays for the next attempt.
        """
        checked(name, "name")
        with progress.step(f"uploading {name} ({fingerprint[:12]})"), self._full_disk_named():
            return stage(self._objects, folder, name, fingerprint, progress, self._require_space)

    def commit(
        self, draft: ManifestDraft, staged: Staged, progress: Progress, extra: Path | None = None
    ) -> Manifest:
        """Make a staged artifact visible. Of several writers of one fingerprint exactly one does.

        Args:
            draft: what is known of it.
            extra: a folder of small files to add, such as the gate's page; one of the name of a staged file takes its
                place.

        Returns:
            The manifest that stands in the store, which another writer may have written; a note says so then.

        Raises:
            InputError: the gate did not pass, or the draft is of another artifact.
            EnvironmentFailure: the store failed or is full; nothing is visible then.
        """
        if not draft.gate.passed:
            raise InputError(f"{draft.name}: its gate did not pass, so it cannot be published")
        if (draft.name, draft.fingerprint) != (staged.name, staged.fingerprint):
            raise InputError(f"{draft.name}: what is staged is another artifact, {staged.name}")
        what = f"{draft.name} ({draft.fingerprint[:12]})"
        upload = uuid.uuid4().hex
        with (
            progress.step(f"publishing {what}"),
            self._full_disk_named(),
            hold(self._objects, draft.name, draft.fingerprint),
        ):
            ours = commit(self._objects, draft, staged, upload, extra, progress)
        if ours is None:
            progress.note(f"another writer published {what} first; its files count")
        committed = ours or self.accepted(draft.name, draft.fingerprint)
        tidy(self._objects, committed, {upload, staged.upload})
        return committed

    def publish(
        self, folder: Path, draft: ManifestDraft, progress: Progress, extra: Path | None = None
    ) -> Manifest:
        """Stage and commit. An artifact that is committed already is left as it is.

        Returns:
            The manifest that stands in the store.

        Raises:
            InputError: the gate did not pass, or the folder holds nothing that can be published.
            EnvironmentFailure: the store failed or is full; nothing is visible then.
        """
        if not draft.gate.passed:
            raise InputError(f"{draft.name}: its gate did not pass, so it cannot be published")
        committed = self.manifest(draft.name, draft.fingerprint)
        if committed:
            tidy(self._objects, committed, set())  # the writer may have been cut off right after it
            return committed
        return self.commit(
            draft, self.stage(folder, draft.name, draft.fingerprint, progress), progress, extra
        )

    def keep_checkpoint(
        self, name: str, fingerprint: str, stage: str, of: str, result: dict[str, Any]
    ) -> None:
        """Keep what a stage led to until the artifact is committed.

        Args:
            of: names what the stage was done with: it counts for nothing else.
            result: a small JSON document.

        Raises:
            EnvironmentFailure: the store failed.
        """
        key = checkpoint_key(checked(name, "name"), fingerprint, stage, of)
        keep_result(self._objects, key, f"the {stage} of {name}", result)

    def keep_log(self, name: str, fingerprint: str, stage: str, content: bytes) -> str:
        """Keep the log of a stage that failed until the artifact is committed: the machine that has it may go.

        Returns:
            Where it lies, for people.

        Raises:
            EnvironmentFailure: the store failed.
        """
        key = log_key(checked(name, "name"), fingerprint, stage)
        self._objects.write(key, content, f"keeping the log of {stage} of {name}")
        return f"{self.label}/{key}"

    def keep_measurement(self, name: str, fingerprint: str, digest: str, result: dict[str, Any]) -> None:
        """Keep what the gate measured of a committed artifact, for as long as that is there.

        Args:
            digest: of what it measured and with what.
            result: a small JSON document.

        Raises:
            EnvironmentFailure: the store failed.
        """
        key = measurement_key(checked(name, "name"), fingerprint, digest)
        keep_result(self._objects, key, f"the gate of {name}", result)

    def _require_space(self, needed: int) -> None:
        if self._free and needed > self._free():
            raise EnvironmentFailure(
                f"no space left on the disk for {self.label}: {needed / 2**20:,.0f} MiB are to be written and"
                f" {max(self._free(), 0) / 2**20:,.0f} MiB are free",
                hint=_FREE_SOME,
            )

    @contextmanager
    def _full_disk_named(self) -> Iterator[None]:
        """A store whose disk others fill meanwhile only says "internal error"."""
        try:
            yield
        except EnvironmentFailure as error:
            if self._free and self._free() <= 0:
                raise EnvironmentFailure(
                    f"no space left on the disk for {self.label}", hint=_FREE_SOME
                ) from error
            raise
