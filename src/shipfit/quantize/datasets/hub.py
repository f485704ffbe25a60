"""Datasets on Hugging Face: the files of one split, from the repository or from the Parquet that the hub made of it.

Everything goes through huggingface_hub, so that its settings hold: HF_HUB_OFFLINE, HF_ENDPOINT, HF_TOKEN, its cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import Progress
from shipfit.models.files import TIMEOUT_S
from shipfit.models.hub_client import connection_errors, explained, out_of_reach, without_bars
from shipfit.quantize.datasets.folders import choose, require_some
from shipfit.quantize.datasets.model import Source
from shipfit.spec import TextSource

_CONVERTED = "refs/convert/parquet"
"""Where the hub keeps what it made of a dataset: huggingface.co/docs/dataset-viewer/parquet."""

_INSTEAD = "name a folder with the dataset"


@dataclass(frozen=True)
class _Repository:
    """A dataset at one commit; ``revision`` is what it was asked for by, ``names`` are all its files."""

    name: str
    revision: str | None
    commit: str
    names: Sequence[str]
    online: bool
    progress: Progress

    def fetch(self, name: str) -> Path:
        """A file in the usual cache, fetched if it is not there."""
        from huggingface_hub import hf_hub_download

        self.progress.update(f"fetching {name} of {self.name}")
        with _explained(self.name, self.revision), without_bars():
            path = Path(
                hf_hub_download(
                    self.name,
                    name,
                    repo_type="dataset",
                    revision=self.revision,  # not the commit: the cache then knows the branch when offline
                    local_files_only=not self.online,
                    etag_timeout=TIMEOUT_S,
                )
            )
        if self.commit not in path.parts:
            raise EnvironmentFailure(
                f"dataset {self.name} changed while it was read", hint="run the command again"
            )
        return path


def find(name: str, revision: str | None, wanted: TextSource, progress: Progress) -> Source:
    """The files of a subset's split; which commit they are of is settled here.

    Raises:
        InputError: there is no such dataset, revision, subset or split, it is gated, or holds nothing readable.
        EnvironmentFailure: the hub is out of reach (or HF_HUB_OFFLINE is set) and the files not in the cache.
    """
    repository = _at(name, revision, progress)
    chosen = choose(repository.names, repository.fetch, wanted) if repository else ()
    converted = _converted(name, progress) if not chosen and revision is None else None
    if converted:
        chosen = _choose_converted(converted, wanted)
        repository = converted
    if repository is None:
        raise out_of_reach(f"dataset {name}", _INSTEAD)
    require_some(repository.names, chosen, f"dataset {name}")
    return Source(f"hf:{name}@{repository.commit}", chosen, repository.fetch)


def _choose_converted(repository: _Repository, wanted: TextSource) -> tuple[str, ...]:
    """The hub converts into a folder for each subset; ``default`` or the only one is the default."""
    folders = sorted({each.partition("/")[0] for each in repository.names if "/" in each})
    if wanted.subset is None and len(folders) > 1 and "default" not in folders:
        raise InputError(f"has several subsets: {', '.join(folders[:12])}", hint="name one with subset")
    subset = wanted.subset or ("default" if "default" in folders else None)
    return choose(repository.names, repository.fetch, wanted.model_copy(update={"subset": subset}))


def _at(name: str, revision: str | None, progress: Progress) -> _Repository | None:
    """The repository at a revision; None where the hub is out of reach and nothing of it in the cache."""
    from huggingface_hub import HfApi, errors, snapshot_download
    from huggingface_hub.constants import is_offline_mode

    with _explained(name, revision):
        if not is_offline_mode():
            try:
                info = HfApi().dataset_info(name, revision=revision, timeout=TIMEOUT_S)
            except connection_errors():
                pass
            else:
                names = [each.rfilename for each in info.siblings or ()]
                return _Repository(name, revision, str(info.sha), names, True, progress)
        try:
            cached = snapshot_download(name, repo_type="dataset", revision=revision, local_files_only=True)
        except errors.LocalEntryNotFoundError:
            return None
    folder = Path(cached)
    names = sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())
    return _Repository(name, revision, folder.name, names, False, progress)


def _converted(name: str, progress: Progress) -> _Repository | None:
    """What the hub made of the dataset; None where that is nothing."""
    try:
        return _at(name, _CONVERTED, progress)
    except InputError:
        return None


def _explained(name: str, revision: str | None) -> AbstractContextManager[None]:
    return explained(f"dataset {name}", revision, wanted="name another revision", instead=_INSTEAD)
